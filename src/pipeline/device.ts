/** What a document says of the device that its figures were measured on. */
import { describeDevice } from "../runtime/device.js";
import type { Engine } from "../runtime/engine.js";
import type { Device } from "../schema/common.js";
import type { PipelineContext } from "./context.js";

/** Of an open engine, whose target and kernels are the ones that ran. */
export const deviceOf = (
  { provider, threads, ortLibrary }: Pick<PipelineContext, "provider" | "threads" | "ortLibrary">,
  { numerics }: Pick<Engine, "numerics">,
): Device => describeDevice(provider, threads, ortLibrary, numerics.targetPrecision, numerics.scales);
