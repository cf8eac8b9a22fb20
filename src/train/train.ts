/**
 * Trains heads on text that the target wrote (Medusa-1: arXiv:2401.10774, section 2.2.1; Hydra: arXiv:2402.05109, section
 * 4): cross entropy of every head's token, Adam, the model itself frozen. What is inside SiLU starts at zero. So a Medusa head
 * starts as the model's own prediction; a Hydra head starts where a regression puts it (regression.ts).
 */
import type { Progress } from "../core/progress.js";
import { type HeadsShape, headParameters } from "../model/heads/parameters.js";
import type { Clock } from "../runtime/engine.js";
import { seededRandom } from "../stats/random.js";
import { type Accuracy, accuracyOf, type Judged } from "./accuracy.js";
import { type AdamState, adamStep, newAdam } from "./adam.js";
import type { Classes, ClassRows } from "./classes.js";
import { allPositions, fillBatch, type OwnText, positionsOf } from "./examples.js";
import { scheduleShare } from "./schedule.js";

/** What computes: runtime/training/head-graphs.ts. */
export interface Computation extends ClassRows {
  readonly inputs: Float32Array;
  readonly targets: BigInt64Array;
  readonly losses: Float32Array;
  readonly ranks: Float32Array;
  readonly gradient: Float32Array;
  differentiate(): void;
  judge(): void;
}

export interface TrainingTask {
  shape: HeadsShape;
  /** as headParameters lies; changed in place, and the best at the end */
  weights: Float32Array;
  computation: Computation;
  /** that a step tells apart, as many as the computation was opened for; null: the vocabulary */
  classes: Classes | null;
  /** [epochs] the texts of each epoch */
  epochs: readonly (readonly OwnText[])[];
  /** of other documents: decides when to stop */
  heldBack: readonly OwnText[];
  /** [vocabSize, hiddenSize] */
  embedding: Float32Array;
  seed: number;
  clock: Clock;
  /** when training ends at the latest, though epochs are left */
  untilUs: number;
  progress: Progress;
  /** told after each epoch, and where training is interrupted */
  save(state: TrainingState): void;
  /** where an interrupted training goes on */
  resumed?: TrainingState | undefined;
  /** writes the weights that training begins with; left out: every head begins as the model's own prediction */
  begin?: ((weights: Float32Array) => Promise<void>) | undefined;
  epochDone?(epoch: number, trainLoss: number, accuracy: Accuracy): void;
}

/** All that training goes on from, besides the task. */
export interface TrainingState {
  weights: Float32Array;
  adam: AdamState;
  /** weights of least loss on the held-back texts so far */
  best: Float32Array;
  bestLoss: number;
  bestEpoch: number;
  /** finished */
  epochs: number;
  /** of the epoch under way */
  step: number;
  /** summed over the steps of the epoch under way */
  lossSum: number;
}

export interface TrainingResult {
  /** of the best weights, on the held-back texts */
  accuracy: Accuracy;
  epochs: number;
  bestEpoch: number;
  /** why it ended */
  stopped: "epochs" | "no better" | "budget";
}

export const ROWS = 256;
/** Adam's step size at first; it falls along a cosine to zero, which is worth two epochs of a constant one */
const RATE = 2e-3;
/** epochs without a smaller loss on the held-back texts */
const PATIENCE = 3;

/** Weights at the start: nothing inside SiLU, and for Hydra a residual that is the state. */
function initialWeights(shape: HeadsShape, weights: Float32Array): void {
  weights.fill(0);
  for (const { part, offset, shape: dims } of headParameters(shape))
    if (part === "residual.weight") for (let i = 0; i < dims[0]; i++) weights[offset + i * dims[1] + i] = 1;
}

export async function trainHeads(task: TrainingTask): Promise<TrainingResult> {
  const { shape, weights, computation, clock, progress, epochs } = task;
  const rows = computation.losses.length / shape.heads;
  const stepsOf = (texts: readonly OwnText[]) =>
    Math.floor(texts.reduce((sum, text) => sum + positionsOf(text, shape.heads), 0) / rows);
  const total = epochs.reduce((sum, texts) => sum + stepsOf(texts), 0);
  const state = task.resumed ?? (await newState(task));
  weights.set(state.weights);
  state.weights = weights;
  task.classes?.fix(computation);
  const begun = { atUs: clock.nowUs(), share: 0 };
  let before = epochs.slice(0, state.epochs).reduce((sum, texts) => sum + stepsOf(texts), 0);
  begun.share = (before + state.step) / total;
  let stopped: TrainingResult["stopped"] = "epochs";
  try {
    for (const texts of epochs.slice(state.epochs)) {
      const steps = stepsOf(texts);
      const order = seededRandom(task.seed, state.epochs).shuffle(allPositions(texts, shape.heads));
      for (; state.step < steps; state.step++) {
        const done = before + state.step;
        await progress.tick({ stage: "train", done, total });
        const nowUs = clock.nowUs();
        if (nowUs >= task.untilUs) break;
        const from = state.step * rows;
        fillBatch(computation, shape, texts, order.slice(from, from + rows), task.embedding);
        task.classes?.draw(computation, seededRandom(task.seed, state.epochs, state.step), computation.targets);
        computation.differentiate();
        state.lossSum += computation.losses.reduce((sum, loss) => sum + loss, 0) / rows;
        const timeShare = (nowUs - begun.atUs) / (task.untilUs - begun.atUs);
        const share = scheduleShare(done / total, timeShare, begun.share);
        const rate = 0.5 * RATE * (1 + Math.cos(Math.PI * share));
        adamStep(weights, computation.gradient, state.adam, rate);
      }
      const whole = state.step === steps;
      const accuracy = await judge(task);
      if (accuracy.loss < state.bestLoss) {
        state.best.set(weights);
        state.bestLoss = accuracy.loss;
        state.bestEpoch = state.epochs + 1;
      }
      if (!whole) {
        stopped = "budget";
        break;
      }
      state.epochs += 1;
      before += steps;
      task.epochDone?.(state.epochs, state.lossSum / steps, accuracy);
      state.step = 0;
      state.lossSum = 0;
      task.save(state);
      if (state.epochs - state.bestEpoch >= PATIENCE && state.epochs < epochs.length) {
        stopped = "no better";
        break;
      }
    }
  } catch (reason) {
    task.save(state); // also where it was interrupted
    throw reason;
  }
  weights.set(state.best);
  const accuracy = await judge(task);
  return { accuracy, epochs: state.epochs, bestEpoch: state.bestEpoch, stopped };
}

async function newState(task: TrainingTask): Promise<TrainingState> {
  const { weights } = task;
  if (task.begin === undefined) initialWeights(task.shape, weights);
  else await task.begin(weights);
  return {
    weights,
    adam: newAdam(weights.length),
    best: weights.slice(),
    bestLoss: (await judge(task)).loss,
    bestEpoch: 0,
    epochs: 0,
    step: 0,
    lossSum: 0,
  };
}

/** The weights as they are, on every position of the held-back texts. */
async function judge({ shape, computation, heldBack, embedding, progress }: TrainingTask): Promise<Accuracy> {
  const { heads } = shape;
  const rows = computation.losses.length / heads;
  const texts: Judged[] = heldBack.map((text) => {
    const count = positionsOf(text, heads) * heads;
    return { losses: new Float32Array(count), ranks: new Float32Array(count) };
  });
  const positions = allPositions(heldBack, heads);
  for (let from = 0; from < positions.length; from += rows) {
    const piece = positions.slice(from, from + rows);
    const count = piece.length;
    while (piece.length < rows) piece.push(piece[0]); // rows that nobody reads
    fillBatch(computation, shape, heldBack, piece, embedding);
    computation.judge();
    for (let row = 0; row < count; row++) {
      const { text, index } = piece[row];
      const of = (values: Float32Array) => values.subarray(row * heads, (row + 1) * heads);
      texts[text].losses.set(of(computation.losses), index * heads);
      texts[text].ranks.set(of(computation.ranks), index * heads);
    }
    await progress.tick();
  }
  return accuracyOf(texts, heads);
}
