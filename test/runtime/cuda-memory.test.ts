/** A GPU's memory, against a driver that does what it is told only when the stream is waited for. */
import { describe, expect, test } from "vitest";
import type { NativeFunction, Pointer } from "../../src/runtime/ort-api.js";
import { type DriverFunction, driverOf } from "../../src/runtime/programs/cuda-driver.js";
import { CudaMemory } from "../../src/runtime/programs/cuda-memory.js";
import { PIECE_BYTES } from "../../src/runtime/programs/memory.js";
import { expectFailure } from "../support/failure.js";

/** Memory by address; copies are made in order, when the stream is synchronised. */
class FakeDriver {
  readonly memory = new Map<bigint, Uint8Array<ArrayBuffer>>();
  readonly open = { device: 0, pinned: 0, streams: 0, events: 0, contexts: 0 };
  private next = 0x1000n;
  private queue: (() => void)[] = [];
  room = 1 << 30;
  status = 0;

  at(address: bigint): { buffer: Uint8Array<ArrayBuffer>; from: number } {
    for (const [start, buffer] of this.memory)
      if (address >= start && address < start + BigInt(buffer.length)) return { buffer, from: Number(address - start) };
    throw new Error(`nothing lies at ${address}`);
  }

  view = (address: Pointer): ArrayBuffer => (this.memory.get(address) as Uint8Array<ArrayBuffer>).buffer;

  private make(out: (Pointer | null)[], bytes: number): number {
    if (bytes > this.room) return 2;
    out[0] = this.next;
    this.memory.set(this.next, new Uint8Array(bytes).fill(0xee)); // fresh memory holds anything
    this.next += BigInt(bytes + 0x1000);
    return 0;
  }

  private copy = (to: bigint, from: bigint, bytes: number): number => {
    this.queue.push(() => {
      const [target, source] = [this.at(to), this.at(from)];
      target.buffer.set(source.buffer.slice(source.from, source.from + bytes), target.from);
    });
    return 0;
  };

  functions(): Record<DriverFunction, NativeFunction> {
    const counted = (kind: keyof FakeDriver["open"], change: number) => {
      this.open[kind] += change;
      return 0;
    };
    const handle = (kind: keyof FakeDriver["open"]) => (out: (Pointer | null)[]) => {
      out[0] = this.next++;
      return counted(kind, 1);
    };
    const freed = (kind: keyof FakeDriver["open"]) => (address: bigint) => {
      if (!this.memory.delete(address)) throw new Error("freed twice");
      return counted(kind, -1);
    };
    const functions = {
      cuInit: () => this.status,
      cuDeviceGet: (out: unknown[], ordinal: number) => {
        out[0] = ordinal;
        return 0;
      },
      cuDevicePrimaryCtxRetain: handle("contexts"),
      cuDevicePrimaryCtxRelease_v2: () => counted("contexts", -1),
      cuCtxSetCurrent: () => 0,
      cuMemGetInfo_v2: (free: unknown[], total: unknown[]) => {
        [free[0], total[0]] = [700, 1000n];
        return 0;
      },
      cuMemAlloc_v2: (out: (Pointer | null)[], bytes: number) => this.make(out, bytes) || counted("device", 1),
      cuMemFree_v2: freed("device"),
      cuMemHostAlloc: (out: (Pointer | null)[], bytes: number) => this.make(out, bytes) || counted("pinned", 1),
      cuMemFreeHost: freed("pinned"),
      cuMemsetD8Async: (to: bigint, value: number, bytes: number) => {
        this.queue.push(() => void this.at(to).buffer.fill(value, 0, bytes));
        return 0;
      },
      cuMemcpyHtoDAsync_v2: this.copy,
      cuMemcpyDtoHAsync_v2: this.copy,
      cuMemcpyDtoDAsync_v2: this.copy,
      cuStreamCreate: handle("streams"),
      cuStreamSynchronize: () => {
        for (const work of this.queue.splice(0)) work();
        return 0;
      },
      cuStreamDestroy_v2: () => counted("streams", -1),
      cuEventCreate: handle("events"),
      cuEventRecord: () => 0,
      cuEventElapsedTime: (out: unknown[], from: bigint, to: bigint) => {
        out[0] = Number(to - from) / 4;
        return 0;
      },
      cuEventDestroy_v2: () => counted("events", -1),
    };
    return functions as unknown as Record<DriverFunction, NativeFunction>;
  }
}

function setUp() {
  const fake = new FakeDriver();
  return { fake, memory: new CudaMemory(driverOf(fake.functions()), fake.view) };
}

const bytes = (buffer: ArrayBuffer | null) => [...new Uint8Array(buffer as ArrayBuffer)];

describe("a block", () => {
  test("is zeros on both sides, and changes where it is pushed and pulled alone", () => {
    const { memory } = setUp();
    const block = memory.allocate(8, true);
    memory.wait();
    expect([bytes(block.host), bytes(memory.snapshot(block))]).toEqual([new Array(8).fill(0), new Array(8).fill(0)]);
    new Uint8Array(block.host as ArrayBuffer).set([1, 2, 3, 4, 5, 6, 7, 8]);
    memory.push({ block, from: 2 }, 3);
    expect(bytes(memory.snapshot(block))).toEqual([0, 0, 3, 4, 5, 0, 0, 0]);
    memory.pull({ block, from: 0 }, 4);
    expect(bytes(block.host)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]); // not before it is waited for
    memory.wait();
    expect(bytes(block.host)).toEqual([0, 0, 3, 4, 5, 6, 7, 8]);
  });

  test("is copied from and to any place, in order", () => {
    const { memory } = setUp();
    const [a, b] = [memory.allocate(8, true), memory.allocate(8, false)];
    new Uint8Array(a.host as ArrayBuffer).set([1, 2, 3, 4]);
    memory.push({ block: a, from: 0 }, 8);
    memory.copy({ block: a, from: 1 }, { block: b, from: 4 }, 2);
    memory.copy({ block: b, from: 5 }, { block: a, from: 0 }, 1);
    expect(bytes(memory.snapshot(b))).toEqual([0, 0, 0, 0, 2, 3, 0, 0]);
    expect(bytes(memory.snapshot(a))).toEqual([3, 2, 3, 4, 0, 0, 0, 0]);
  });

  test("is filled in pieces, none of which is written over before it has arrived", () => {
    const { memory, fake } = setUp();
    const size = PIECE_BYTES + 3;
    const block = memory.allocate(size, false);
    expect(block.host).toBeNull();
    const places: number[] = [];
    memory.fill(block, (piece, offset) => {
      places.push(offset);
      piece.fill(offset === 0 ? 1 : 2);
    });
    expect(places).toEqual([0, PIECE_BYTES]);
    const { buffer } = fake.at(block.at as bigint);
    expect([buffer[0], buffer[PIECE_BYTES - 1], ...buffer.subarray(PIECE_BYTES)]).toEqual([1, 1, 2, 2, 2]);
  });
});

test("marks are µs apart and let go of; used bytes are what is not free", () => {
  const { memory, fake } = setUp();
  const marks = [memory.mark(), memory.mark(), memory.mark()];
  expect(memory.elapsedUs(marks)).toEqual([250, 250]);
  expect(fake.open.events).toBe(0);
  expect(memory.usedBytes()).toBe(300);
});

test("closing gives back everything, once", () => {
  const { memory, fake } = setUp();
  const blocks = [memory.allocate(8, true), memory.allocate(8, false)];
  memory.fill(blocks[1], () => {});
  memory.free(blocks[0]);
  memory.free(blocks[0]);
  memory.close();
  memory.close();
  expect(fake.open).toEqual({ device: 0, pinned: 0, streams: 0, events: 0, contexts: 0 });
});

test("memory that there is not is said to be short, and nothing of the block stays", async () => {
  const { memory, fake } = setUp();
  fake.room = 10;
  await expectFailure(() => memory.allocate(11, false), "RUNTIME_FAILED", /cuMemAlloc_v2.*not that much memory/s);
  expect(fake.open.device).toBe(0);
});

test("what else the driver refuses is named by its function and number", async () => {
  const fake = new FakeDriver();
  fake.status = 100;
  const open = () => new CudaMemory(driverOf(fake.functions()), fake.view);
  await expectFailure(open, "RUNTIME_FAILED", /cuInit: error 100/);
});

test("sessions compute on the same stream, by its address", () => {
  const { memory } = setUp();
  expect(memory.sessionOptions.user_compute_stream).toMatch(/^\d+$/);
});
