/**
 * Early exit: the draft is the first layers and the head. `early-exit` takes one exit for every context; `del` (after DEL,
 * arXiv:2504.05598) takes at each context the exit of most expected tokens per time.
 *
 * DEL estimates every exit's acceptance from the hidden states of the last verification and adapts exit and length while it
 * decodes. A plan is fixed for a context range, so here the estimate is made on calibration text.
 */
import { type Continuation, fillCache, traceTarget } from "../calibrate/continuation.js";
import { argmax, type Engine } from "../runtime/engine.js";
import { MAX_LOGIT_ROWS } from "../runtime/limits.js";
import { uniformChoices } from "../schema/choice.js";
import { layerSet } from "./layers.js";
import type { MethodRequest, Proposal, Propose } from "./types.js";

/** Exits proposed at a context: the estimate is of single tokens, and its best may not be the best in drafting. */
const PROPOSED = 3;

export const exitAfter = (layers: number, kept: number) =>
  layerSet(Array.from({ length: layers }, (_, layer) => layer >= kept));

/** [L + 1] share of positions at which the head, put after so many layers of the target, has the target's token */
export async function exitAcceptance(
  engine: Engine,
  continuations: readonly Continuation[],
  request: Pick<MethodRequest, "progress">,
): Promise<number[]> {
  const { layers, vocabSize, hiddenSize } = engine.spec;
  const none = uniformChoices(layers, "skip");
  const hits = new Array<number>(layers + 1).fill(0);
  let positions = 0;
  for (const continuation of continuations) {
    await fillCache(engine, continuation, request.progress);
    const { hidden } = await traceTarget(engine, continuation, request.progress);
    const count = continuation.ids.length - 1;
    for (let from = 0; from < count; from += MAX_LOGIT_ROWS) {
      const rows = Math.min(MAX_LOGIT_ROWS, count - from);
      for (let kept = 0; kept <= layers; kept++) {
        await request.progress.tick();
        const input = { hidden: hidden[2 * kept].slice(from * hiddenSize, (from + rows) * hiddenSize) };
        const position = continuation.prompt.length + from;
        const { logits } = engine.run({ position, input, choices: none, logitRows: rows });
        for (let row = 0; row < rows; row++)
          if (argmax(logits, row, vocabSize) === continuation.ids[from + row + 1]) hits[kept] += 1;
      }
    }
    positions += count;
  }
  return hits.map((hit) => (positions === 0 ? 0 : hit / positions));
}

interface Exits {
  atContext: number;
  /** [L] expected tokens per second of the exit after so many layers, 0 to L - 1 */
  speeds: number[];
}

async function exitSpeeds(request: MethodRequest): Promise<Exits[]> {
  const { engine, contexts, speed } = request;
  const found: Exits[] = [];
  for (const { atContext, continuations } of contexts) {
    const acceptance = await exitAcceptance(engine, continuations.slice(0, 1), request);
    const speeds = acceptance
      .slice(0, -1)
      .map((alpha, kept) => speed(exitAfter(engine.spec.layers, kept), atContext, alpha));
    found.push({ atContext, speeds });
  }
  return found;
}

/** Places of the greatest values, greatest first. */
const greatest = (values: readonly number[], count: number): number[] =>
  values
    .map((value, at) => ({ value, at }))
    .sort((a, b) => b.value - a.value)
    .slice(0, count)
    .map(({ at }) => at);

export const del: Propose = async (request) =>
  (await exitSpeeds(request)).flatMap(({ atContext, speeds }) =>
    greatest(speeds, PROPOSED).map((kept) => ({ atContext, set: exitAfter(request.engine.spec.layers, kept) })),
  );

export const earlyExit: Propose = async (request) => {
  const { layers } = request.engine.spec;
  const exits = await exitSpeeds(request);
  const total = Array.from({ length: layers }, (_, kept) =>
    exits.reduce((sum, { speeds }) => sum + Math.log(speeds[kept]), 0),
  );
  const [best] = greatest(total, 1);
  return exits.map(({ atContext }): Proposal => ({ atContext, set: exitAfter(layers, best) }));
};
