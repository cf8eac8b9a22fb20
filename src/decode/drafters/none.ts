/** Plain decoding: nothing is proposed, so every round is a step of the target. */
import { type Drafter, NOTHING } from "./drafter.js";

export const noDrafter: Drafter = {
  key: "none",
  draft: () => NOTHING,
  costUs: () => 0,
};
