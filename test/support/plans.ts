/** Plans as people write them by hand. */
import { writeFileSync } from "node:fs";
import { openCheckpoint } from "../../src/model/open.js";
import { stringifyDocument } from "../../src/schema/document.js";
import type { Plan, Segment } from "../../src/schema/plan.js";

export interface HandPlan {
  name: string;
  layers: number;
  architectureSha256: string;
  weightsSha256: string;
  draft: NonNullable<Segment["draft"]>;
  draftTokens: number;
  /** end of the only segment */
  to?: number;
}

/** What documents say of the model in a folder or a file. */
export async function modelRefOf(source: string): Promise<Plan["model"]> {
  const { spec, architectureSha256, weightsSha256, close } = await openCheckpoint(source);
  close();
  return {
    ...{ name: spec.name, layers: spec.layers },
    ...{ architecture_sha256: architectureSha256, weights_sha256: weightsSha256 },
  };
}

export const handPlan = (plan: HandPlan): Plan => ({
  kind: "draftplan/plan",
  version: 1,
  model: {
    name: plan.name,
    layers: plan.layers,
    architecture_sha256: plan.architectureSha256,
    weights_sha256: plan.weightsSha256,
  },
  segments: [
    {
      context_tokens: { from: 0, to: plan.to ?? 8192 },
      speculate: true,
      draft: plan.draft,
      draft_tokens: plan.draftTokens,
    },
  ],
});

/** @returns path */
export function writePlan(path: string, plan: HandPlan): string {
  writeFileSync(path, stringifyDocument(handPlan(plan)));
  return path;
}

export const skipping = (...blocks: string[]): HandPlan["draft"] => ({
  default: "target",
  head: "target",
  skip: blocks,
  choices: {},
});
export const allInt8: HandPlan["draft"] = { default: "int8", head: "int8", skip: [], choices: {} };
