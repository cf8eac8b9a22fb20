/** Heads for a model, trained on text that it wrote itself. */
import { draftplanVersion } from "../../core/version.js";
import { type HeadsShape, parameterCount } from "../../model/heads/parameters.js";
import { toHalf } from "../../model/kernels/half.js";
import type { Checkpoint } from "../../model/spec.js";
import { systemClock } from "../../runtime/device.js";
import type { LoadedModel } from "../../runtime/load.js";
import { openSideBySide } from "../../runtime/side-by-side/open.js";
import { floats, openTrainingGraphs } from "../../runtime/training/head-graphs.js";
import { openMomentProducts } from "../../runtime/training/moment-products.js";
import type { Kernel } from "../../schema/choice.js";
import { openTokenizer } from "../../tokenizer/open.js";
import type { Accuracy } from "../../train/accuracy.js";
import { Classes } from "../../train/classes.js";
import { type OwnText, positionsOf } from "../../train/examples.js";
import { beginsAtRegression, regress } from "../../train/regression.js";
import { ROWS, type TrainingResult, trainHeads } from "../../train/train.js";
import { WorkFolder } from "../../train/work-folder.js";
import { writeHeads } from "../../train/write-heads.js";
import type { PipelineContext } from "../context.js";
import { isSmall, textCodec } from "../text/calibration-text.js";
import { withModel } from "../with-model.js";
import { requireEmpty, type TrainingRequest } from "./options.js";
import { collectOwnText, ownTextCapacity, textToRead, trainingPrompts } from "./own-text.js";
import { readmeOf } from "./readme.js";

export interface TrainedHeads {
  kind: HeadsShape["kind"];
  heads: number;
  /** of the weight file */
  sha256: string;
  path: string;
  model: LoadedModel["ref"];
  /** what heads are trained on and judged by */
  positions: number;
  /** of the text itself, trained on before */
  textPositions: number;
  accuracy: Accuracy;
  epochs: number;
  bestEpoch: number;
  stopped: TrainingResult["stopped"];
  /** of this run: one that went on from an earlier one's work has less */
  seconds: { text: number; training: number };
}

/** Passes over the text that was read, then over the target's own, at most: of a larger model each takes minutes. */
const EPOCHS = { small: { read: 2, own: 10 }, large: { read: 2, own: 4 } };
/** share of the budget that the target's text may take */
const TEXT_SHARE = 0.6;
/** Tokens to train on. Text that is only read helps little, and many texts are written at once about as fast as one is read. */
const POSITIONS = { small: { read: 0, own: 24_576 }, large: { read: 0, own: 49_152 } };

/** Weights of the model's that heads need. */
interface Frozen {
  capacity: number;
  norm: Float32Array;
  embedding: Float32Array;
  lmHead: Float32Array;
}

/**
 * @throws OPTION_INVALID, TEXT_TOO_SHORT, FILE_UNWRITABLE, what loading a model throws. Where it is interrupted, what it has
 *   so far stays in a folder beside the heads, and the same request goes on from there
 */
export async function trainHeadsFor(
  path: string,
  request: TrainingRequest,
  context: PipelineContext,
): Promise<TrainedHeads> {
  requireEmpty(request.output);
  const startUs = systemClock.nowUs();
  const untilUs = startUs + 1e6 * request.budgetSeconds;
  const textUntilUs = startUs + 1e6 * TEXT_SHARE * request.budgetSeconds;
  // where texts are not continued side by side, int8 drafts for the one at a time
  const sideBySide = context.provider === "cpu";
  const kernels: Kernel[] = sideBySide ? ["target"] : ["target", "int8"];
  return await withModel(path, { ...context, kernels }, frozenWeights, async (model, frozen) => {
    const { progress, note } = context;
    const { spec } = model;
    const shape: HeadsShape = { kind: request.kind, heads: request.heads, hiddenSize: spec.hiddenSize };
    const tokenizer = await openTokenizer(model.path);
    const size = isSmall(spec) ? "small" : "large";
    const { positions = POSITIONS[size].own, textPositions = POSITIONS[size].read } = request;
    const codec = textCodec(tokenizer);
    const prompts = [
      ...textToRead(request.text, codec, spec, textPositions, shape.heads),
      ...trainingPrompts(request.text, codec, spec, positions, shape.heads),
    ];
    const task = taskOf(model, request, positions, textPositions);
    const bytes = 4 * (1.3 * positions + textPositions) * spec.hiddenSize + 20 * parameterCount(shape);
    const work = new WorkFolder(`${request.output}.partial`, task, spec.hiddenSize, bytes, (why) =>
      progress.warn(
        "JOURNAL_IGNORED",
        `${request.output}.partial is not gone on from, and will be written anew: ${why}`,
      ),
    );
    if (work.asked > 0) note(`goes on from ${work.path}: ${work.asked} of ${prompts.length} texts are there`);
    const before = work.asked;
    const texts = sideBySide && work.asked < prompts.length ? openTexts(model, context) : null;
    const collect = { prompts, work, texts, norm: frozen.norm, heads: shape.heads, untilUs: textUntilUs, progress };
    let late: boolean;
    try {
      late = await collectOwnText(model.engine, systemClock, collect);
    } finally {
      texts?.close();
    }
    if (late) progress.warn("BUDGET_SPENT", `the time for text is up: heads are trained on what there is`);
    const collectedUs = systemClock.nowUs();
    const weights = floats(parameterCount(shape));
    const train = work.of("train");
    const trained = train.reduce((sum, text) => sum + positionsOf(text, shape.heads), 0);
    const read = work.of("read");
    const classes = Classes.of([...read, ...train], spec.vocabSize);
    const graphs = openTrainingGraphs(shape, frozen.lmHead, weights, ROWS, context, classes?.count);
    let result: TrainingResult;
    try {
      result = await trainHeads({
        ...{
          shape,
          weights,
          computation: graphs,
          classes,
          train,
          heldBack: work.of("held back"),
          embedding: frozen.embedding,
        },
        ...{
          epochs: [
            ...new Array<OwnText[]>(read.length === 0 ? 0 : EPOCHS[size].read).fill(read),
            ...new Array<OwnText[]>(EPOCHS[size].own).fill(train),
          ],
          seed: request.seed,
          clock: systemClock,
          untilUs,
          progress,
        },
        save: (state) => work.saveTraining(state),
        resumed: work.asked === before ? work.savedTraining() : undefined, // on more text it begins anew
        begin: beginsAtRegression(shape) ? (at) => begin(shape, at, train, frozen.embedding, context) : undefined,
        epochDone: (epoch, loss, accuracy) => note(epochLine(epoch, loss, accuracy)),
      });
    } finally {
      graphs.close();
    }
    const readPositions = read.reduce((sum, text) => sum + positionsOf(text, shape.heads), 0);
    const counts = { positions: trained, textPositions: readPositions };
    const made = { kind: shape.kind, heads: shape.heads, path: request.output, model: model.ref, ...counts };
    const seconds = { text: (collectedUs - startUs) / 1e6, training: (systemClock.nowUs() - collectedUs) / 1e6 };
    const facts = { made_by: `draftplan ${draftplanVersion()}`, ...task, ...factsOf(counts, result) };
    const folder = {
      ...{ shape, vocabSize: spec.vocabSize, weights, lmHead: request.withLmHead ? frozen.lmHead : null, facts },
      readme: readmeOf(path, request, facts, result),
    };
    const sha256 = writeHeads(request.output, folder, toHalf);
    work.discard();
    return { ...made, ...result, sha256, seconds };
  });
}

const openTexts = ({ modelPath, spec, dialect }: LoadedModel, { threads, ortLibrary }: PipelineContext) =>
  openSideBySide(modelPath, spec, { threads, ortLibrary, dialect, capacity: ownTextCapacity(spec) });

/** rows of one product of the regression */
const MOMENT_ROWS = 1024;

async function begin(
  shape: HeadsShape,
  weights: Float32Array,
  texts: readonly OwnText[],
  embedding: Float32Array,
  context: PipelineContext,
): Promise<void> {
  const products = openMomentProducts(shape, MOMENT_ROWS, context);
  try {
    await regress(shape, weights, texts, embedding, products, context.progress);
  } finally {
    products.close();
  }
}

function frozenWeights({ spec, tensor }: Checkpoint): Frozen {
  const { vocabSize, hiddenSize } = spec;
  const embedding = tensor("model.embed_tokens.weight", [vocabSize, hiddenSize]);
  return {
    capacity: ownTextCapacity(spec),
    norm: tensor("model.norm.weight", [hiddenSize]),
    embedding,
    lmHead: spec.tiedEmbeddings ? embedding : tensor("lm_head.weight", [vocabSize, hiddenSize]),
  };
}

/** Everything that the heads depend on, but for the clock. */
function taskOf(
  { ref }: LoadedModel,
  { kind, heads, text, seed }: TrainingRequest,
  positions: number,
  textPositions: number,
) {
  return {
    kind,
    heads,
    base_model: ref,
    text: { source: text.source, sha256: text.sha256 },
    seed,
    positions_wanted: positions,
    ...(textPositions === 0 ? {} : { text_positions_wanted: textPositions }),
  };
}

/** A share or a loss as documents have it. */
const rounded = (value: number): number => Number(value.toFixed(4));

function factsOf(
  { positions, textPositions }: Pick<TrainedHeads, "positions" | "textPositions">,
  { accuracy, epochs, bestEpoch, stopped }: TrainingResult,
) {
  return {
    positions,
    ...(textPositions === 0 ? {} : { text_positions: textPositions }),
    epochs,
    best_epoch: bestEpoch,
    stopped,
    held_back: {
      positions: accuracy.positions,
      tokens_per_round_as_a_chain: rounded(accuracy.tokensPerRound),
      heads: accuracy.heads.map(({ top1, top10, loss }) => ({
        top1: rounded(top1),
        top10: rounded(top10),
        loss: rounded(loss),
      })),
    },
  };
}

function epochLine(epoch: number, loss: number, { heads, loss: heldBack, tokensPerRound }: Accuracy): string {
  const firsts = heads.map(({ top1 }) => top1.toFixed(2)).join(" ");
  return `epoch ${epoch}: loss ${loss.toFixed(3)}, held back ${heldBack.toFixed(3)}; first guesses right ${firsts}; ${tokensPerRound.toFixed(2)} tokens a round`;
}
