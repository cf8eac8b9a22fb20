/**
 * Faults of decoding with trees, planted in an engine: what a row sees, where it stands, what becomes of the accepted path.
 * The decoder is the real one. Reference and verdict come of passes of one token, which none of these faults touches.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import type { Drafter } from "../../src/decode/drafters/drafter.js";
import { decode } from "../../src/decode/loop.js";
import { systemClock } from "../../src/runtime/device.js";
import { argmax, type Engine } from "../../src/runtime/engine.js";
import { type LoadedModel, loadModel } from "../../src/runtime/load.js";
import { TreeInputs } from "../../src/runtime/tree-inputs.js";
import { targetChoices } from "../../src/schema/choice.js";
import type { Plan } from "../../src/schema/plan.js";
import { type VerifyPrompt, verifyPlan } from "../../src/verify/index.js";
import { fakeNextToken, naiveGreedy } from "../oracle/naive-greedy.js";
import type { TreeFault } from "../support/fake-engine.js";
import { LONG } from "../support/long.js";
import { allInt8, handPlan } from "../support/plans.js";
import { temporaryFolder, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";
import { branching } from "../support/tree-drafter.js";
import { fake, plan as fakePlan, promptsOf, spec, speculating } from "./support.js";

/** decode(), but with this drafter where the plan drafts */
const draftingWith =
  (drafter: Drafter): typeof decode =>
  (engine, prompt, options) =>
    decode(engine, prompt, {
      ...options,
      policy: options.policy === null ? null : () => ({ drafter, draftTokens: 3 }),
    });

describe("on the fake engine", () => {
  const verify = (treeFault?: TreeFault) => {
    const { engine, clock } = fake(0.3, treeFault === undefined ? {} : { treeFault });
    const drafter = branching((text) => fakeNextToken(text, spec.vocabSize));
    return verifyPlan({
      ...{ engine, clock, planPath: "plan.yaml", plan: fakePlan(speculating(0, 512, 4)), prompts: promptsOf(9, 30) },
      ...{ maxTokens: 40, pairs: 1, decode: draftingWith(drafter) },
    });
  };

  test("without a fault the output is the target's own, and paths are accepted", async () => {
    const { lossless, accepted_length } = await verify();
    expect(lossless).toBe(true);
    expect(accepted_length).toBeGreaterThan(2);
  });

  test.each<TreeFault>([
    "sibling visible",
    "no mask",
    "position by row",
    "cache not moved",
    "values not moved",
    "path order",
  ])("is caught: %s", async (fault) => {
    const { lossless, prompts } = await verify(fault);
    expect(lossless).toBe(false);
    for (const { first_mismatch } of prompts) expect(first_mismatch).not.toBeNull();
  });
});

/** What a pass over a tree was made ready with; faults change it before it runs. */
interface Ready {
  /** one for each window that layers have; [q, total] */
  views: { bias: { data: Float32Array } }[];
  /** [q] */
  positions: { data: BigInt64Array };
}

const parentsAt = (parents: ArrayLike<number>, row: number) => Array.from(parents).indexOf(parents[row]);

type ReadyFault = (ready: Ready, position: number, parents: ArrayLike<number>, total: number) => void;

const READY_FAULTS: Record<string, ReadyFault> = {
  "sibling visible": ({ views }, position, parents, total) => {
    // its own elder sibling, and those of the rows it follows: on a trained model one token too many seldom changes an answer
    for (let row = 0; row < parents.length; row++)
      for (let on = row; on !== -1; on = parents[on])
        for (const { bias } of views) bias.data[row * total + position + parentsAt(parents, on)] = 0;
  },
  "no mask": ({ views }, _position, parents, total) => {
    for (const { bias } of views) bias.data.fill(0, 0, parents.length * total);
  },
  "wrong position: by row": ({ positions }, position, parents) => {
    for (let row = 0; row < parents.length; row++) positions.data[row] = BigInt(position + row);
  },
  "wrong position: one too far": ({ positions }, _position, parents) => {
    for (let row = 1; row < parents.length; row++) positions.data[row] += 1n;
  },
};

/** Engines that move the accepted rows otherwise. */
const MOVE_FAULTS: Record<string, (engine: Engine, position: number, rows: number[]) => void> = {
  "cache not moved": () => {},
  "path order": (engine, position, rows) => {
    engine.keepRows?.(position, rows.slice(0, 1));
    // the second of the path goes behind the third, and the third before it
    if (rows.length < 3) engine.keepRows?.(position, rows);
    else
      for (const [place, row] of [rows[2], rows[1]].entries())
        engine.keepRows?.(position + 1 + place, [row - 1 - place]);
  },
  "another path": (engine, position, rows) => engine.keepRows?.(position, [...rows.keys()]),
};

const CPU = { provider: "cpu", threads: 1, capacity: 256 };
const TOKENS = 40;

interface Subject {
  name: string;
  open(): Promise<LoadedModel>;
  prompts: VerifyPrompt[];
}

const tiny = (architecture: "llama" | "qwen3", seed: number): Subject => ({
  name: `a random ${architecture}`,
  open: () =>
    loadModel(
      writeTinyCheckpoint(temporaryFolder(), { architecture, layers: 4, headDim: 16, seed, eosTokenIds: [] }),
      CPU,
    ),
  prompts: [
    { name: "short", ids: [5, 9, 23, 40, 7] },
    { name: "longer", ids: Array.from({ length: 30 }, (_, i) => (i * 13 + 3) % 64) },
  ],
});
const embedded: Subject = {
  name: "the embedded model",
  open: () => loadModel("embedded", CPU),
  prompts: [
    { name: "ids", ids: [0, 2819, 506, 268] },
    { name: "others", ids: [0, 700, 31, 1200, 5, 2048] },
    { name: "more", ids: [0, 3001, 17, 404, 96] },
  ],
};

describe.each([tiny("llama", 11), ...(LONG ? [tiny("qwen3", 5), embedded] : [])])("on $name", ({ open, prompts }) => {
  let model: LoadedModel;
  let plan: Plan;
  let drafter: Drafter;
  beforeAll(async () => {
    model = await open();
    const { engine, ref, spec } = model;
    const digests = { architectureSha256: ref.architecture_sha256, weightsSha256: ref.weights_sha256 };
    plan = handPlan({ name: spec.name, layers: spec.layers, ...digests, draft: allInt8, draftTokens: 3 });
    const choices = targetChoices(spec.layers);
    const next = (text: readonly number[]) =>
      argmax(engine.run({ position: 0, input: text, choices, logitRows: 1 }).logits, 0, spec.vocabSize);
    // decoded beforehand: the drafter must not write into the cache that is being tested
    const texts = prompts.map(({ ids }) => [...ids, ...naiveGreedy(next, [...ids], TOKENS)]);
    drafter = branching(
      (text) => texts.find((known) => text.every((token, i) => known[i] === token))?.[text.length] ?? null,
    );
  });
  afterAll(() => model?.close());
  afterEach(() => vi.restoreAllMocks());

  const verify = (engine: Engine = model.engine) =>
    verifyPlan({
      ...{ engine, clock: systemClock, plan, planPath: "plan.yaml", prompts, decode: draftingWith(drafter) },
      ...{ maxTokens: TOKENS, endTokens: [], pairs: 1 },
    });

  test("without a fault the output is the target's own, and paths are accepted", async () => {
    const { lossless, accepted_length, output_sha256, reference_sha256 } = await verify();
    expect({ lossless, output_sha256 }).toEqual({ lossless: true, output_sha256: reference_sha256 });
    expect(accepted_length).toBeGreaterThan(2);
  });

  test.each(Object.entries(READY_FAULTS))("is caught: %s", async (_name, plant) => {
    const { set } = TreeInputs.prototype;
    vi.spyOn(TreeInputs.prototype, "set").mockImplementation(function (this: TreeInputs, position, parents) {
      const seen = set.call(this, position, parents);
      plant(this as unknown as Ready, position, parents, seen.total);
      return seen;
    });
    expect(await verify()).toMatchObject({ lossless: false });
  });

  test.each(Object.entries(MOVE_FAULTS))("is caught: %s", async (_name, move) => {
    const { engine } = model;
    const faulty = Object.assign(Object.create(engine) as Engine, {
      run: (pass: Parameters<Engine["run"]>[0]) => engine.run(pass),
      keepRows: (position: number, rows: ArrayLike<number>) => move(engine, position, Array.from(rows)),
    });
    expect(await verify(faulty)).toMatchObject({ lossless: false });
  });
});
