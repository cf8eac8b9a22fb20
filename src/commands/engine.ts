/** From a model's path to a running engine, with a moment in between: what can be refused is refused before the weights are converted and loaded. */
import { convertModel } from "../model/convert.js";
import { openCheckpoint } from "../model/open.js";
import type { Checkpoint } from "../model/spec.js";
import type { Engine } from "../runtime/engine.js";
import { openOrtEngine } from "../runtime/ort-engine.js";
import type { CommandContext } from "./context.js";

/**
 * @param prepare checks that the model fits what was asked for, and says how many tokens the cache must hold
 * @param use     its engine is closed afterwards, whatever happens
 */
export async function withEngine<Prepared extends { capacity: number }, Result>(
  model: string,
  context: CommandContext,
  prepare: (checkpoint: Checkpoint) => Prepared,
  use: (engine: Engine, prepared: Prepared) => Promise<Result>,
): Promise<Result> {
  const checkpoint = await openCheckpoint(model);
  let prepared: Prepared;
  let modelPath: string;
  try {
    prepared = prepare(checkpoint);
    ({ modelPath } = await convertModel(checkpoint, context.progress));
  } finally {
    checkpoint.close();
  }
  const { provider, threads } = context;
  const capacity = Math.min(prepared.capacity, checkpoint.spec.contextLimit);
  const engine = openOrtEngine(modelPath, checkpoint.spec, { provider, threads, capacity });
  try {
    return await use(engine, prepared);
  } finally {
    engine.close();
  }
}
