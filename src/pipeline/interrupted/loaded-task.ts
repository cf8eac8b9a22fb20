/** What every command that is gone on with depends on, once its model is open. */
import type { LocatedHeads } from "../../decode/drafters/heads.js";
import type { LoadedModel } from "../../runtime/load.js";
import { numericsOf } from "../../schema/common.js";
import type { PipelineContext } from "../context.js";
import { deviceOf } from "../device.js";
import { softwareVersions } from "../verify/document.js";

interface Loaded {
  model: Pick<LoadedModel, "engine" | "ref">;
  heads: readonly LocatedHeads[];
  tokenizer: { sha256: string };
  text: { sha256: string };
}

export const loadedTask = (
  { model: { engine, ref }, heads, tokenizer, text }: Loaded,
  context: Pick<PipelineContext, "provider" | "threads" | "ortLibrary">,
) => ({
  model: ref,
  device: deviceOf(context, engine),
  kernels: numericsOf(engine.kernels, engine.numerics),
  tokenizer: tokenizer.sha256,
  text: text.sha256,
  heads: heads.map(({ heads, path }) => [path, heads.sha256]),
  versions: softwareVersions(),
});
