/** What the graph computes, against a float64 twin, for every architecture and in every way a text can be cut up. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { argmax } from "../../src/runtime/engine.js";
import { type ChoiceSet, uniformChoices } from "../../src/schema/choice.js";
import { forward } from "../oracle/transformer.js";
import { type TinyModel, tinySpec, tinyTensors } from "../support/tiny-checkpoint.js";
import {
  expectRows,
  greatestDifference,
  MODELS,
  openSubject,
  randomChoices,
  relativeError,
  type Subject,
  TOLERANCE,
  tokens,
} from "./support.js";

const TEXT = 21;

describe.each(MODELS)("%s", (_name, model) => {
  const spec = tinySpec(model);
  const ids = tokens(40, TEXT);
  let subject: Subject;
  beforeAll(async () => {
    subject = await openSubject(model);
  });
  afterAll(() => subject.engine.close());

  const run = (position: number, count: number, choices: ChoiceSet = subject.target, logitRows = count) =>
    subject.engine.run({ position, input: ids.slice(position, position + count), choices, logitRows });

  /** Runs the text in pieces, and holds each piece against the same rows of the twin. */
  function expectPieces(pieces: readonly number[], skip?: ChoiceSet): void {
    const twin = subject.twin(ids, skip && ((block) => skip.blocks[block] === "skip"));
    let position = 0;
    for (const count of pieces) {
      const { logits, hidden } = run(position, count, skip);
      expectRows(logits, twin.logits.slice(position, position + count));
      expectRows(hidden, twin.hidden.slice(position, position + count));
      position += count;
    }
  }

  test.each([
    ["as one prompt", [TEXT]],
    ["a prompt in uneven pieces", [7, 1, 9, 4]],
    ["one token at a time", new Array<number>(TEXT).fill(1)],
    ["a prompt, then four tokens at a time", [9, 4, 4, 4]],
  ])("%s", (_way, pieces) => expectPieces(pieces));

  test.each([1, 2, 3, 4])("blocks skipped at random (seed %i), in pieces", (seed) => {
    expectPieces([5, 1, 6, 4, 5], randomChoices(seed, spec.layers, ["target", "skip"]));
  });

  test("every block skipped: the head over the embedding", () =>
    expectPieces([6, 1, 14], uniformChoices(spec.layers, "skip")));

  test("keys and values lie where the twin has them", () => {
    run(0, TEXT);
    const { keys, values } = subject.twin(ids);
    const byHead = (rows: (number[] | undefined)[], from: number, count: number) =>
      Array.from({ length: spec.kvHeads }, (_, head) =>
        rows
          .slice(from, from + count)
          .map((row) => (row as number[]).slice(head * spec.headDim, (head + 1) * spec.headDim)),
      ).flat();
    for (let layer = 0; layer < spec.layers; layer++) {
      expectRows(subject.engine.readCache(layer, "key", 3, 9), byHead(keys[layer], 3, 9));
      expectRows(subject.engine.readCache(layer, "value", 3, 9), byHead(values[layer], 3, 9));
    }
  });

  test("a draft over the target's cache sees the target's keys before it and its own since", () => {
    const draft = randomChoices(6, spec.layers, ["target", "skip", "skip"]);
    const twin = subject.twin(ids, (block, position) => position >= 12 && draft.blocks[block] === "skip");
    run(0, 12);
    for (let position = 12; position < 15; position++)
      expectRows(run(position, 1, draft).logits, [twin.logits[position]]);
    expectRows(run(15, 6, draft).logits, twin.logits.slice(15, 21));
  });

  test("after drafts over the same positions, the target's pass is bit for bit what it would have been", () => {
    const keep = () => {
      const { logits, hidden } = run(10, 5);
      const cache = Array.from({ length: spec.layers }, (_, l) => [
        subject.engine.readCache(l, "key", 0, 15),
        subject.engine.readCache(l, "value", 0, 15),
      ]);
      return { logits: logits.slice(), hidden: hidden.slice(), cache };
    };
    run(0, 10);
    const untouched = keep();
    for (const choices of [
      uniformChoices(spec.layers, "skip"),
      uniformChoices(spec.layers, "int8"),
      randomChoices(8, spec.layers, ["target", "int8", "skip"]),
    ]) {
      run(10, 4, choices);
      for (let position = 10; position < 18; position++) run(position, 1, choices); // further than the target goes
      expect(keep()).toEqual(untouched);
    }
    expectRows(run(15, 6).logits, subject.twin(ids).logits.slice(15));
  });

  test("hidden states in place of the embedding: a run that starts at any block ends where the full one does", () => {
    const { states, logits } = subject.twin(ids);
    const h = spec.hiddenSize;
    run(0, TEXT);
    for (let first = 0; first <= 2 * spec.layers; first++) {
      const choices: ChoiceSet = {
        blocks: subject.target.blocks.map((c, b) => (b < first ? "skip" : c)),
        head: "target",
      };
      for (const [position, count] of [
        [0, TEXT],
        [17, 4],
        [20, 1],
      ]) {
        const hidden = Float32Array.from(states[first].slice(position, position + count).flat());
        expect(hidden.length).toBe(count * h);
        const result = subject.engine.run({ position, input: { hidden }, choices, logitRows: count });
        expectRows(result.logits, logits.slice(position, position + count));
      }
    }
  });

  test("int8 blocks and an int8 head stay near fp32 and near the dequantised twin", () => {
    const skipNone = subject.twin(ids);
    const rounded = roundedTwin(model, ids, { blocks: true, head: true });
    const exact = skipNone.logits.flat();
    for (const pieces of [[TEXT], new Array<number>(TEXT).fill(1)]) {
      const logits: number[] = [];
      let position = 0;
      for (const count of pieces) {
        logits.push(...run(position, count, uniformChoices(spec.layers, "int8")).logits);
        position += count;
      }
      // Measured 0.017 to 0.025 from fp32, 0.014 to 0.020 from the rounded weights: activations are rounded too.
      expect(relativeError(logits, exact)).toBeLessThan(0.04);
      expect(relativeError(logits, exact)).toBeGreaterThan(1e-3); // or int8 did not run
      expect(relativeError(logits, rounded)).toBeLessThan(relativeError(logits, exact));
      const same = skipNone.logits.filter(
        (row, i) => argmax(Float32Array.from(logits), i, spec.vocabSize) === row.indexOf(Math.max(...row)),
      );
      expect(same.length).toBeGreaterThanOrEqual(0.85 * TEXT);
    }
  });

  test("the head alone at int8: hidden states untouched, logits near", () => {
    const { logits, hidden } = run(0, TEXT, { ...subject.target, head: "int8" });
    const twin = subject.twin(ids);
    expectRows(hidden, twin.hidden);
    expect(relativeError(logits, twin.logits.flat())).toBeLessThan(0.02);
    expect(greatestDifference(logits, twin.logits.flat())).toBeGreaterThan(10 * TOLERANCE);
  });

  test("one block at int8 changes what lies behind it, a little; the other kernels are not mixed up", () => {
    const twin = subject.twin(ids).hidden.flat();
    subject.target.blocks.forEach((_, block) => {
      const choices: ChoiceSet = {
        blocks: subject.target.blocks.map((c, b) => (b === block ? "int8" : c)),
        head: "target",
      };
      const error = relativeError(run(0, TEXT, choices).hidden, twin);
      expect(error, `block ${block}`).toBeGreaterThan(1e-5);
      expect(error, `block ${block}`).toBeLessThan(0.02);
    });
  });

  test("logits of no, one and the last few rows", () => {
    const { logits } = subject.twin(ids);
    for (const rows of [0, 1, 3, TEXT, 0, 2])
      expectRows(run(0, TEXT, subject.target, rows).logits, logits.slice(TEXT - rows));
  });

  test("capacity changes nothing, to the bit", async () => {
    const roomy = await openSubject(model, 200);
    for (const [position, count] of [
      [0, 8],
      [8, 1],
      [9, 5],
    ]) {
      const here = run(position, count);
      const there = roomy.engine.run({
        position,
        input: ids.slice(position, position + count),
        choices: roomy.target,
        logitRows: count,
      });
      expect(there.logits).toEqual(here.logits);
      expect(there.hidden).toEqual(here.hidden);
    }
    roomy.engine.close();
  });
});

/** Logits of the twin with the matrices rounded as int8 stores them: 32 inputs share a scale, ±127 steps. */
function roundedTwin(model: TinyModel, ids: readonly number[], parts: { blocks: boolean; head: boolean }): number[] {
  const tensors = tinyTensors(model);
  const spec = tinySpec(model);
  const rounded = (name: string): Float32Array => {
    const { shape, values } = tensors.get(name) as { shape: readonly number[]; values: Float32Array };
    const out = values.slice();
    for (let row = 0; row < shape[0]; row++) {
      for (let from = 0; from < shape[1]; from += 32) {
        const block = out.subarray(row * shape[1] + from, row * shape[1] + Math.min(from + 32, shape[1]));
        const step = block.reduce((most, v) => Math.max(most, Math.abs(v)), 0) / 127;
        block.forEach((v, i) => (block[i] = step === 0 ? 0 : Math.round(v / step) * step));
      }
    }
    return out;
  };
  // an untied name for the head, so that the embedding stays exact
  const head = spec.tiedEmbeddings ? "model.embed_tokens.weight" : "lm_head.weight";
  const cache = new Map<string, Float32Array>();
  const read = (name: string) => {
    const round = name === "lm_head.weight" ? parts.head : parts.blocks && /_proj\.weight$/.test(name);
    const source = name === "lm_head.weight" ? head : name;
    if (!cache.has(name))
      cache.set(name, round ? rounded(source) : (tensors.get(source) as { values: Float32Array }).values);
    return cache.get(name) as Float32Array;
  };
  return forward({ ...spec, tiedEmbeddings: false }, read, ids).logits.flat();
}
