/** What work on a device needs of whoever asks for it, a command, a bench, a program; and the target that it is for. */
import { DraftplanError } from "../core/errors.js";
import type { Progress } from "../core/progress.js";
import { dialectFor } from "../runtime/providers.js";
import type { Device } from "../schema/common.js";
import { DEFAULT_PRECISION, type TargetPrecision } from "../schema/numerics.js";

export interface PipelineContext {
  progress: Progress;
  /** a line for the person watching; never part of the result */
  note(text: string): void;
  provider: string;
  threads: number;
  /** another build of ONNX Runtime; undefined: the bundled one */
  ortLibrary?: string | undefined;
  /** precision of the target: what is served and reproduced; default: the provider's own */
  targetPrecision?: TargetPrecision | undefined;
  /** how codes and scales of quantised kernels are found; default: by rounding */
  scales?: Scales | undefined;
}

/** `fitted`: by weighted least squares, to what the bundled text puts into every matrix. */
export type Scales = "fitted";

type Asked = Pick<PipelineContext, "provider" | "targetPrecision" | "scales">;
/** What deciding about a target needs. */
export type TargetContext = Asked & Pick<PipelineContext, "note">;

/** @throws OPTION_INVALID where the provider does not compute in it */
export const precisionOf = ({ provider, targetPrecision }: Asked): TargetPrecision =>
  dialectFor(provider, targetPrecision).targetPrecision;

/** What a document was made for; one that names no device was made for none in particular. */
interface MadeFor {
  path: string;
  document: { device?: Device | undefined };
}

/**
 * What a document says of its target is what is served, unless `--target` says it too. A plan is a statement about one
 * target: beside another its drafts are accepted as nobody measured.
 * @param documents plans or profiles; null: none
 * @returns the context with the precision that they are for
 * @throws OPTION_INVALID where the provider does not compute in what was asked for, DOCUMENT_MISMATCH where documents are for
 *   another target than that, or than each other
 */
export function contextFor<Context extends TargetContext>(
  context: Context,
  ...documents: readonly (MadeFor | null)[]
): Context {
  precisionOf(context);
  let { targetPrecision, scales } = context;
  let said = "--target";
  for (const one of documents) {
    if (one?.document.device === undefined) continue;
    const { target = DEFAULT_PRECISION } = one.document.device;
    scales ??= one.document.device.scales;
    if (targetPrecision === undefined) {
      // of what does not run here at all, only ratios compare: whoever uses the document says so (DEVICE_DIFFERS)
      if (!computes(context.provider, target)) continue;
      if (target !== precisionOf(context)) context.note(`the target is ${target}, as ${one.path} was made for it`);
      targetPrecision = target;
      said = one.path;
    } else if (targetPrecision !== target) throw otherTarget(one.path, target, said, targetPrecision);
  }
  return { ...context, targetPrecision, scales };
}

function computes(provider: string, precision: TargetPrecision): boolean {
  try {
    dialectFor(provider, precision);
    return true;
  } catch {
    return false;
  }
}

const otherTarget = (at: string, made: TargetPrecision, who: string, asked: TargetPrecision) =>
  new DraftplanError({
    code: "DOCUMENT_MISMATCH",
    at: `${at}: device.target`,
    what: `it was made for a target in ${made}, and ${who} says ${asked}`,
    remedy: `Give ${who === "--target" ? `--target ${made}` : "documents of one target"}, or make a new one: draftplan run MODEL --target ${asked}`,
  });
