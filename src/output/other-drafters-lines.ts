/** What a calibration knows of lookups, of other models, and of drafts with a cache of their own, in lines of text. */
import { counted } from "../core/text.js";
import type { Calibration } from "../schema/calibration.js";
import { describeChoices, expandDraft } from "../schema/choice.js";
import { sum } from "../stats/numbers.js";

/** By context, on the text that plans are picked on. */
export function otherDraftersLines({ lookup, models = [], measured, model }: Calibration): string[] {
  const lookups = (lookup?.contexts ?? []).filter(isChoosing).map(({ at_context, positions, matched, followed }) => {
    const found = matched.flat();
    const right = followed.flat().filter((tokens) => tokens > 0).length;
    const matches = found.filter((tokens) => tokens > 0).length;
    const then = matches === 0 ? "" : `, and the next token is then as it was at ${percent(right / matches)}`;
    return `A lookup at ${at_context} tokens: something at the text's end stood before at ${percent(matches / positions)} of ${counted(positions, "position")}${then}`;
  });
  const others = models.flatMap(({ name, kernel, contexts }) =>
    contexts
      .filter(isChoosing)
      .map(
        ({ at_context, positions, hits }) =>
          `${name} in ${kernel} at ${at_context} tokens: its likeliest token is the target's at ${percent(sum(hits.flat()) / positions)} of ${counted(positions, "position")}`,
      ),
  );
  const standalone = measured.filter((one) => one.draft_cache === "own" && isChoosing(one));
  const own = standalone.map(({ at_context, draft, curve, tokens }) => {
    const choices = describeChoices(expandDraft(draft, model.layers, "calibration"));
    const rate = (sum(curve) - 1) / sum(curve.slice(0, -1));
    return `With a cache of its own at ${at_context} tokens: ${choices}: ${percent(rate)} accepted, of ${counted(tokens, "position")}`;
  });
  return [...lookups, ...others, ...own];
}

const isChoosing = ({ part }: { part: "choose" | "report" }): boolean => part === "choose";

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
