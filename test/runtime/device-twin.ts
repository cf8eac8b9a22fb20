/** Stands for a device's memory on the CPU: what the host writes is not there until it is pushed, nor read until it is pulled. */
import type { Block, ComputeMemory, Mark, Part } from "../../src/runtime/programs/memory.js";

export class DeviceTwin implements ComputeMemory {
  readonly name = "Cpu";
  readonly queues = true;
  readonly sessionOptions = {};
  readonly blocks = new Set<Block>();
  /** copies to the host wait for `wait`, as on a stream */
  private readonly later: (() => void)[] = [];
  waits = 0;
  private marks = 0;

  allocate(bytes: number, mirrored: boolean): Block {
    const block = { bytes, at: new Uint8Array(new ArrayBuffer(bytes)), host: mirrored ? new ArrayBuffer(bytes) : null };
    this.blocks.add(block);
    return block;
  }

  private device(block: Block): Uint8Array {
    if (!this.blocks.has(block)) throw new Error("a block is used that was freed");
    return block.at as Uint8Array;
  }

  fill(block: Block, read: (piece: Uint8Array, offset: number) => void): void {
    const half = Math.ceil(block.bytes / 2);
    for (const [from, count] of [
      [0, half],
      [half, block.bytes - half],
    ]) {
      const piece = new Uint8Array(count);
      read(piece, from);
      this.device(block).set(piece, from);
    }
  }

  push({ block, from }: Part, bytes: number): void {
    this.device(block).set(new Uint8Array(block.host as ArrayBuffer, from, bytes), from);
  }

  pull({ block, from }: Part, bytes: number): void {
    const copy = this.device(block).slice(from, from + bytes);
    this.later.push(() => new Uint8Array(block.host as ArrayBuffer).set(copy, from));
  }

  copy(from: Part, to: Part, bytes: number): void {
    this.device(to.block).set(this.device(from.block).slice(from.from, from.from + bytes), to.from);
  }

  wait(): void {
    this.waits += 1;
    for (const work of this.later.splice(0)) work();
  }

  snapshot(block: Block): ArrayBuffer {
    return new Uint8Array(this.device(block)).buffer;
  }

  mark(): Mark {
    return ++this.marks;
  }

  elapsedUs(marks: readonly Mark[]): number[] {
    return marks.slice(1).map(() => 10);
  }

  usedBytes(): number {
    return [...this.blocks].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  free(block: Block): void {
    this.device(block);
    this.blocks.delete(block);
  }

  close(): void {
    this.blocks.clear();
  }
}
