/** Fake engines of a shape and a miss rate. */
import { FakeClock, FakeEngine, type FakeTimes, type TreeFault } from "./fake-engine.js";
import { tinySpec } from "./tiny-checkpoint.js";

export const EXACT_TIMES: FakeTimes = {
  fixedUs: () => 5,
  headUs: () => 100,
  blockUs: (_block, choice, n, q) => (choice === "int8" ? 10 : 30) + n / 100 + q,
};

export interface FakeOptions {
  layers?: number;
  vocab?: number;
  context?: number;
  missRate?: number;
  /** of a draft over a cache that it filled itself; default: the same */
  ownMissRate?: number;
  capacity?: number;
  eosTokenIds?: number[];
  treeFault?: TreeFault;
  /** a draft's logit of its token, by a draw from 0 to 1 that misses below the miss rate */
  draftLogit?: (draw: number) => number;
}

export function fakeEngine({
  layers = 3,
  vocab = 50,
  context = 512,
  missRate = 0.3,
  ownMissRate = missRate,
  capacity = context,
  eosTokenIds = [],
  treeFault,
  draftLogit,
}: FakeOptions = {}): { engine: FakeEngine; clock: FakeClock } {
  const clock = new FakeClock();
  const spec = tinySpec({ layers, vocab, context, eosTokenIds });
  const fault = treeFault === undefined ? {} : { treeFault };
  const model = {
    spec,
    clock,
    times: EXACT_TIMES,
    missRate: () => missRate,
    ownMissRate: () => ownMissRate,
    capacity,
    ...fault,
    ...(draftLogit === undefined ? {} : { draftLogit }),
  };
  return { clock, engine: new FakeEngine(model) };
}
