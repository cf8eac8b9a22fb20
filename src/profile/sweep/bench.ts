/** What passes are measured with. */
import type { Clock, Engine } from "../../runtime/engine.js";
import type { SpannedKernel } from "../../schema/choice.js";
import type { Random } from "../../stats/random.js";
import type { Tokens } from "./tokens.js";

export interface Bench {
  engine: Engine;
  clock: Clock;
  random: Random;
  ids: number[];
  tokens: Tokens;
  /** of attention, measured beside the engine's kernels; default: none */
  spans?: readonly SpannedKernel[] | undefined;
}

/** One stay at a context within a round. */
export interface Visit {
  context: number;
  /** of the verifications, in order */
  lengths: number[];
}
