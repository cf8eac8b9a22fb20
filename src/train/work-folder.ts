/**
 * What training has so far, in a folder beside the heads: texts with the target's states, and the state of training. An interrupted command goes on from it.
 *
 *     task.json      what is trained; another task's folder is not gone on from
 *     texts.jsonl    one line a text: its part, and its tokens
 *     states.f32     their states, one text behind the other, written before the line is
 *     training.bin   the state of training; replaced as a whole
 */
import {
  appendFileSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { DraftplanError } from "../core/errors.js";
import type { OwnText } from "./examples.js";
import type { TrainingState } from "./train.js";

/** `read`: text as it is, which the model only read; the others it wrote itself */
export type Part = "read" | "train" | "held back";

export interface StoredText extends OwnText {
  part: Part;
}

const COUNTS = ["bestLoss", "bestEpoch", "epochs", "step", "lossSum"] as const;

export class WorkFolder {
  readonly texts: StoredText[] = [];
  /** texts that were asked for, those without any position among them */
  asked = 0;
  private readonly statesPath: string;
  private readonly textsPath: string;
  private readonly trainingPath: string;

  /**
   * Opens it, or makes it anew where it belongs to another task.
   * @param task        everything that the result depends on
   * @param bytesNeeded for all that will be written
   * @throws FILE_UNWRITABLE, also where there is too little room
   */
  constructor(
    readonly path: string,
    task: object,
    private readonly hiddenSize: number,
    bytesNeeded: number,
    ignored: (why: string) => void,
  ) {
    this.statesPath = join(path, "states.f32");
    this.textsPath = join(path, "texts.jsonl");
    this.trainingPath = join(path, "training.bin");
    const wanted = `${JSON.stringify(task)}\n`;
    this.guarded(() => {
      const taskPath = join(path, "task.json");
      if (existsSync(taskPath)) {
        if (readFileSync(taskPath, "utf8") === wanted) this.read();
        else {
          ignored("it was made for other heads, another model or other text");
          rmSync(path, { recursive: true, force: true });
        }
      }
      mkdirSync(path, { recursive: true });
      requireRoom(path, bytesNeeded);
      if (!existsSync(taskPath)) {
        writeFileSync(this.textsPath, "");
        writeFileSync(this.statesPath, "");
        writeFileSync(taskPath, wanted, { flush: true });
      }
    });
  }

  /** Keeps a text; null: its prompt gave none. @throws FILE_UNWRITABLE */
  add(part: Part, text: OwnText | null): void {
    this.guarded(() => {
      if (text !== null) {
        const { states } = text;
        appendFileSync(this.statesPath, new Uint8Array(states.buffer, states.byteOffset, states.byteLength));
      }
      const line = { part, ids: text === null ? [] : [...text.ids] };
      appendFileSync(this.textsPath, `${JSON.stringify(line)}\n`, { flush: true });
    });
    this.asked += 1;
    if (text !== null) this.texts.push({ part, ...text });
  }

  of(part: Part): OwnText[] {
    return this.texts.filter((text) => text.part === part);
  }

  /** @throws FILE_UNWRITABLE */
  saveTraining({ weights, adam, best, ...counts }: TrainingState): void {
    const header = { ...counts, adamSteps: adam.steps, weights: weights.length };
    const json = Buffer.from(`${JSON.stringify(header)}\n`);
    const arrays = [weights, adam.mean, adam.square, best];
    const bytes = (array: Float32Array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    this.guarded(() => {
      const draft = `${this.trainingPath}.writing`;
      writeFileSync(draft, Buffer.concat([json, ...arrays.map(bytes)]), { flush: true });
      renameSync(draft, this.trainingPath);
    });
  }

  /** undefined where training has not begun, or its file is not whole */
  savedTraining(): TrainingState | undefined {
    if (!existsSync(this.trainingPath)) return undefined;
    const all = readFileSync(this.trainingPath);
    const end = all.indexOf(10);
    try {
      const header = JSON.parse(all.subarray(0, end).toString("utf8")) as Record<string, number>;
      const length = header.weights;
      if (all.length !== end + 1 + 16 * length) return undefined;
      const array = (i: number) => {
        const from = end + 1 + 4 * length * i;
        return new Float32Array(Uint8Array.from(all.subarray(from, from + 4 * length)).buffer);
      };
      const [bestLoss, bestEpoch, epochs, step, lossSum] = COUNTS.map((key) => header[key]);
      const adam = { mean: array(1), square: array(2), steps: header.adamSteps };
      return { weights: array(0), adam, best: array(3), bestLoss, bestEpoch, epochs, step, lossSum };
    } catch {
      return undefined;
    }
  }

  /** The heads are written, and nothing is left to go on with. */
  discard(): void {
    this.guarded(() => rmSync(this.path, { recursive: true, force: true }));
  }

  /** Lines whose states are there; what a crash cut off is dropped. */
  private read(): void {
    const lines = readFileSync(this.textsPath, "utf8").split("\n");
    const width = 4 * this.hiddenSize;
    const room = statSync(this.statesPath).size;
    const descriptor = openSync(this.statesPath, "r");
    let [offset, kept] = [0, 0];
    try {
      for (const line of lines.slice(0, -1)) {
        const { part, ids } = JSON.parse(line) as { part: Part; ids: number[] };
        const bytes = ids.length * width;
        if (offset + bytes > room) break;
        if (ids.length > 0) {
          const states = new Float32Array(ids.length * this.hiddenSize);
          readSync(descriptor, states, 0, bytes, offset);
          this.texts.push({ part, ids: Int32Array.from(ids), states });
        }
        this.asked += 1;
        offset += bytes;
        kept += Buffer.byteLength(line) + 1;
      }
    } finally {
      closeSync(descriptor);
    }
    truncateSync(this.statesPath, offset);
    truncateSync(this.textsPath, kept);
  }

  private guarded(work: () => void): void {
    try {
      work();
    } catch (cause) {
      if (cause instanceof DraftplanError) throw cause;
      throw new DraftplanError({
        code: "FILE_UNWRITABLE",
        at: this.path,
        what: `the folder of unfinished work could not be used (${cause instanceof Error ? cause.message : String(cause)})`,
        remedy: "Make room there, or choose another place with -o DIR. The same command goes on from what is kept.",
        cause,
      });
    }
  }
}

/** @throws FILE_UNWRITABLE */
function requireRoom(path: string, bytes: number): void {
  const { bavail, bsize } = statfsSync(dirname(resolve(path)));
  if (bavail * bsize >= bytes) return;
  const mebibytes = (n: number) => `${Math.ceil(n / 2 ** 20)} MiB`;
  throw new DraftplanError({
    code: "FILE_UNWRITABLE",
    at: path,
    what: `states and heads take ${mebibytes(bytes)}, and ${mebibytes(bavail * bsize)} are free`,
    remedy: "Make room there, or choose another place with -o DIR.",
  });
}
