/** A plan's draft as engines have one: they verify chains, and a lookup goes on from one place. */
import { type DrafterRef, withoutSiblings } from "../schema/drafter.js";
import type { PlannedDraft } from "./exporter.js";

/**
 * The draft without the further places of its lookup, and without siblings.
 * @returns `note` says what is lost, null where nothing is; nothing is then known of what the engine's draft accepts
 */
export function asChain(planned: PlannedDraft): { draft: PlannedDraft; note: string | null } {
  const looking = ofOnePlace(planned.drafter);
  const drafter = withoutSiblings(looking);
  const notes = [...(looking === planned.drafter ? [] : [LOOKUP]), ...(drafter === looking ? [] : [SIBLINGS])];
  if (notes.length === 0) return { draft: planned, note: null };
  return { draft: { ...planned, drafter }, note: `${notes.join(" ")} ${UNKNOWN}` };
}

const UNKNOWN = "Nothing is predicted of that here: `draftplan solve --for` plans it.";
const SIBLINGS =
  "The plan verifies the next likeliest tokens of the last draft step beside its own; the engine's draft is a chain.";
const LOOKUP =
  "The plan's lookup goes on from several places at once and has them verified as a tree; the engine's goes on from one.";

function ofOnePlace(drafter: DrafterRef): DrafterRef {
  if (drafter.kind === "lookup" && drafter.branches !== undefined) {
    const { branches: _, ...alone } = drafter;
    return alone;
  }
  if (drafter.kind === "hybrid" && drafter.lookup.branches !== undefined) {
    const { branches: _, ...lookup } = drafter.lookup;
    return { ...drafter, lookup };
  }
  return drafter;
}
