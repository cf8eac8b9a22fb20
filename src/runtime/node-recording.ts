/**
 * ONNX Runtime's own profiler around one session: it keeps an event for every node it runs and writes them to a file when
 * it is told to end. For diagnosis only; `node-timings.ts` reads the file.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DraftplanError } from "../core/errors.js";
import { type PassTimings, readNodeTimings, traceInvalid } from "./node-timings.js";
import { nativePath, type OrtApi, type Pointer } from "./ort-api.js";

export interface NodeRecording {
  /** to be called after every pass: so many have to be in the trace */
  countPass(): void;
  /** ends the recording and reads it. @throws TRACE_INVALID */
  end(session: Pointer): PassTimings[];
  /** deletes what was written; the session must be released, or its recording ended */
  remove(): void;
}

/**
 * Switches the profiler on for the session that is made with these settings.
 * @param folder the trace goes into a new folder in it, so that the one file there is the trace
 * @throws FILE_UNWRITABLE
 */
export function recordNodes(api: OrtApi, settings: Pointer, folder: string): NodeRecording {
  const own = newFolder(folder);
  const remove = () => rmSync(own, { recursive: true, force: true });
  let passes = 0;
  let isEnded = false;
  try {
    api.check("EnableProfiling", settings, nativePath(join(own, "trace")));
  } catch (error) {
    remove();
    throw error;
  }
  return {
    countPass: () => {
      if (!isEnded) passes += 1;
    },
    end(session) {
      if (isEnded) throw new Error("the recording was ended before");
      isEnded = true;
      const allocator = api.create("GetAllocatorWithDefaultOptions"); // the library's own; never released
      api.check("AllocatorFree", allocator, api.create("SessionEndProfiling", session, allocator));
      const [file] = readdirSync(own);
      if (file === undefined) throw traceInvalid("the runtime wrote no trace");
      return readNodeTimings(readFileSync(join(own, file)), passes);
    },
    remove,
  };
}

function newFolder(within: string): string {
  try {
    return mkdtempSync(join(within, "draftplan-nodes-"));
  } catch (cause) {
    throw new DraftplanError({
      code: "FILE_UNWRITABLE",
      at: within,
      what: `no folder could be made there for the trace (${cause instanceof Error ? cause.message : String(cause)})`,
      remedy: "Name a folder that exists and may be written, such as the system's for temporary files.",
      cause,
    });
  }
}
