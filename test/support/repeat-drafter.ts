/** The last token again: right where a text repeats itself, and free. */
import { chain, type Drafter } from "../../src/decode/drafters/drafter.js";

export const repeatDrafter: Drafter = {
  key: "repeat",
  draft: ({ pending }, draftTokens) => chain(new Array(draftTokens).fill(pending)),
  costUs: () => 0,
};
