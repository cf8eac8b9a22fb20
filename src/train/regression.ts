/**
 * Where Hydra's training begins: the linear map from what a head is told to the state behind the token that it guesses,
 * by least squares. A head's residual R c + r is that map, so that under the model's LM head it guesses what the model
 * itself would say there, without a step of training; what is inside SiLU begins at nothing, and training adds to it.
 *
 *     (R, r) = argmin Σ |R c + r − y|² + λ Σ_j var(c_j) |R_j|²      ridge regression (Hoerl and Kennard 1970)
 *
 * with c a head's inputs and y the target's state at which the guessed token was chosen. Penalties are in proportion to each
 * input's variance, since states and embeddings are of different sizes.
 *
 * A head's inputs are the first of the last head's, and the leading block of a Cholesky factor is the factor of the leading
 * block: one matrix is factorised for all heads.
 */
import type { Progress } from "../core/progress.js";
import { blockInputs, type HeadsShape, headParameters } from "../model/heads/parameters.js";
import { cholesky, solveLeading } from "../stats/linear.js";
import { allPositions, fillBatch, type OwnText, type Position } from "./examples.js";

/** What multiplies: runtime/training/moment-graph.ts. */
export interface MomentComputation {
  /** [rows, width] */
  readonly inputs: Float32Array;
  /** [rows, heads · hiddenSize] */
  readonly wanted: Float32Array;
  /** [width, width] inputsᵀ · inputs, after `multiply` */
  readonly squares: Float32Array;
  /** [width, heads · hiddenSize] inputsᵀ · wanted, after `multiply` */
  readonly products: Float32Array;
  multiply(): void;
}

/** λ, a share of an input's variance */
const PENALTY = 0.01;
/** variance, as a share of the mean's square, below which it is nothing but rounding */
const NO_VARIANCE = 1e-12;
/** Positions that the map is found on at most, evenly spread: eleven for each input of the last of four heads over 576 numbers. */
const MOST_POSITIONS = 32_768;
/** Inputs of the last head beyond which factorising would take minutes, and a head begins as the state itself instead. */
const MOST_INPUTS = 4096;

/** Whether heads of this shape begin at the regression: Medusa's have no residual that could hold it. */
export const beginsAtRegression = (shape: HeadsShape): boolean =>
  shape.kind === "hydra" && blockInputs(shape, shape.heads - 1) <= MOST_INPUTS;

/**
 * Writes the residuals into the weights, and zeros everywhere else.
 * @param embedding [vocabSize, hiddenSize]
 * @param weights   as headParameters lies
 */
export async function regress(
  shape: HeadsShape,
  weights: Float32Array,
  texts: readonly OwnText[],
  embedding: Float32Array,
  computation: MomentComputation,
  progress: Progress,
): Promise<void> {
  const { heads, hiddenSize } = shape;
  const width = blockInputs(shape, heads - 1);
  const { squares, products, inputMeans, wantedMeans } = await centredSums(
    shape,
    texts,
    embedding,
    computation,
    progress,
  );
  for (let i = 0; i < width; i++) penalise(squares, products, i, inputMeans);
  await progress.tick();
  const factor = cholesky(squares, width);
  weights.fill(0);
  for (let head = 0; head < heads; head++) {
    await progress.tick();
    const inputs = blockInputs(shape, head);
    const map = columnsOf(products, inputs, heads * hiddenSize, head * hiddenSize, hiddenSize);
    solveLeading(factor, width, inputs, map, hiddenSize);
    const part = (name: string) => {
      const found = headParameters(shape).find((one) => one.head === head && one.part === name);
      if (found === undefined) throw new Error(`head ${head} has no ${name}`);
      return weights.subarray(found.offset, found.offset + found.length);
    };
    const [matrix, bias] = [part("residual.weight"), part("residual.bias")];
    for (let out = 0; out < hiddenSize; out++) {
      let rest = wantedMeans[head * hiddenSize + out];
      for (let i = 0; i < inputs; i++) {
        matrix[out * inputs + i] = map[i * hiddenSize + out];
        rest -= map[i * hiddenSize + out] * inputMeans[i];
      }
      bias[out] = rest;
    }
  }
}

/** The i-th input's penalty; one that never varied says nothing, and gets no weight. */
function penalise(squares: Float64Array, products: Float64Array, i: number, means: Float64Array): void {
  const width = means.length;
  const columns = products.length / width;
  const variance = squares[i * width + i];
  if (variance > NO_VARIANCE * means[i] ** 2) {
    squares[i * width + i] = variance * (1 + PENALTY);
    return;
  }
  for (let j = 0; j < width; j++) squares[i * width + j] = squares[j * width + i] = 0;
  squares[i * width + i] = 1;
  products.fill(0, i * columns, (i + 1) * columns);
}

/** [rows, width] of a wider matrix's columns from `first` on. */
function columnsOf(of: Float64Array, rows: number, stride: number, first: number, width: number): Float64Array {
  const columns = new Float64Array(rows * width);
  for (let i = 0; i < rows; i++) columns.set(of.subarray(i * stride + first, i * stride + first + width), i * width);
  return columns;
}

interface CentredSums {
  /** [width, width] Σ (c − mean)(c − mean)ᵀ */
  squares: Float64Array;
  /** [width, heads · hiddenSize] Σ (c − mean)(y − mean)ᵀ */
  products: Float64Array;
  inputMeans: Float64Array;
  wantedMeans: Float64Array;
}

/** The means come first and are taken off before anything is multiplied: products are in fp32. */
async function centredSums(
  shape: HeadsShape,
  texts: readonly OwnText[],
  embedding: Float32Array,
  computation: MomentComputation,
  progress: Progress,
): Promise<CentredSums> {
  const { inputs, wanted, squares, products } = computation;
  const width = blockInputs(shape, shape.heads - 1);
  const rows = inputs.length / width;
  const columns = wanted.length / rows;
  const positions = evenly(allPositions(texts, shape.heads), MOST_POSITIONS);
  const batch = { inputs, targets: new BigInt64Array(rows * shape.heads) };
  const inBatches = async (stage: string, work: (count: number) => void) => {
    for (let from = 0; from < positions.length; from += rows) {
      await progress.tick({ stage, done: from, total: positions.length });
      const piece = positions.slice(from, from + rows);
      const count = piece.length;
      while (piece.length < rows) piece.push(piece[0]); // rows that do not count
      fillBatch(batch, shape, texts, piece, embedding);
      fillWanted(wanted, shape, texts, piece);
      work(count);
    }
  };
  const sums = {
    squares: new Float64Array(squares.length),
    products: new Float64Array(products.length),
    inputMeans: new Float64Array(width),
    wantedMeans: new Float64Array(columns),
  };
  const { inputMeans, wantedMeans } = sums;
  await inBatches("means", (count) => {
    addRows(inputMeans, inputs, count, 1 / positions.length);
    addRows(wantedMeans, wanted, count, 1 / positions.length);
  });
  await inBatches("regression", (count) => {
    takeMeans(inputs, inputMeans, count);
    takeMeans(wanted, wantedMeans, count);
    computation.multiply();
    addTo(sums.squares, squares);
    addTo(sums.products, products);
  });
  return sums;
}

function evenly(positions: readonly Position[], most: number): Position[] {
  if (positions.length <= most) return [...positions];
  return Array.from({ length: most }, (_, i) => positions[Math.floor((i * positions.length) / most)]);
}

/** Head k's is the state at which the token that it guesses was chosen. */
function fillWanted(
  wanted: Float32Array,
  { heads, hiddenSize }: HeadsShape,
  texts: readonly OwnText[],
  positions: readonly Position[],
): void {
  positions.forEach(({ text, index }, row) => {
    const from = (index + 1) * hiddenSize;
    wanted.set(texts[text].states.subarray(from, from + heads * hiddenSize), row * heads * hiddenSize);
  });
}

function addTo(sums: Float64Array, values: Float32Array): void {
  for (let i = 0; i < sums.length; i++) sums[i] += values[i];
}

/** Adds a share of each of a matrix's first rows to `sums`. */
function addRows(sums: Float64Array, matrix: Float32Array, rows: number, share: number): void {
  const width = sums.length;
  for (let row = 0; row < rows; row++) for (let i = 0; i < width; i++) sums[i] += share * matrix[row * width + i];
}

/** Takes the means off a matrix's first rows, and puts the others to nothing. */
function takeMeans(matrix: Float32Array, means: Float64Array, rows: number): void {
  const width = means.length;
  for (let row = 0; row < rows; row++) for (let i = 0; i < width; i++) matrix[row * width + i] -= means[i];
  matrix.fill(0, rows * width);
}
