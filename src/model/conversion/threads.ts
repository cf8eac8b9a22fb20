/**
 * Threads that convert. Making the bytes of a matrix takes a processor far longer than reading and writing them
 * (bench/convert.mjs), and rows do not depend on one another.
 */
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { DraftplanError, type ErrorDetail } from "../../core/errors.js";
import type { SlabJob } from "./rows.js";

export type Work =
  | { kind: "slab"; job: SlabJob }
  /** SHA-256 of an open file */
  | { kind: "digest"; path: string; descriptor: number };

export interface Request {
  id: number;
  work: Work;
}

export interface Response {
  id: number;
  value?: string | null;
  failure?:
    | { kind: "draftplan"; detail: Omit<ErrorDetail, "cause"> }
    | { kind: "system"; message: string; code?: string | undefined; syscall?: string | undefined };
}

/** A slab takes 40 MiB or so, and Node itself 30 MiB in every thread: 32 of them stay below 4 GiB with room to spare. */
const MOST_THREADS = 32;
/** Jobs that lie ready for each thread, so that none waits for the next. */
const QUEUED = 2;

export interface ThreadOptions {
  /** no more threads than these; default: as many as processors may be used, 32 at most */
  most?: number;
  /** the program of a thread; default: the built one beside this file. Where there is none, nothing is done in threads */
  program?: URL;
  /** what is smaller is made at once, without threads; default: 128 MiB */
  leastBytes?: number;
  /** numbers of a slab, about; default: see rows.ts */
  slabValues?: number;
}

const PROGRAM = new URL("./worker.js", import.meta.url);
/** Starting a thread and loading its modules takes some 50 ms. */
const LEAST_BYTES = 128 << 20;

/** @returns undefined where so little, or so little of a build, is there that threads are not used */
export function startThreads(bytes: number, options: ThreadOptions = {}): Threads | undefined {
  const { most = MOST_THREADS, program = PROGRAM } = options;
  if (bytes < (options.leastBytes ?? LEAST_BYTES) || !existsSync(fileURLToPath(program))) return undefined;
  return new Threads(Math.min(most, MOST_THREADS, availableParallelism()), program);
}

interface Started {
  worker: Worker;
  running: number;
}

interface Waiting {
  thread: Started;
  resolve(value: string | null): void;
  reject(cause: unknown): void;
}

export class Threads {
  readonly #threads: Started[];
  readonly #waiting = new Map<number, Waiting>();
  readonly #running = new Set<Promise<unknown>>();
  #next = 0;
  #failure: { cause: unknown } | undefined;

  constructor(count: number, program: URL) {
    this.#threads = Array.from({ length: count }, () => {
      const thread: Started = { worker: new Worker(program), running: 0 };
      thread.worker.on("message", (response: Response) => this.#answered(response));
      thread.worker.on("error", (cause) => this.#ended(thread, cause));
      thread.worker.on("exit", (code) => this.#ended(thread, new Error(`a thread ended by itself (${code})`)));
      return thread;
    });
  }

  /** SHA-256 of an open file, hex. @throws FILE_UNREADABLE */
  async digest({ path, descriptor }: { path: string; descriptor: number }): Promise<string> {
    return (await this.#run({ kind: "digest", path, descriptor })) as string;
  }

  /** Does it in the thread that has least to do. */
  #run(work: Work): Promise<string | null> {
    const thread = this.#threads.reduce((least, one) => (one.running < least.running ? one : least));
    const id = this.#next++;
    const done = new Promise<string | null>((resolve, reject) => {
      this.#waiting.set(id, { thread, resolve, reject });
    });
    thread.running++;
    thread.worker.postMessage({ id, work } satisfies Request);
    return done;
  }

  /**
   * Hands out a job and returns when a further one may be handed out.
   * @throws what a job before it threw
   */
  async add(work: Work): Promise<void> {
    const done: Promise<unknown> = this.#run(work)
      .catch((cause) => {
        this.#failure ??= { cause };
      })
      .finally(() => this.#running.delete(done));
    this.#running.add(done);
    while (this.#running.size >= QUEUED * this.#threads.length) await Promise.race(this.#running);
    this.#throwFailure();
  }

  /** Waits for all jobs that were added. @throws what one of them threw */
  async finish(): Promise<void> {
    await Promise.all(this.#running);
    this.#throwFailure();
  }

  /** Ends the threads; nothing is written any more when this returns. */
  async close(): Promise<void> {
    await Promise.all(this.#threads.map(({ worker }) => worker.removeAllListeners().terminate()));
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.cause;
  }

  #answered({ id, value, failure }: Response): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    this.#waiting.delete(id);
    waiting.thread.running--;
    if (failure === undefined) waiting.resolve(value ?? null);
    else waiting.reject(errorOf(failure));
  }

  /** Nobody may wait for a thread that is gone. */
  #ended(thread: Started, cause: unknown): void {
    for (const [id, waiting] of this.#waiting) {
      if (waiting.thread !== thread) continue;
      this.#waiting.delete(id);
      waiting.reject(cause);
    }
  }
}

function errorOf(failure: NonNullable<Response["failure"]>): Error {
  if (failure.kind === "draftplan") return new DraftplanError(failure.detail);
  const { message, code, syscall } = failure;
  // a bare system error comes from writing (entry.ts), which is told by its call
  return Object.assign(new Error(message), syscall === undefined ? {} : { code, syscall });
}
