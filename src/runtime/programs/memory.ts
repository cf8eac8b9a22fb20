/**
 * The memory that programs compute in: a device's, or the host's. Everything they read and write lies in blocks of it at
 * addresses that stay, so that passes can be captured, and one pass can read what another wrote without the host.
 */
import type { Pointer } from "../ort-api.js";

/** A piece of that memory; zeros at first. */
export interface Block {
  readonly bytes: number;
  /** where the library finds it */
  readonly at: Uint8Array<ArrayBuffer> | Pointer;
  /** what the host reads and writes: the block itself, or a copy of it. Null for a block without one */
  readonly host: ArrayBuffer | null;
}

/** A part of a block, from a byte on. */
export interface Part {
  block: Block;
  from: number;
}

/** A moment in the order of what was queued. */
export type Mark = number | Pointer;

export interface ComputeMemory {
  /** OrtMemoryInfo's name of it */
  readonly name: string;
  /** whether what is asked for happens later, in order; `wait` ends when it has */
  readonly queues: boolean;
  /** provider options by which sessions compute in that order; none on the host */
  readonly sessionOptions: Readonly<Record<string, string>>;
  /**
   * @param mirrored whether the host is to read or write it (`Block.host`)
   * @throws RUNTIME_FAILED where there is no room
   */
  allocate(bytes: number, mirrored: boolean): Block;
  /** Fills a block from the host, piece by piece, before this returns. @param read puts the block's bytes from `offset` on */
  fill(block: Block, read: (piece: Uint8Array, offset: number) => void): void;
  /** What the host wrote into its side of a block becomes the block's, before any pass asked for later. */
  push(part: Part, bytes: number): void;
  /** The host's side of a block becomes what the block holds behind all passes asked for so far; read it after `wait`. */
  pull(part: Part, bytes: number): void;
  /** Copies within this memory, behind all passes asked for so far and before any later one. */
  copy(from: Part, to: Part, bytes: number): void;
  wait(): void;
  /** what a block holds, once everything asked for so far is over: the block itself, or a copy of it */
  snapshot(block: Block): ArrayBuffer;
  mark(): Mark;
  /** µs between each mark and the one before it, once all have passed; they are let go of */
  elapsedUs(marks: readonly Mark[]): number[];
  /** bytes of it in use, by this process or by all that use the device */
  usedBytes(): number;
  free(block: Block): void;
  /** Frees every block; calling it twice is harmless. */
  close(): void;
}

/** Pieces in which weights are read: a large matrix is not twice in memory. */
export const PIECE_BYTES = 64 << 20;

/** The host's own memory: nothing is copied and nothing queued. */
export class HostMemory implements ComputeMemory {
  readonly name = "Cpu";
  readonly queues = false;
  readonly sessionOptions = {};

  allocate(bytes: number): Block {
    const host = new ArrayBuffer(bytes);
    return { bytes, at: new Uint8Array(host), host };
  }

  fill({ bytes, host }: Block, read: (piece: Uint8Array, offset: number) => void): void {
    if (host === null) throw new Error("a block of the host's is its own host side");
    for (let at = 0; at < bytes; at += PIECE_BYTES)
      read(new Uint8Array(host, at, Math.min(PIECE_BYTES, bytes - at)), at);
  }

  push(): void {}
  pull(): void {}
  wait(): void {}
  free(): void {}
  close(): void {}

  copy(from: Part, to: Part, bytes: number): void {
    (to.block.at as Uint8Array).set((from.block.at as Uint8Array).subarray(from.from, from.from + bytes), to.from);
  }

  snapshot({ host }: Block): ArrayBuffer {
    if (host === null) throw new Error("a block of the host's is its own host side");
    return host;
  }

  mark(): Mark {
    return 1000 * performance.now();
  }

  elapsedUs(marks: readonly Mark[]): number[] {
    return marks.slice(1).map((mark, i) => Number(mark) - Number(marks[i]));
  }

  usedBytes(): number {
    return process.memoryUsage.rss();
  }
}
