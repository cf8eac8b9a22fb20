/**
 * One pool of threads for all sessions of a process that run on the same number of them.
 *
 * A session would have threads of its own, and ONNX Runtime's wait for work by turning for a while. Where two sessions run by
 * turns (a model's and its heads', a target's and a draft model's), those of one then hold the cores that the other's are to
 * run on: on two cores a pass of the embedded model's heads took 390 µs by one thread and 8,256 by two of its own
 * (bench/heads-pass.mjs, other work on both cores). Threads of one pool serve whichever session runs.
 *
 * The pool belongs to the library's environment, of which a process has one, so the first session of a process says how many
 * threads it has. Sessions of another number have threads of their own. Where somebody else in the process made the
 * environment first, it has no pool, and the first session to ask for it finds that out.
 */
import { DraftplanError } from "../../core/errors.js";
import type { OrtApi, Pointer } from "../ort-api.js";

/** Only what ends the process is logged; errors come back as a status. */
const LOG_FATAL = 4;

/** library -> threads of its pool; null: its environment has none */
const pools = new Map<string, number | null>();

/**
 * An environment in which nothing is reported home (telemetry.ts).
 * @param threads of the pool, where the process has none yet
 * @throws RUNTIME_FAILED
 */
export function openEnvironment(
  api: OrtApi,
  own: (release: "ReleaseEnv", env: Pointer) => Pointer,
  threads: number,
): Pointer {
  const known = pools.get(api.libraryPath);
  if (known === undefined) pools.set(api.libraryPath, threads);
  const env = own(
    "ReleaseEnv",
    known === null ? api.create("CreateEnv", LOG_FATAL, "draftplan") : withPool(api, known ?? threads),
  );
  api.check("DisableTelemetryEvents", env);
  return env;
}

function withPool(api: OrtApi, threads: number): Pointer {
  const options = api.create("CreateThreadingOptions");
  try {
    api.check("SetGlobalIntraOpNumThreads", options, threads);
    api.check("SetGlobalInterOpNumThreads", options, 1);
    return api.create("CreateEnvWithGlobalThreadPools", LOG_FATAL, "draftplan", options);
  } finally {
    api.release("ReleaseThreadingOptions", options);
  }
}

/** Whether sessions of so many threads run on those of the pool, as far as is known. */
export const sharesThreads = ({ libraryPath }: Pick<OrtApi, "libraryPath">, threads: number): boolean =>
  pools.get(libraryPath) === threads;

/**
 * Makes a session on threads of the pool where it has as many, else on its own.
 * @param make asked again where the environment turns out to have no pool
 */
export function onThreads<T>(api: OrtApi, threads: number, make: (setThreads: (settings: Pointer) => void) => T): T {
  const own = (settings: Pointer) => {
    api.check("SetIntraOpNumThreads", settings, threads);
    api.check("SetInterOpNumThreads", settings, 1);
  };
  if (!sharesThreads(api, threads)) return make(own);
  try {
    return make((settings) => api.check("DisablePerSessionThreads", settings));
  } catch (cause) {
    if (!(cause instanceof DraftplanError) || !NO_POOL.test(cause.what)) throw cause;
    pools.set(api.libraryPath, null);
    return make(own);
  }
}

/**
 * A session on threads as `onThreads` says, owned by whoever `own` stands for, as are its settings.
 * @param create the session, from settings in which nothing but the threads is said yet
 */
export const createSession = (
  api: OrtApi,
  own: (release: "ReleaseSession" | "ReleaseSessionOptions", handle: Pointer) => Pointer,
  threads: number,
  create: (settings: Pointer) => Pointer,
): Pointer =>
  own(
    "ReleaseSession",
    onThreads(api, threads, (setThreads) => {
      const settings = own("ReleaseSessionOptions", api.create("CreateSessionOptions"));
      setThreads(settings);
      return create(settings);
    }),
  );

/** How the library names what the environment lacks. */
const NO_POOL = /GlobalThreadPools/;
