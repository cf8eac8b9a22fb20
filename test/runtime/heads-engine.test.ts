/**
 * Heads as ONNX Runtime runs them, against PyTorch's twins of the modules that write them (test/fixtures/heads: what the
 * twins stored in each layout, and the logits they computed from it).
 */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CUDA_DIALECT, WEBGPU_DIALECT } from "../../src/model/graph/dialect.js";
import { type HeadsEngine, type HeadsOptions, openHeads } from "../../src/runtime/heads-engine.js";
import { type LoadedModel, loadModel } from "../../src/runtime/load.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

const FOLDER = fileURLToPath(new URL("../fixtures/heads/", import.meta.url));
interface Twins {
  /** [text][H] the target's states, before its final norm */
  hidden: number[][];
  ids: number[];
  token_map: number[];
  /** layout -> [rows][heads][tokens] */
  logits: Record<string, number[][][]>;
}
const twins = JSON.parse(readFileSync(join(FOLDER, "logits.json"), "utf8")) as Twins;
const rowsOf = (hidden: readonly (readonly number[])[]) => Float32Array.from(hidden.flat());

const options = { provider: "cpu", threads: 1, lmHead: "target", logits: true } as const satisfies HeadsOptions;
const RANKS = 7;

let model: LoadedModel;
beforeAll(async () => {
  model = await loadModel(join(FOLDER, "model"), { provider: "cpu", threads: 1 });
});
afterAll(() => model.close());

async function withHeads(name: string, use: (heads: HeadsEngine) => void, more: Partial<HeadsOptions> = {}) {
  const heads = await openHeads(join(FOLDER, name), model, { ...options, ranks: RANKS, ...more });
  try {
    use(heads);
  } finally {
    heads.close();
  }
}

/** Indices by falling logits. */
const ranked = (logits: readonly number[]): number[] =>
  logits.map((_, token) => token).sort((a, b) => logits[b] - logits[a]);

function expectNear(actual: Float32Array, expected: readonly number[], tolerance = 1e-4): void {
  expect(actual).toHaveLength(expected.length);
  const worst = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - actual[i])), 0);
  expect(worst).toBeLessThan(tolerance);
}

const names = (kind: "medusa" | "hydra") =>
  Object.keys(twins.logits).filter((name) => name.startsWith("hydra") === (kind === "hydra"));

describe.each(names("medusa"))("%s", (name) => {
  const expected = twins.logits[name];
  const token = (index: number) => (name.includes("truncated") ? twins.token_map[index] : index);

  test.each([1, 4, 9])("logits and ranks of %i rows are the twin's", (rows) =>
    withHeads(name, (heads) => {
      expect(heads).toMatchObject({ kind: "medusa", heads: 3, ranks: RANKS });
      const listed = heads.guessAll?.(rowsOf(twins.hidden.slice(0, rows)));
      expectNear(heads.logits(), expected.slice(0, rows).flat(2));
      const likeliest = expected.slice(0, rows).flatMap((row) => row.flatMap((head) => ranked(head).slice(0, RANKS)));
      expect(Array.from(listed ?? [])).toEqual(likeliest.map(token));
    }),
  );

  test("one head alone says what it says among all", () =>
    withHeads(name, (heads) => {
      const hidden = rowsOf(twins.hidden.slice(0, 3));
      const all = Array.from(heads.guessAll?.(hidden) ?? []);
      for (let head = 0; head < 3; head++) {
        const alone = heads.guess(hidden, head, []);
        const expectedRows = [0, 1, 2].flatMap((row) =>
          all.slice((row * 3 + head) * RANKS, (row * 3 + head + 1) * RANKS),
        );
        expect(Array.from(alone)).toEqual(expectedRows);
      }
    }));
});

describe.each(names("hydra"))("%s", (name) => {
  const expected = twins.logits[name];
  const path = (row: number, head: number) => twins.ids.slice(row + 1, row + 2 + head);

  test("every head's logits and ranks along the text are the twin's", () =>
    withHeads(name, (heads) => {
      expect(heads).toMatchObject({ kind: "hydra", heads: 3, ranks: RANKS });
      expect(heads.guessAll).toBeUndefined();
      expected.forEach((row, at) => {
        const hidden = rowsOf([twins.hidden[at]]);
        heads.states?.(at, hidden);
        row.forEach((logits, head) => {
          const listed = Array.from(heads.guess(hidden, head, path(at, head)));
          expectNear(heads.logits(), logits);
          expect(listed).toEqual(ranked(logits).slice(0, RANKS));
        });
      });
    }));
});

test("Hydra's heads without a prefix layer take many paths in a pass", () =>
  withHeads("hydra", (heads) => {
    const rows = twins.logits.hydra.length;
    for (const head of [2, 0, 1]) {
      const paths = Array.from({ length: rows }, (_, row) => twins.ids.slice(row + 1, row + 2 + head)).flat();
      heads.guess(rowsOf(twins.hidden.slice(0, rows)), head, paths);
      expectNear(
        heads.logits(),
        twins.logits.hydra.flatMap((row) => row[head]),
      );
    }
  }));

describe("the prefix layer", () => {
  const expected = twins.logits["hydra-prefix"];
  const last = expected.length - 1;
  const check = (heads: HeadsEngine) => {
    const path = twins.ids.slice(last + 1, last + 3);
    heads.guess(rowsOf([twins.hidden[last], twins.hidden[last]]), 1, [...path, ...path]);
    expectNear(heads.logits(), [...expected[last][1], ...expected[last][1]]);
  };

  test.each([
    ["at once", [last + 1]],
    ["one by one", new Array<number>(last + 1).fill(1)],
    ["in uneven pieces", [2, 1, last - 2]],
  ])("is told the text %s", (_way, pieces) =>
    withHeads("hydra-prefix", (heads) => {
      let at = 0;
      for (const count of pieces) {
        heads.states?.(at, rowsOf(twins.hidden.slice(at, at + count)));
        at += count;
      }
      check(heads);
    }),
  );

  test("forgets what it was told from a position on", () =>
    withHeads("hydra-prefix", (heads) => {
      heads.states?.(0, rowsOf([...twins.hidden.slice(0, 2), ...twins.hidden.slice(4, 8)]));
      heads.states?.(2, rowsOf(twins.hidden.slice(2, last + 1)));
      check(heads);
    }));

  test("a gap, no states and a text beyond the cache are refused", () =>
    withHeads("hydra-prefix", (heads) => {
      expect(() => heads.guess(rowsOf([twins.hidden[0]]), 0, [1])).toThrow("told no states");
      heads.states?.(0, rowsOf(twins.hidden.slice(0, 2)));
      expect(() => heads.states?.(3, rowsOf([twins.hidden[3]]))).toThrow(RangeError);
      expect(() => heads.states?.(2, new Float32Array(16 * 63))).toThrow(
        expect.objectContaining({ code: "CONTEXT_LIMIT", what: expect.stringContaining("64") }),
      );
    }));
});

// The CPU runs the graphs of every provider: what is written for a GPU is tested without one.
describe.each([
  ["WebGPU's, with Gemm", WEBGPU_DIALECT, 1e-4],
  // halves have 11 bits: the greatest logits are about 16, and each is a sum through two or three rounded products
  ["CUDA's, in fp16", CUDA_DIALECT, 0.1],
])("the graph as it is written for another provider: %s", (_name, dialect, tolerance) => {
  test.each(["medusa-two-blocks", "vllm-one-head", "vllm-truncated-whole-head", "hydra-two-blocks", "hydra-prefix"])(
    "%s",
    (name) =>
      withHeads(
        name,
        (heads) => {
          const row = 2;
          const states = rowsOf(twins.hidden.slice(0, row + 1));
          heads.states?.(0, states);
          const state = states.slice(-16);
          const expected = twins.logits[name][row];
          if (heads.guessAll) heads.guessAll(state);
          else heads.guess(state, 2, twins.ids.slice(row + 1, row + 4));
          expectNear(heads.logits(), heads.guessAll ? expected.flat() : expected[2], tolerance);
        },
        { dialect },
      ),
  );
});

test.each(["vllm", "vllm-one-head", "hydra", "hydra-prefix"])("%s with the first of its heads alone", async (name) => {
  const folder = join(temporaryFolder(), name);
  cpSync(join(FOLDER, name), folder, { recursive: true });
  const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8")) as Record<string, unknown>;
  const key = "hydra_num_heads" in config ? "hydra_num_heads" : "num_heads";
  writeFileSync(join(folder, "config.json"), JSON.stringify({ ...config, [key]: 1 }));
  const heads = await openHeads(folder, model, { ...options, ranks: RANKS });
  expect(heads.heads).toBe(1);
  const hidden = rowsOf([twins.hidden[0]]);
  heads.states?.(0, hidden);
  const listed = Array.from(heads.guess(hidden, 0, [twins.ids[1]]));
  const [expected] = twins.logits[name][0];
  expectNear(heads.logits(), expected);
  expect(listed).toEqual(ranked(expected).slice(0, RANKS));
  heads.close();
});

test("no more ranks are listed than there are tokens to guess among", () =>
  withHeads("vllm-truncated", (heads) => expect(heads.ranks).toBe(12), { ranks: 100 }));
