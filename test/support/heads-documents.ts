/** The documents of example-documents.ts with everything that they say of trained heads and draft trees. */
import type { Calibration } from "../../src/schema/calibration.js";
import type { Plan } from "../../src/schema/plan.js";
import type { Profile } from "../../src/schema/profile.js";
import { calibration, plan, profile } from "./example-documents.js";

const MEDUSA = { path: "../models/tiny/heads", sha256: "c".repeat(64) };
const HYDRA = { path: "../hydra", sha256: "d".repeat(64) };

export function headsPlan(): Plan {
  const [{ draft: _blocks, predicted, ...segment }, rest] = plan().segments;
  const drafter = { kind: "heads" as const, ...MEDUSA, tree: [[0], [1], [0, 0], [0, 2], [1, 0]] };
  return {
    ...plan(),
    segments: [
      {
        ...segment,
        drafter,
        draft_tokens: 2,
        ...(predicted && { predicted: { ...predicted, acceptance_curve: [1, 0.8, 0.5], accepted_length: 2.3 } }),
      },
      rest,
    ],
  };
}

export const headsCalibration = (): Calibration => ({
  ...calibration(),
  heads: [
    {
      ...MEDUSA,
      kind: "medusa",
      heads: 2,
      ranks: 10,
      contexts: [
        {
          at_context: 128,
          part: "choose",
          positions: 7,
          paths: [
            { ranks: [0, 0], positions: 4 },
            { ranks: [0], positions: 2 },
            { ranks: [], positions: 1 },
          ],
          texts: [
            [0, 0, 1, 2],
            [0, 1, 0],
          ],
        },
        { at_context: 128, part: "report", positions: 1, paths: [{ ranks: [9, 3], positions: 1 }], texts: [[0]] },
      ],
    },
  ],
});

export const headsProfile = (): Profile => ({
  ...profile(),
  heads: [
    { ...MEDUSA, kind: "medusa", heads: 2, ranks: 10, passes: [{ rows: 1, us: 110.5, passes: 64 }] },
    {
      ...HYDRA,
      kind: "hydra",
      heads: 2,
      ranks: 10,
      passes: [
        { depth: 0, rows: 1, us: 90, passes: 64 },
        { depth: 0, rows: 4, us: 120, passes: 64 },
        { depth: 1, rows: 1, us: 95, passes: 64 },
      ],
    },
  ],
  tree_passes: [
    { context_tokens: 64, query_tokens: 4, times_chain: 1.02, pairs: 24 },
    { context_tokens: 512, query_tokens: 4, times_chain: 1.05, pairs: 24 },
  ],
});
