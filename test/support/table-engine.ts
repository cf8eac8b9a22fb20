/**
 * A model that is a table: logits follow from the last two tokens of the text, so that whole distributions can be
 * enumerated. It keeps its cache as a list of tokens. Passes that are not the target's give other logits, as a draft's do.
 */
import type { Engine, Pass, PassResult } from "../../src/runtime/engine.js";
import { type ChoiceSet, DEFAULT_KERNELS } from "../../src/schema/choice.js";
import { CPU_NUMERICS } from "../../src/schema/numerics.js";
import { seededRandom } from "../../src/stats/random.js";

import { tinySpec } from "./tiny-checkpoint.js";

export interface TableOptions {
  vocab: number;
  seed: number;
  /** standard deviation of logits */
  spread?: number;
  /** of what a draft's logits are off by; default: 1 */
  error?: number;
  layers?: number;
  capacity?: number;
  /** a draft's logits are those of a short head: of the first so many tokens, and of those of the text */
  short?: number;
}

const isTarget = ({ blocks, head }: ChoiceSet): boolean =>
  head === "target" && blocks.every((choice) => choice === "target");

export function tableEngine(options: TableOptions): Engine & { rowOf(text: readonly number[]): Float32Array } {
  const { vocab, seed, spread = 1.5, error = 1, layers = 2, capacity = 64, short } = options;
  const spec = tinySpec({ layers, vocab, context: capacity, eosTokenIds: [] });
  /** by the last two tokens and who asks: a long run reads millions of rows */
  const rows = new Map<number, Float32Array>();
  const row = (a: number, b: number, draft: boolean): Float32Array => {
    const key = 2 * (a * vocab + b) + Number(draft);
    const known = rows.get(key);
    if (known !== undefined) return known;
    const random = seededRandom(seed, a, b);
    const exact = Float32Array.from({ length: vocab }, () => spread * random.normal());
    const made = draft ? exact.map((logit) => logit + error * random.normal()) : exact;
    rows.set(key, made);
    return made;
  };
  const cells: number[] = [];
  return {
    spec,
    capacity,
    kernels: DEFAULT_KERNELS,
    numerics: CPU_NUMERICS,
    rowOf: (text) => row(text[text.length - 2] ?? 0, text[text.length - 1], false),
    run({ position, input, choices, logitRows, parents }: Pass): PassResult {
      if ("hidden" in input) throw new Error("a table has no hidden states");
      const ids = Array.from(input);
      const parentOf = (i: number) => (parents === undefined ? i - 1 : parents[i]);
      const last = cells[position - 1] ?? 0;
      const isDraft = !isTarget(choices);
      const logits = new Float32Array(logitRows * vocab);
      for (let i = 0; i < logitRows; i++) {
        const at = ids.length - logitRows + i;
        const parent = parentOf(at);
        const whole = row(parent < 0 ? last : ids[parent], ids[at], isDraft);
        logits.set(whole, i * vocab);
        if (!isDraft || short === undefined) continue;
        const own = new Set(cells.slice(0, position));
        for (let node = at; node >= 0; node = parentOf(node)) own.add(ids[node]);
        for (let token = short; token < vocab; token++)
          if (!own.has(token)) logits[i * vocab + token] = Number.NEGATIVE_INFINITY;
      }
      for (const [i, id] of ids.entries()) cells[position + i] = id;
      return { logits, hidden: new Float32Array(ids.length * spec.hiddenSize) };
    },
    keepRows(position, kept) {
      const moved = Array.from(kept, (at) => cells[position + at]);
      moved.forEach((id, i) => {
        cells[position + i] = id;
      });
    },
    withOwnCache: () => tableEngine(options),
    readCache: (_layer, _part, position, count) => Float32Array.from(cells.slice(position, position + count)),
    close() {},
  };
}
