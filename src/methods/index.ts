import { clasp } from "./clasp.js";
import { del, earlyExit } from "./early-exit.js";
import { knapspec } from "./knapspec.js";
import type { MethodName } from "./names.js";
import { swift } from "./swift.js";
import type { Propose } from "./types.js";
import { uniform } from "./uniform.js";

export { METHOD_NAMES, type MethodName } from "./names.js";
export type { MethodContext, MethodRequest, Proposal, Propose } from "./types.js";

/** Each chooses among target and skip, and leaves the head as it is. */
export const METHODS: Record<MethodName, Propose> = {
  knapspec,
  clasp,
  del,
  swift,
  "early-exit": earlyExit,
  uniform,
};
