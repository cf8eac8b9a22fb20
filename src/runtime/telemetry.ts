/**
 * ONNX Runtime reports home by default (Linux and macOS since 1.29, Windows through the system's tracing): a device id
 * and a store of events in the user's cache, a log file in the folder for temporary files, uploads. draftplan never
 * lets it: by the variable that the library reads when it is loaded, and by its API (threads/pool.ts) for
 * builds that do not read it.
 */
const VARIABLE = "ORT_DISABLE_TELEMETRY";

/**
 * To be called before any build of ONNX Runtime is loaded.
 * @param setenv the C library's; null on Windows, where there is none
 */
export function forbidTelemetry(setenv: ((name: string, value: string, overwrite: number) => unknown) | null): void {
  process.env[VARIABLE] = "1";
  setenv?.(VARIABLE, "1", 1); // in a worker thread `process.env` is a copy, which native code does not see
}
