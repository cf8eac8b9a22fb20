/** A thread of the conversion: makes and writes slabs, or digests a file, one after another, and says how each went. */
import { parentPort } from "node:worker_threads";
import { DraftplanError } from "../../core/errors.js";
import { digestOpened } from "../formats/byte-file.js";
import { writeSlab } from "./slab.js";
import type { Request, Response } from "./threads.js";

parentPort?.on("message", ({ id, work }: Request) => {
  const answer = (response: Omit<Response, "id">) => parentPort?.postMessage({ id, ...response });
  try {
    if (work.kind === "slab") {
      writeSlab(work.job);
      answer({ value: null });
    } else answer({ value: digestOpened(work.path, work.descriptor) });
  } catch (error) {
    answer({ failure: failureOf(error) });
  }
});

/** An error's keys, since a clone of an error has its message alone. */
function failureOf(error: unknown): NonNullable<Response["failure"]> {
  if (error instanceof DraftplanError) {
    const { code, at, what, remedy } = error;
    return { kind: "draftplan", detail: { code, at, what, remedy } };
  }
  const { message, code, syscall } = error as NodeJS.ErrnoException;
  return { kind: "system", message: message ?? String(error), code, syscall };
}
