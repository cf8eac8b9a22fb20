/**
 * The trace that ONNX Runtime's profiler writes, as times of the parts of every pass.
 *
 * A trace is a JSON array with one event a line, recorded as each ends: nodes before the `If` they run in, all of a pass
 * before its `model_run`. The graph names nodes by their branch (model/graph/build.ts), such as
 * `12.attn/int8/qkv:MatMulNBits`. An `If` is an event of its own that includes its nodes' times.
 *
 * The times are not those of an undisturbed pass. An event is described (shapes, memory, threads) before its end is taken,
 * so that a node which does nothing takes about 10 µs (1.30, EPYC); docs/measurements.md says what this comes to.
 */
import { DraftplanError } from "../core/errors.js";
import { CHOICES, type Choice } from "../schema/choice.js";

export interface NodeTiming {
  /** `MatMulNBits` */
  operator: string;
  /** whole µs, rounded down */
  us: number;
  /** inputs and outputs, initializers not counted: describing an event takes longer with each */
  tensors: number;
}

/** A block, or the head. */
export interface PartTimings {
  /** the kernel that ran, or skip */
  choice: Choice;
  nodes: NodeTiming[];
  /** of its outermost `If`, nodes included; of its nodes alone where there is no `If` */
  wholeUs: number;
}

export interface PassTimings {
  wholeUs: number;
  /** `12.attn`, `head` -> its times; every block is there */
  parts: Map<string, PartTimings>;
  /** embedding, choice of the last rows, final norm */
  others: NodeTiming[];
}

interface TraceEvent {
  cat: string;
  name: string;
  dur: number;
  args?: { op_name?: string; input_type_shape?: unknown[]; output_type_shape?: unknown[] };
}

const NODE_SUFFIX = "_kernel_time";
const PART_NODE = /^(\d+\.(?:attn|mlp)|head)\/([a-z0-9]+)\//;

export const traceInvalid = (what: string, cause?: unknown): DraftplanError =>
  new DraftplanError({
    code: "TRACE_INVALID",
    at: "onnxruntime's trace of a session",
    what,
    remedy: "Record fewer passes with one engine (a trace ends at a million events), and see that the disk has room.",
    cause,
  });

/**
 * @param trace  the file as it is: larger than the longest string of JavaScript where a million events are in it
 * @param passes that were run
 * @returns [passes], in the order they were run
 * @throws TRACE_INVALID where it is torn, no such trace, or does not hold so many whole passes
 */
export function readNodeTimings(trace: Uint8Array, passes: number): PassTimings[] {
  const found: PassTimings[] = [];
  let pass = newPass();
  for (const event of readEvents(trace)) {
    if (event.cat === "Node") {
      addNode(pass, event);
    } else if (event.name === "model_run") {
      found.push({ wholeUs: event.dur, parts: pass.parts, others: pass.others });
      pass = newPass();
    }
  }
  if (found.length === passes && pass.others.length === 0 && pass.parts.size === 0) return found;
  throw traceInvalid(`it holds ${found.length} whole passes of the ${passes} that were run`);
}

/** last: the part that the node before belongs to */
const newPass = () => ({
  parts: new Map<string, PartTimings>(),
  others: [] as NodeTiming[],
  last: undefined as PartTimings | undefined,
});

function addNode(pass: ReturnType<typeof newPass>, { name, dur, args }: TraceEvent): void {
  if (!name.endsWith(NODE_SUFFIX)) return; // older libraries have `fence` events as well
  const operator = args?.op_name ?? name.slice(name.lastIndexOf(":") + 1, -NODE_SUFFIX.length);
  if (operator === "If") {
    // what ran last ran in it; outer ones end later
    if (pass.last !== undefined) pass.last.wholeUs = dur;
    return;
  }
  const tensors = (args?.input_type_shape?.length ?? 0) + (args?.output_type_shape?.length ?? 0);
  const timing: NodeTiming = { operator, us: dur, tensors };
  const [, part, choice] = PART_NODE.exec(name) ?? [];
  if (part === undefined) {
    pass.last = undefined;
    pass.others.push(timing);
    return;
  }
  if (!isChoice(choice)) throw traceInvalid(`'${name.slice(0, 80)}' belongs to no choice that draftplan has`);
  pass.last = pass.parts.get(part) ?? { choice, nodes: [], wholeUs: 0 };
  if (pass.last.choice !== choice)
    throw traceInvalid(`${part} ran as ${pass.last.choice} and as ${choice} in one pass`);
  pass.parts.set(part, pass.last);
  pass.last.nodes.push(timing);
  pass.last.wholeUs += dur;
}

const isChoice = (text: string): text is Choice => (CHOICES as readonly string[]).includes(text);

/** Line by line: as one string a full trace would not fit. */
function* readEvents(trace: Uint8Array): Generator<TraceEvent> {
  const bytes = Buffer.from(trace.buffer, trace.byteOffset, trace.byteLength);
  let start = 0;
  let isClosed = false;
  for (let line = 1; start < bytes.length; line++) {
    const newline = bytes.indexOf(10, start);
    const end = newline === -1 ? bytes.length : newline;
    const text = bytes.toString("utf8", start, end).trim();
    start = end + 1;
    if (text === "") continue;
    if (isClosed || (line === 1) !== (text === "[")) throw traceInvalid(`line ${line} is not where a trace has it`);
    if (text === "]") isClosed = true;
    else if (line > 1) yield readEvent(text, line);
  }
  if (!isClosed) throw traceInvalid("it ends in the middle");
}

function readEvent(text: string, line: number): TraceEvent {
  let event: Partial<TraceEvent> | null;
  try {
    event = JSON.parse(text.endsWith(",") ? text.slice(0, -1) : text) as Partial<TraceEvent> | null;
  } catch (cause) {
    throw traceInvalid(`line ${line} is no event: ${text.slice(0, 60)}`, cause);
  }
  const { cat, name, dur } = event ?? {};
  if (typeof cat === "string" && typeof name === "string" && typeof dur === "number" && dur >= 0)
    return event as TraceEvent;
  throw traceInvalid(`line ${line} is an event without a name or a duration: ${text.slice(0, 60)}`);
}
