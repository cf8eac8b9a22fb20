/** Training that is interrupted and gone on with, and the folder that it goes on from. */
import { appendFileSync, existsSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Progress } from "../../src/core/progress.js";
import { openHeadsCheckpoint } from "../../src/model/heads/open.js";
import { type HeadsShape, headParameters, parameterCount } from "../../src/model/heads/parameters.js";
import { roundToHalf, toHalf } from "../../src/model/kernels/half.js";
import { floats, openTrainingGraphs } from "../../src/runtime/training/head-graphs.js";
import { seededRandom } from "../../src/stats/random.js";
import { Classes } from "../../src/train/classes.js";
import type { OwnText } from "../../src/train/examples.js";
import { trainHeads } from "../../src/train/train.js";
import { WorkFolder } from "../../src/train/work-folder.js";
import { writeHeads } from "../../src/train/write-heads.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

const SHAPE: HeadsShape = { kind: "medusa", heads: 2, hiddenSize: 8 };
const VOCAB = 12;
const TASK = { heads: 2 };
const folder = temporaryFolder();
const fail = (why: string) => {
  throw new Error(why);
};
const open = (name: string, task: object = TASK, ignored: (why: string) => void = fail) =>
  new WorkFolder(join(folder, name), task, SHAPE.hiddenSize, 0, ignored);

/** A language in which a token is known from two before it: states are the embeddings of the last two. */
function texts(seed: number, count: number, embedding: Float32Array): OwnText[] {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => {
    const ids = [random.index(VOCAB), random.index(VOCAB)];
    while (ids.length < 40) ids.push((ids[ids.length - 2] * 5 + 3) % VOCAB);
    const states = new Float32Array(ids.length * 8);
    ids.forEach((_, i) => {
      for (let j = 0; j < 8; j++)
        states[i * 8 + j] = embedding[ids[i] * 8 + j] + 0.5 * embedding[(ids[i - 1] ?? 0) * 8 + j];
    });
    return { ids: Int32Array.from(ids), states };
  });
}

async function trained(work: WorkFolder, tick: Progress["tick"] = async () => {}, vocabSize = VOCAB) {
  const embedding = floats(vocabSize * 8);
  const random = seededRandom(3);
  for (let i = 0; i < embedding.length; i++) embedding[i] = random.normal();
  const weights = floats(parameterCount(SHAPE));
  const train = texts(1, 12, embedding);
  const classes = Classes.of(train, vocabSize, 5);
  const graphs = openTrainingGraphs(SHAPE, embedding, weights, 32, { threads: 1 }, classes?.count);
  try {
    const result = await trainHeads({
      ...{ shape: SHAPE, weights, computation: graphs, classes, embedding, epochs: new Array(6).fill(train), seed: 4 },
      ...{ heldBack: texts(2, 4, embedding) },
      ...{ clock: { nowUs: () => 0 }, untilUs: 1, progress: { tick, warn: () => {} } },
      save: (state) => work.saveTraining(state),
      resumed: work.savedTraining(),
    });
    return { result, weights: weights.slice() };
  } finally {
    graphs.close();
  }
}

test.each([
  ["all tokens told apart", VOCAB],
  ["a sample of them", 4 * VOCAB],
])("training interrupted anywhere and gone on with gives the same weights, %s", async (name, vocabSize) => {
  const whole = await trained(open(`${name}, whole`), undefined, vocabSize);
  expect(whole.result).toMatchObject({ epochs: 6, bestEpoch: 6 }); // it learns: every epoch is better than the last
  for (const after of [1, 9, 30]) {
    let ticks = 0;
    const stop = async () => {
      if (++ticks === after) throw new Error("interrupted");
    };
    await expect(trained(open(`${name}, cut ${after}`), stop, vocabSize)).rejects.toThrow("interrupted");
    expect(await trained(open(`${name}, cut ${after}`), undefined, vocabSize)).toEqual(whole);
  }
});

test("where the time is up before the steps are done, the step size falls to zero by then", async () => {
  const random = seededRandom(3);
  const embedding = floats(VOCAB * 8).map(() => random.normal()) as Float32Array<ArrayBuffer>;
  const weights = floats(parameterCount(SHAPE));
  const graphs = openTrainingGraphs(SHAPE, embedding, weights, 32, { threads: 1 });
  const changes: number[] = [];
  let last = weights.slice();
  let nowUs = 0;
  const tick = async ({ stage }: { stage?: string } = {}) => {
    if (stage !== "train") return;
    nowUs += 1;
    changes.push(Math.max(...weights.map((weight, i) => Math.abs(weight - last[i]))));
    last = weights.slice();
  };
  try {
    const result = await trainHeads({
      ...{ shape: SHAPE, weights, computation: graphs, classes: null, embedding, seed: 4 },
      ...{ epochs: new Array(20).fill(texts(1, 12, embedding)), heldBack: texts(2, 4, embedding) },
      ...{ clock: { nowUs: () => nowUs }, untilUs: 100, progress: { tick: tick as Progress["tick"], warn: () => {} } },
      save: () => {},
    });
    expect(result.stopped).toBe("budget");
    // of 280 steps a hundred were taken; Adam's are about as large as the step size
    expect(changes).toHaveLength(100);
    expect(changes[10]).toBeGreaterThan(1e-3);
    expect(changes[98]).toBeLessThan(1e-4);
  } finally {
    graphs.close();
  }
});

test("a work folder keeps texts, drops what a crash cut off, and begins anew for another task", () => {
  const [first, second] = texts(5, 2, floats(VOCAB * 8).fill(0.25));
  const work = open("kept");
  work.add("train", first);
  work.add("held back", null);
  work.add("held back", second);
  expect(open("kept").texts).toEqual(work.texts);
  expect(open("kept").asked).toBe(3);

  appendFileSync(join(work.path, "texts.jsonl"), '{"part":"train","ids":[1,2'); // cut inside a line
  appendFileSync(join(work.path, "states.f32"), new Uint8Array(33)); // and states whose line is missing
  const again = open("kept");
  expect(again.texts).toEqual(work.texts);
  expect(statSync(join(work.path, "states.f32")).size).toBe(2 * 40 * 8 * 4);
  again.add("train", first);
  expect(open("kept").texts).toHaveLength(3);

  truncateSync(join(work.path, "states.f32"), 2 * 40 * 8 * 4 + 5); // a line whose states are missing
  expect(open("kept").texts).toEqual(work.texts);

  const ignored: string[] = [];
  expect(open("kept", { heads: 3 }, (why) => ignored.push(why)).texts).toEqual([]);
  expect(ignored).toHaveLength(1);
});

test("a torn state of training is not gone on from", async () => {
  const work = open("torn");
  await trained(work);
  const path = join(work.path, "training.bin");
  expect(work.savedTraining()?.epochs).toBe(6);
  writeFileSync(path, readFileSync(path).subarray(0, -1));
  expect(work.savedTraining()).toBeUndefined();
});

test("too little room is said before anything is written", () => {
  const path = join(folder, "large");
  expect(() => new WorkFolder(path, TASK, 8, 1e18, fail)).toThrow(/MiB are free/);
});

test.each(["medusa", "hydra"] as const)("%s heads are read as they were written, in float16", async (kind) => {
  const shape: HeadsShape = { kind, heads: 3, hiddenSize: 4 };
  const random = seededRandom(6);
  const weights = Float32Array.from({ length: parameterCount(shape) }, () => random.normal());
  const lmHead = Float32Array.from({ length: VOCAB * 4 }, () => random.normal());
  for (const own of [null, lmHead]) {
    const path = join(folder, `${kind} ${own === null}`);
    const written = { shape, vocabSize: VOCAB, weights, lmHead: own, facts: {}, readme: "" };
    const sha256 = writeHeads(path, written, toHalf);
    expect(existsSync(`${path}.writing`)).toBe(false);
    const read = await openHeadsCheckpoint(path);
    expect(read.sha256).toBe(sha256);
    expect(read.spec).toMatchObject({ kind, heads: 3, blocks: 1, hiddenSize: 4, blockBias: true, prefix: false });
    expect(read.spec.lmHead).toBe(own === null ? "model" : kind === "medusa" ? "one" : "each");
    for (const { head, part, shape: dims, offset, length } of headParameters(shape))
      expect(read.tensor(`block.${head}.0.${part}`, dims)).toEqual(
        weights.slice(offset, offset + length).map(roundToHalf),
      );
    read.close();
    expect(() => writeHeads(path, written, toHalf)).toThrow(/could not be written/);
  }
});
