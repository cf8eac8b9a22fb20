/** The weights that all programs read: each stored tensor once in the memory they compute in, from its first use on. */
import { closeSync, openSync, readSync } from "node:fs";
import { dirname } from "node:path";
import { DraftplanError } from "../../core/errors.js";
import type { Place } from "../../model/graph/branch.js";
import { ELEMENT } from "../bindings.js";
import type { Pointer } from "../ort-api.js";
import type { Block, ComputeMemory } from "./memory.js";
import type { Tensors } from "./tensors.js";

const TYPES = {
  float32: { type: ELEMENT.float, size: 4 },
  float16: { type: ELEMENT.float16, size: 2 },
  uint8: { type: ELEMENT.uint8, size: 1 },
} as const;

export class WeightStore {
  private readonly made = new Map<string, Pointer>();
  /** by the place in the file: several tensors may be one and the same there */
  private readonly blocks = new Map<number, Block>();
  private file: number | undefined;
  private held = 0;

  /** @param path of the file that the places are in */
  constructor(
    private readonly path: string,
    private readonly places: ReadonlyMap<string, Place>,
    private readonly memory: ComputeMemory,
    private readonly tensors: Tensors,
  ) {}

  get folder(): string {
    return dirname(this.path);
  }

  /** bytes that it holds */
  get bytes(): number {
    return this.held;
  }

  /** @throws FILE_UNREADABLE; RUNTIME_FAILED where the memory has no room */
  tensor(name: string): Pointer {
    const known = this.made.get(name);
    if (known !== undefined) return known;
    const place = this.places.get(name);
    if (place === undefined) throw new Error(`the weight file has no ${name}`);
    const { type, size } = TYPES[place.type];
    const tensor = this.tensors.over(this.block(place), place.dims, type, size);
    this.made.set(name, tensor);
    return tensor;
  }

  private block({ offset, length }: Place): Block {
    const known = this.blocks.get(offset);
    if (known !== undefined && known.bytes >= length) return known;
    const block = this.memory.allocate(length, false);
    this.memory.fill(block, (piece, at) => this.read(piece, offset + at));
    this.blocks.set(offset, block);
    this.held += length;
    return block;
  }

  private read(into: Uint8Array, position: number): void {
    try {
      this.file ??= openSync(this.path, "r");
      for (let done = 0; done < into.length; ) {
        const count = readSync(this.file, into, done, into.length - done, position + done);
        if (count === 0) throw new Error("it ends too early");
        done += count;
      }
    } catch (cause) {
      throw new DraftplanError({
        code: "FILE_UNREADABLE",
        at: this.path,
        what: `the converted weights could not be read (${cause instanceof Error ? cause.message : String(cause)})`,
        remedy: "Remove converted models (draftplan cache --clear) and run the command again.",
        cause,
      });
    }
  }

  /** Its blocks are the memory's to free. */
  close(): void {
    if (this.file !== undefined) closeSync(this.file);
    this.file = undefined;
  }
}
