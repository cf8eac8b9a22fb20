/** A round of greedy decoding queued whole: no token is handed to the host before the verification is over. */
import type { ProgramForm } from "../../model/graph/program.js";
import { layerSpans } from "../../schema/choice.js";
import type { GreedyRound, GreedyRoundResult, QueuedPass } from "../engine.js";
import { putIds } from "../pass/require.js";
import type { ProgramCore } from "./core.js";
import type { Passes } from "./passes.js";
import type { Rows } from "./tensors.js";

const ID_BYTES = 8;
const LENGTH_BYTES = 4;

const at = ({ block }: Rows, from: number) => ({ block, from });

/**
 * Every step reads its token and its length at the same addresses and writes its likeliest token at another, so all steps
 * of a round are one program in one shape, which is captured once; copies in the same order as the passes move tokens and
 * lengths to and fro. A pass that is run twice, as a capture's proof does, reads the same again.
 * @param round in range, and of kernels that there are
 */
export function queueRound(core: ProgramCore, passes: Passes, round: GreedyRound): GreedyRoundResult {
  const { memory } = core;
  const { position, draft, draftTokens, verifier } = round;
  const { ids, likeliest, length, lengths, round: tokens } = passes.buffers;
  const q = draftTokens + 1;
  begin(core, passes, round);
  passes.written(position);
  const placed = passes.readSpansInSteps(draft, position, draftTokens);
  const begun = memory.mark();
  const step: ProgramForm = { choices: draft, entry: "ids", rows: "every", head: "ids", tree: false };
  for (let i = 0; i < draftTokens; i++) {
    memory.copy(at(tokens, ID_BYTES * i), at(ids, 0), ID_BYTES);
    memory.copy(at(lengths, LENGTH_BYTES * i), at(length, 0), LENGTH_BYTES);
    placed(i);
    passes.ask(step, { position: position + i, q: 1, rows: 1 }, undefined);
    memory.copy(at(likeliest, 0), at(tokens, ID_BYTES * (i + 1)), ID_BYTES);
  }
  const drafted = memory.mark();
  memory.copy(at(tokens, 0), at(ids, 0), ID_BYTES * q);
  memory.copy(at(lengths, LENGTH_BYTES * draftTokens), at(length, 0), LENGTH_BYTES);
  if (layerSpans(verifier) !== null) memory.wait(); // what is told next is told by the host, where the drafts were told it
  passes.readSpans(verifier, { round: position, position, q });
  passes.ask({ ...step, choices: verifier }, { position, q, rows: q }, undefined);
  memory.copy(at(likeliest, 0), at(tokens, ID_BYTES * q), ID_BYTES * q);
  memory.pull(at(tokens, 0), ID_BYTES * 2 * q);
  const verified = memory.mark();
  memory.wait();
  const found = Array.from(new BigInt64Array(tokens.block.host as ArrayBuffer, 0, 2 * q), Number);
  const [draftUs, verifyUs] = memory.elapsedUs([begun, drafted, verified]);
  const draftShare = draftTokens === 0 ? 0 : draftUs / (draftUs + verifyUs);
  return passes.withHidden(q, { drafted: found.slice(1, q), likeliest: found.slice(q), draftShare });
}

/** The pending token, and the length in every pass of the round, before any of them. */
function begin({ memory, spec }: ProgramCore, { buffers }: Passes, round: GreedyRound): void {
  const { round: tokens, lengths } = buffers;
  const { position, pending, draftTokens } = round;
  putIds(new BigInt64Array(tokens.block.host as ArrayBuffer), [pending], spec);
  const each = new Int32Array(lengths.block.host as ArrayBuffer);
  // step i's one row stands at position + i, the verification's last one at position + draftTokens
  for (let i = 0; i <= draftTokens; i++) each[i] = position + i;
  memory.push(at(tokens, 0), ID_BYTES);
  memory.push(at(lengths, 0), LENGTH_BYTES * (draftTokens + 1));
}

/**
 * The same pass again and again with the copies that a round has around each of its passes, and one wait at the end: what one
 * takes here is what it adds to a round.
 * @param pass in range, and of kernels that there are
 */
export function queueSame(core: ProgramCore, passes: Passes, pass: QueuedPass, times: number): void {
  const { memory, spec } = core;
  const { position, input, choices, head } = pass;
  const { ids, likeliest, length, lengths, round: tokens } = passes.buffers;
  const q = input.length;
  putIds(new BigInt64Array(tokens.block.host as ArrayBuffer), input, spec);
  new Int32Array(lengths.block.host as ArrayBuffer)[0] = position + q - 1;
  memory.push(at(tokens, 0), ID_BYTES * q);
  memory.push(at(lengths, 0), LENGTH_BYTES);
  passes.written(position);
  passes.readSpans(choices, { round: position, position, q });
  const form: ProgramForm = { choices, entry: "ids", rows: head ? "every" : "none", head: "ids", tree: false };
  for (let i = 0; i < times; i++) {
    memory.copy(at(tokens, 0), at(ids, 0), ID_BYTES * q);
    memory.copy(at(lengths, 0), at(length, 0), LENGTH_BYTES);
    passes.ask(form, { position, q, rows: head ? q : 0 }, undefined);
    if (head) memory.copy(at(likeliest, 0), at(tokens, ID_BYTES * q), ID_BYTES * q);
  }
  memory.wait();
}
