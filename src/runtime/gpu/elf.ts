/** Which libraries an ELF file asks the loader for: its entries DT_NEEDED (System V ABI, chapters 4 and 5; 64 bits, little-endian). */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";

const HEADER_BYTES = 64;
const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const DT_NULL = 0;
const DT_NEEDED = 1;
const DT_STRTAB = 5;
const DT_STRSZ = 10;
/** Far above what any library has. */
const MOST_ENTRIES = 65536;
const MOST_STRING_BYTES = 64 << 20;

interface Segment {
  type: number;
  offset: number;
  address: number;
  fileBytes: number;
}

/**
 * @returns names as the file writes them, in its order
 * @throws Error that says what is wrong with the file: it is cut, or no such library
 */
export function neededLibraries(path: string): string[] {
  const descriptor = openSync(path, "r");
  try {
    return readNeeded(descriptor, fstatSync(descriptor).size);
  } finally {
    closeSync(descriptor);
  }
}

function readNeeded(descriptor: number, fileBytes: number): string[] {
  const at = (offset: number, length: number): DataView => {
    const bytes = new Uint8Array(length);
    const isInside = Number.isSafeInteger(offset) && offset >= 0 && offset + length <= fileBytes;
    if (!isInside || readSync(descriptor, bytes, 0, length, offset) < length)
      throw new Error(`it is cut: it has ${fileBytes} bytes, and its tables reach to byte ${offset + length}`);
    return new DataView(bytes.buffer);
  };
  const header = at(0, HEADER_BYTES);
  if (header.getUint32(0) !== 0x7f454c46 || header.getUint8(4) !== 2 || header.getUint8(5) !== 1)
    throw new Error("it is no 64-bit ELF library");
  const segments = readSegments(header, at);
  const sectionsEnd = word(header, 40) + header.getUint16(58, true) * header.getUint16(60, true);
  const end = Math.max(sectionsEnd, ...segments.map((one) => one.offset + one.fileBytes));
  if (end > fileBytes) throw new Error(`it is cut: it has ${fileBytes} bytes, and its tables reach to byte ${end}`);
  const dynamic = segments.find(({ type }) => type === PT_DYNAMIC);
  if (dynamic === undefined) return [];
  return namesOf(dynamicEntries(at(dynamic.offset, dynamic.fileBytes)), segments, at);
}

const word = (view: DataView, offset: number): number => Number(view.getBigUint64(offset, true));

function readSegments(header: DataView, at: (offset: number, length: number) => DataView): Segment[] {
  const [offset, size, count] = [word(header, 32), header.getUint16(54, true), header.getUint16(56, true)];
  return Array.from({ length: count }, (_, i) => {
    const entry = at(offset + i * size, 56);
    const type = entry.getUint32(0, true);
    return { type, offset: word(entry, 8), address: word(entry, 16), fileBytes: word(entry, 32) };
  });
}

/** Pairs of a tag and a value, until the one that ends them. */
function dynamicEntries(table: DataView): [tag: number, value: number][] {
  const entries: [number, number][] = [];
  for (let i = 0; 16 * i + 16 <= table.byteLength && i < MOST_ENTRIES; i++) {
    const tag = word(table, 16 * i);
    if (tag === DT_NULL) break;
    entries.push([tag, word(table, 16 * i + 8)]);
  }
  return entries;
}

function namesOf(
  entries: readonly [tag: number, value: number][],
  segments: readonly Segment[],
  at: (offset: number, length: number) => DataView,
): string[] {
  const needed = entries.filter(([tag]) => tag === DT_NEEDED).map(([, value]) => value);
  if (needed.length === 0) return [];
  const firstOf = (wanted: number) => entries.find(([tag]) => tag === wanted)?.[1];
  const [address, length] = [firstOf(DT_STRTAB), firstOf(DT_STRSZ)];
  const segment = segments.find(
    (one) =>
      one.type === PT_LOAD && address !== undefined && address >= one.address && address < one.address + one.fileBytes,
  );
  if (address === undefined || length === undefined || length > MOST_STRING_BYTES || segment === undefined)
    throw new Error("its names of libraries cannot be found");
  const strings = at(segment.offset + address - segment.address, length);
  const bytes = Buffer.from(strings.buffer);
  return needed.map((from) => {
    const end = bytes.indexOf(0, from);
    if (from >= length || end < 0) throw new Error("its names of libraries cannot be read");
    return bytes.toString("latin1", from, end);
  });
}
