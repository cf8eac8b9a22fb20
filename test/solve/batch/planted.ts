/** Latencies of an engine by batch that are known in closed form, as a table that `profile import` reads. */
import { importTable } from "../../../src/profile/import/import.js";
import type { Calibration } from "../../../src/schema/calibration.js";
import { compactDraft, uniformChoices } from "../../../src/schema/choice.js";
import type { Profile } from "../../../src/schema/profile.js";
import type { BatchProblem } from "../../oracle/brute-force-batch.js";
import { LAYERS, makeCalibration, makeProfile } from "../../support/documents.js";

export type Part = "fixed" | "head" | "attn" | "mlp";

export interface Planted {
  name: string;
  batches: number[];
  contexts: number[];
  queries: number[];
  /** µs of one part at the target's precision */
  us: (part: Part, batch: number, context: number, query: number) => number;
  /** share of the target's time that int8 takes, of head and blocks */
  int8: number;
  /** acceptance rate of the int8 draft */
  rate: number;
}

export const LOOP = { round: 20, step: 8 };
export const LONGEST = 8;

/** @param whole further batches give whole passes alone, as an engine's benchmark does */
export function tableOf({ batches, contexts, queries, us, int8 }: Planted, whole = false): string {
  const rows = batches.flatMap((batch) =>
    contexts.flatMap((n) =>
      queries.flatMap((q) => {
        const row = (part: string, choice: string, time: number) => `${part},${choice},${n},${q},${time},,${batch}`;
        if (whole && batch > 1) return [row("whole", "", wholeUs({ us }, batch, n, q))];
        const target = (["head", "attn", "mlp"] as const).map((part) => row(part, "target", us(part, batch, n, q)));
        const quantised = (["head", "attn", "mlp"] as const).map((part) =>
          row(part, "int8", int8 * us(part, batch, n, q)),
        );
        return [row("fixed", "", us("fixed", batch, n, q)), ...target, ...(q === 1 ? quantised : [])];
      }),
    ),
  );
  return [
    "component,choice,context_tokens,query_tokens,us,layer,batch",
    ...rows,
    `round,,,,${LOOP.round},,`,
    `step,,,,${LOOP.step},,`,
  ].join("\n");
}

export function wholeUs({ us }: Pick<Planted, "us">, batch: number, n: number, q: number): number {
  return (
    us("fixed", batch, n, q) + us("head", batch, n, q) + LAYERS * (us("attn", batch, n, q) + us("mlp", batch, n, q))
  );
}

const draftUs = ({ us, int8 }: Planted, batch: number, n: number): number =>
  us("fixed", batch, n, 1) +
  int8 * (us("head", batch, n, 1) + LAYERS * (us("attn", batch, n, 1) + us("mlp", batch, n, 1)));

export function profileOf(planted: Planted, whole = false): Profile {
  const { wholePass, ...measured } = importTable(tableOf(planted, whole), LAYERS, "planted.csv");
  const { sampling: _, ...rest } = makeProfile();
  return { ...rest, imported: { source: "planted.csv", sha256: "d".repeat(64), whole_pass: wholePass }, ...measured };
}

/** The draft of int8 alone, measured on both parts of the text. */
export function calibrationOf({ rate }: Pick<Planted, "rate">, keptRate = rate): Calibration {
  const curve = (alpha: number) => Array.from({ length: LONGEST + 1 }, (_, i) => alpha ** i);
  const draft = compactDraft(uniformChoices(LAYERS, "int8"));
  return makeCalibration(
    [128],
    [
      { at_context: 128, part: "choose", draft, tokens: 4000, curve: curve(rate) },
      { at_context: 128, part: "report", draft, tokens: 4000, curve: curve(keptRate) },
    ],
  );
}

/** The same, for brute force, at one context. */
export function problemOf(planted: Planted, n: number, whole = false): BatchProblem {
  const { batches, queries, rate } = planted;
  const between = (q: number, of: (query: number) => number): number => {
    const high = queries.find((query) => query >= q) as number;
    const low = queries.findLast((query) => query <= q) as number;
    return low === high ? of(low) : of(low) + ((of(high) - of(low)) * (q - low)) / (high - low);
  };
  return {
    batches,
    draftUs: (batch) =>
      whole
        ? (draftUs(planted, 1, n) * wholeUs(planted, batch, n, 1)) / wholeUs(planted, 1, n, 1)
        : draftUs(planted, batch, n),
    verifyUs: (batch, d) => between(d + 1, (q) => wholeUs(planted, batch, n, q)),
    roundUs: LOOP.round,
    stepUs: LOOP.step,
    curve: Array.from({ length: Math.min(LONGEST, queries[queries.length - 1] - 1) + 1 }, (_, i) => rate ** i),
  };
}
