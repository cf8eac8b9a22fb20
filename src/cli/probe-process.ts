/** Tries libraries and providers in processes of their own: one that crashes or hangs is an answer, too. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { BandwidthRequest } from "../runtime/bandwidth.js";
import type { Answer, Probes } from "../runtime/probe.js";

export type ProbeRequest = { ortLibrary: string | undefined } & (
  | { probe: "library" }
  | { probe: "provider"; name: string }
  | { probe: "cuda" }
  | { probe: "bandwidth"; request: BandwidthRequest }
);

/** A driver may compile for a while when it is first used. */
const TIMEOUT_MS = 30_000;
/** Where the child writes its answer. */
export const ANSWER_FD = 3;
const MAIN = fileURLToPath(new URL("./probe-main.js", import.meta.url));

/** @param main the program that answers */
export function processProbes(ortLibrary: string | undefined, main = MAIN, timeoutMs = TIMEOUT_MS): Probes {
  const ask = <T>(request: ProbeRequest) => askProcess<T>(main, request, timeoutMs);
  return {
    library: () => ask({ ortLibrary, probe: "library" }),
    provider: (name) => ask({ ortLibrary, probe: "provider", name }),
    cuda: () => ask({ ortLibrary, probe: "cuda" }),
    bandwidth: (request) => ask({ ortLibrary, probe: "bandwidth", request }),
  };
}

function askProcess<T>(main: string, request: ProbeRequest, timeoutMs: number): Promise<Answer<T>> {
  return new Promise((resolve, reject) => {
    // the answer has a pipe of its own: libraries print on the other two
    const stdio = ["ignore", "ignore", "ignore", "pipe"] as const;
    const child = spawn(process.execPath, [main, JSON.stringify(request)], { stdio: [...stdio] });
    const out: Buffer[] = [];
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill("SIGKILL");
    }, timeoutMs);
    child.stdio[ANSWER_FD]?.on("data", (chunk: Buffer) => out.push(chunk));
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      if (late) resolve(failed(`it did not answer within ${timeoutMs / 1000} s`));
      else if (signal !== null) resolve(failed(`it crashed the process that tried it (${signal})`));
      else resolve(parse<T>(Buffer.concat(out).toString(), code));
    });
  });
}

const failed = (what: string): Answer<never> => ({
  ok: false,
  code: "RUNTIME_FAILED",
  what,
  remedy: "Use --provider cpu, or another build of the library or the driver.",
});

function parse<T>(text: string, code: number | null): Answer<T> {
  try {
    return JSON.parse(text) as Answer<T>;
  } catch {
    return failed(`the process that tried it ended without an answer (exit code ${code})`);
  }
}
