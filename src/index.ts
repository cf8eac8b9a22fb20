/**
 * draftplan as a library. Nothing native is loaded by importing it; `openOrtEngine` and `loadModel` load ONNX Runtime
 * when they are called, and the solver never does.
 */
export { type Evaluation, evaluateDraft } from "./calibrate/evaluate.js";
export { DraftplanError, ERROR_CODES, type ErrorCode, type ErrorDetail, EXIT } from "./core/errors.js";
export { type Progress, silentProgress } from "./core/progress.js";
export type { Accept, Accepted } from "./decode/accept/accept.js";
export type { Distribution } from "./decode/accept/distribution.js";
export { filtered } from "./decode/accept/filters.js";
export { greedy } from "./decode/accept/greedy.js";
export { type SamplingOptions, sampling } from "./decode/accept/sampling.js";
export { type TypicalOptions, typical } from "./decode/accept/typical.js";
export {
  type Chosen,
  chain,
  type Drafter,
  type DraftRequest,
  type DraftState,
  type PassPrices,
  type Proposal,
} from "./decode/drafters/drafter.js";
export { type Heads, headsDrafter } from "./decode/drafters/heads.js";
export { drafterOf, selfChoices, selfDrafter } from "./decode/drafters/self.js";
export {
  type Decoded,
  type DecodeOptions,
  type DraftPolicy,
  decode,
  type Prefilled,
  type Round,
} from "./decode/loop.js";
export { planPolicy, requireSameModel } from "./decode/policy.js";
export { type AcceptanceStatistics, acceptanceCurve, acceptanceOf } from "./decode/statistics.js";
export { cacheFolder, clearCache, listCache } from "./model/cache.js";
export { type ConvertedModel, convertModel } from "./model/convert.js";
export { headsBeside } from "./model/heads/open.js";
export { resolveModel } from "./model/hub/resolve.js";
export { openCheckpoint, openConfigOnly } from "./model/open.js";
export { ARCHITECTURES, type Architecture, type Checkpoint, type ModelSpec } from "./model/spec.js";
export { defaultThreads, describeDevice, systemClock } from "./runtime/device.js";
export { argmax, type Clock, type Engine, type Pass, type PassResult, type RuntimeOptions } from "./runtime/engine.js";
export { type HeadsOptions, openHeads } from "./runtime/heads-engine.js";
export { type LoadedModel, loadModel, modelRef } from "./runtime/load.js";
export { openOrtEngine } from "./runtime/ort-engine.js";
export { addShortHeads, type ShortHeadsRequest } from "./runtime/short-heads/open.js";
export type { Calibration } from "./schema/calibration.js";
export {
  type BlockKind,
  blockIndex,
  blockName,
  CHOICES,
  type Choice,
  type ChoiceSet,
  compactDraft,
  type Draft,
  expandDraft,
  KERNELS,
  type Kernel,
  parseBlock,
  targetChoices,
  uniformChoices,
} from "./schema/choice.js";
export type { Device, InputRef, ModelRef } from "./schema/common.js";
export type { Comparison } from "./schema/comparison.js";
export {
  type AnyDocument,
  type DocumentOf,
  KINDS,
  type Kind,
  type Loaded,
  parseDocument,
  readDocument,
  readDocumentOf,
  stringifyDocument,
  writeDocument,
} from "./schema/document.js";
export type { Plan, Segment } from "./schema/plan.js";
export type { Profile } from "./schema/profile.js";
export type { Verification } from "./schema/verification.js";
export {
  type Group,
  type MultipleChoiceSolution,
  type ParetoPoint,
  paretoFrontier,
  solveMultipleChoice,
} from "./solve/index.js";
export { bestTree, type DraftTree } from "./solve/trees/best-tree.js";
export { type Random, seededRandom } from "./stats/random.js";
export { openTokenizer } from "./tokenizer/open.js";
export { createTextStream } from "./tokenizer/stream.js";
export type { ChatMessage, TextStream, Tokenizer } from "./tokenizer/types.js";
