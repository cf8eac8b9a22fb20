/** A GPU's memory, and one stream in which copies and passes follow each other without the host. */

import type { Pointer } from "../ort-api.js";
import type { CudaDriver, DeviceAddress } from "./cuda-driver.js";
import { type Block, type ComputeMemory, type Mark, type Part, PIECE_BYTES } from "./memory.js";

/** cuda.h: CU_STREAM_NON_BLOCKING, so that nothing waits for the default stream */
const NON_BLOCKING = 1;

interface DeviceBlock extends Block {
  readonly at: DeviceAddress;
  /** the host's side: memory that the device copies from and to by itself */
  readonly pinned: Pointer | null;
}

export class CudaMemory implements ComputeMemory {
  readonly name = "Cuda";
  readonly queues = true;
  readonly sessionOptions: Readonly<Record<string, string>>;
  private readonly device: number;
  private readonly stream: Pointer;
  private readonly blocks = new Set<DeviceBlock>();
  /** weights pass through it on their way to the device; kept while weights are read */
  private piece: { pinned: Pointer; bytes: number; view: ArrayBuffer } | undefined;
  private closed = false;

  /**
   * @param view  memory at an address as an ArrayBuffer
   * @param ordinal of the device
   * @throws RUNTIME_FAILED
   */
  constructor(
    private readonly driver: CudaDriver,
    private readonly view: (address: Pointer, bytes: number) => ArrayBuffer,
    ordinal = 0,
  ) {
    driver.call("cuInit", 0);
    this.device = Number(driver.make("cuDeviceGet", ordinal));
    driver.call("cuCtxSetCurrent", driver.make("cuDevicePrimaryCtxRetain", this.device));
    this.stream = driver.make("cuStreamCreate", NON_BLOCKING);
    this.sessionOptions = { user_compute_stream: String(this.stream) };
  }

  allocate(bytes: number, mirrored: boolean): Block {
    const at = this.driver.make("cuMemAlloc_v2", Math.max(bytes, 1));
    let pinned: Pointer | null = null;
    try {
      this.driver.call("cuMemsetD8Async", at, 0, bytes, this.stream);
      if (mirrored) pinned = this.driver.make("cuMemHostAlloc", bytes, 0);
    } catch (error) {
      this.driver.call("cuMemFree_v2", at);
      throw error;
    }
    const block: DeviceBlock = { bytes, at, pinned, host: pinned === null ? null : this.zeroed(pinned, bytes) };
    this.blocks.add(block);
    return block;
  }

  private zeroed(pinned: Pointer, bytes: number): ArrayBuffer {
    const host = this.view(pinned, bytes);
    new Uint8Array(host).fill(0);
    return host;
  }

  fill(block: Block, read: (piece: Uint8Array, offset: number) => void): void {
    const { bytes, at } = block as DeviceBlock;
    const size = Math.min(PIECE_BYTES, bytes);
    if (this.piece === undefined || this.piece.bytes < size) {
      this.freePiece();
      const pinned = this.driver.make("cuMemHostAlloc", size, 0);
      this.piece = { pinned, bytes: size, view: this.view(pinned, size) };
    }
    const { pinned, view } = this.piece;
    for (let from = 0; from < bytes; from += size) {
      const count = Math.min(size, bytes - from);
      read(new Uint8Array(view, 0, count), from);
      this.driver.call("cuMemcpyHtoDAsync_v2", at + BigInt(from), pinned, count, this.stream);
      this.wait(); // the piece is written over next
    }
  }

  push({ block, from }: Part, bytes: number): void {
    const { at, pinned } = mirrored(block);
    const [to, source] = [at + BigInt(from), pinned + BigInt(from)];
    this.driver.call("cuMemcpyHtoDAsync_v2", to, source, bytes, this.stream);
  }

  pull({ block, from }: Part, bytes: number): void {
    if (bytes === 0) return;
    const { at, pinned } = mirrored(block);
    this.driver.call("cuMemcpyDtoHAsync_v2", pinned + BigInt(from), at + BigInt(from), bytes, this.stream);
  }

  copy(from: Part, to: Part, bytes: number): void {
    const address = ({ block, from: offset }: Part) => (block as DeviceBlock).at + BigInt(offset);
    this.driver.call("cuMemcpyDtoDAsync_v2", address(to), address(from), bytes, this.stream);
  }

  wait(): void {
    this.driver.call("cuStreamSynchronize", this.stream);
  }

  snapshot(block: Block): ArrayBuffer {
    const { bytes, at } = block as DeviceBlock;
    const pinned = this.driver.make("cuMemHostAlloc", bytes, 0);
    try {
      this.driver.call("cuMemcpyDtoHAsync_v2", pinned, at, bytes, this.stream);
      this.wait();
      return this.view(pinned, bytes).slice(0);
    } finally {
      this.driver.call("cuMemFreeHost", pinned);
    }
  }

  mark(): Mark {
    const event = this.driver.make("cuEventCreate", 0);
    this.driver.call("cuEventRecord", event, this.stream);
    return event;
  }

  elapsedUs(marks: readonly Mark[]): number[] {
    const events = marks as readonly Pointer[];
    const ms = events.slice(1).map((event, i) => Number(this.driver.make("cuEventElapsedTime", events[i], event)));
    for (const event of events) this.driver.call("cuEventDestroy_v2", event);
    return ms.map((one) => 1000 * one);
  }

  usedBytes(): number {
    const total: (Pointer | null)[] = [null];
    const free = Number(this.driver.make("cuMemGetInfo_v2", total));
    return Number(total[0]) - free;
  }

  free(block: Block): void {
    const known = block as DeviceBlock;
    if (!this.blocks.delete(known)) return;
    this.driver.call("cuMemFree_v2", known.at);
    if (known.pinned !== null) this.driver.call("cuMemFreeHost", known.pinned);
  }

  private freePiece(): void {
    if (this.piece !== undefined) this.driver.call("cuMemFreeHost", this.piece.pinned);
    this.piece = undefined;
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.wait();
    this.freePiece();
    for (const block of [...this.blocks]) this.free(block);
    this.driver.call("cuStreamDestroy_v2", this.stream);
    this.driver.call("cuDevicePrimaryCtxRelease_v2", this.device);
  }
}

function mirrored(block: Block): { at: DeviceAddress; pinned: Pointer } {
  const { at, pinned } = block as DeviceBlock;
  if (pinned === null) throw new Error("the host has no side of this block");
  return { at, pinned };
}
