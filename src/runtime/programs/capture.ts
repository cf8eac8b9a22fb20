/**
 * Passes captured as CUDA graphs, and replayed: what a launch of every operator took is then one launch a pass.
 *
 * ONNX Runtime captures a run under the number that the run option `gpu_graph_id` gives it, and replays it when that
 * number comes again; -1 runs eagerly. A replay reads the same addresses as the captured run, and what the host was asked
 * for then stays as it was: the total length is frozen at the end of a bucket of contexts, and the real one is read on the
 * device (seqlens_k). So there is a number for every program, number of rows and bucket.
 *
 * A capture that freezes more than that gives wrong results without a word. So each is held against the eager pass
 * before it is trusted: right after it was captured, at the next pass, and at the first one of another place. One that
 * differs, or that the library refuses, runs eagerly from then on, and a warning says which.
 */
import type { ProgramForm } from "../../model/graph/program.js";
import { describeChoices } from "../../schema/choice.js";
import { Handles } from "../bindings.js";
import { MAX_LOGIT_ROWS } from "../limits.js";
import { oneLineReason } from "../one-line-reason.js";
import type { OrtApi, Pointer } from "../ort-api.js";
import type { BoundPass, Grow, PassRunner, Shape } from "./pass-runner.js";
import type { ProgramSession } from "./program-session.js";
import { cudaVariant, type Variant } from "./variants.js";

/** The shortest context that a capture is made for: below it every pass is as fast. */
const LEAST_BUCKET = 256;

const EAGERLY = -1;

/** Of a provider that captures: its sessions are opened with it. */
export const CAPTURE_OPTIONS = { enable_cuda_graph: "1" } as const;

/** The end of the bucket that so many tokens lie in: a power of two, but no more than the cache holds. */
export function bucketEnd(tokens: number, capacity: number): number {
  let end = LEAST_BUCKET;
  while (end < tokens) end *= 2;
  return Math.min(end, capacity);
}

/** What became of a pass that can be captured. */
type Capture =
  /** runs eagerly for good */
  | { is: "refused" }
  /** `proofs`: eager passes that it was equal to; the first of them `at` this place, and whether one was at another */
  | { is: "captured"; id: number; proofs: number; at: number; elsewhere: boolean };

/** Passes that a replay is held against at one place, and one more at the first other place it comes to. */
const PROOFS = 2;

const isTrusted = ({ proofs, at, elsewhere }: Capture & { is: "captured" }, { shape }: BoundPass): boolean =>
  proofs >= PROOFS && (elsewhere || shape.position === at);

export interface CaptureOptions {
  grow: Grow;
  /** told once of every pass that cannot be captured */
  refused(message: string): void;
}

export class CaptureRunner implements PassRunner {
  private readonly handles: Handles;
  private readonly options = new Map<number, Pointer>();
  private readonly captures = new WeakMap<ProgramSession, Map<string, Capture>>();
  private readonly owners = new WeakMap<object, number>();
  private ownersSeen = 0;
  private lastId = 0;

  constructor(
    private readonly api: OrtApi,
    private readonly settings: CaptureOptions,
  ) {
    this.handles = new Handles(api);
  }

  frozenTotal(form: ProgramForm, shape: Shape, capacity: number): number | undefined {
    return capturable(form, shape) ? bucketEnd(shape.position + shape.q, capacity) : undefined;
  }

  variant(form: ProgramForm, shape: Shape): Variant {
    return cudaVariant(form, shape);
  }

  run(program: ProgramSession, pass: BoundPass): void {
    if (!capturable(pass.form, pass.shape)) {
      this.settings.grow(program, () => this.eagerly(program));
      return;
    }
    if (!program.captures) {
      this.eagerly(program);
      return;
    }
    const captures = this.captures.get(program) ?? new Map<string, Capture>();
    this.captures.set(program, captures);
    const key = this.keyOf(pass);
    const known = captures.get(key);
    if (known === undefined) captures.set(key, this.capture(program, pass));
    else if (known.is === "refused") this.eagerly(program);
    else if (isTrusted(known, pass)) this.replay(program, known.id);
    else captures.set(key, this.prove(program, pass, known));
  }

  private keyOf({ over, shape: { q, rows }, total }: BoundPass): string {
    let owner = this.owners.get(over);
    if (owner === undefined) {
      owner = ++this.ownersSeen;
      this.owners.set(over, owner);
    }
    return `${owner} ${q} ${rows} ${total}`;
  }

  private capture(program: ProgramSession, pass: BoundPass): Capture {
    this.lastId += 1;
    const at = pass.shape.position;
    const captured = { is: "captured", id: this.lastId, proofs: 0, at, elsewhere: false } as const;
    let outcome: Capture = captured;
    this.settings.grow(program, () => {
      outcome = this.prove(program, pass, captured);
    });
    return outcome;
  }

  /** Runs a pass both ways. What it gave is the eager pass's where they differ. */
  private prove(program: ProgramSession, pass: BoundPass, captured: Capture & { is: "captured" }): Capture {
    this.eagerly(program);
    const eager = pass.outputs();
    try {
      this.replay(program, captured.id);
      const differs = firstDifference(eager, pass.outputs());
      const elsewhere = captured.elsewhere || pass.shape.position !== captured.at;
      if (differs === undefined) return { ...captured, proofs: captured.proofs + 1, elsewhere };
      this.refuse(pass, `what it gives differs from the eager pass (${differs})`);
    } catch (cause) {
      this.refuse(pass, oneLineReason(cause instanceof Error ? cause.message : String(cause)));
    }
    this.eagerly(program);
    return { is: "refused" };
  }

  private refuse({ form, shape, total }: BoundPass, reason: string): void {
    const what = `${describeChoices(form.choices)}, ${shape.q} tokens, contexts to ${total}`;
    this.settings.refused(`a pass of ${what} cannot be captured and runs eagerly: ${reason}`);
  }

  private eagerly(program: ProgramSession): void {
    program.run(this.optionsOf(EAGERLY));
  }

  private replay(program: ProgramSession, id: number): void {
    program.run(this.optionsOf(id));
  }

  private optionsOf(id: number): Pointer {
    let options = this.options.get(id);
    if (options === undefined) {
      options = this.handles.own("ReleaseRunOptions", this.api.create("CreateRunOptions"));
      this.api.check("AddRunConfigEntry", options, "gpu_graph_id", String(id));
      // passes follow each other on one stream: a run need not wait for its end
      this.api.check("AddRunConfigEntry", options, "disable_synchronize_execution_providers", "1");
      this.options.set(id, options);
    }
    return options;
  }

  close(): void {
    this.handles.releaseAll();
  }
}

/**
 * Whether a pass may be captured. Rows from some place on are cut out at a place that the host says, which a capture would
 * freeze; prompts come in every length, each once.
 */
const capturable = ({ rows }: ProgramForm, { q }: Shape): boolean => rows !== "some" && q <= MAX_LOGIT_ROWS;

/** Where two passes' outputs differ first, in words; undefined: nowhere. */
function firstDifference(a: readonly Uint8Array[], b: readonly Uint8Array[]): string | undefined {
  const names = ["its states", "its logits or tokens"];
  const index = a.findIndex((part, i) => Buffer.compare(part, b[i]) !== 0);
  return index === -1 ? undefined : names[index];
}
