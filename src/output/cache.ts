/** The cache of converted models as people and machines read it. */
import { counted } from "../core/text.js";
import type { CacheEntry, HalfMade } from "../model/cache.js";
import { formatBytes } from "./format.js";

export interface CacheReport {
  folder: string;
  entries: readonly CacheEntry[];
  halfMade: readonly HalfMade[];
  /** null: nothing was to be deleted */
  freedBytes: number | null;
}

/** Digits of a key that are shown; `--clear` takes them. */
const SHOWN_DIGITS = 12;

const total = (parts: readonly { bytes: number }[]): number => parts.reduce((sum, { bytes }) => sum + bytes, 0);
const timeOf = (ms: number): string => new Date(ms).toISOString();

export function cacheJson({ folder, entries, halfMade, freedBytes }: CacheReport): unknown {
  return {
    folder,
    entries: entries.map(({ key, bytes, label, usedMs }) => ({
      key,
      bytes,
      model: label?.model ?? null,
      kernels: label?.kernels.split(" ") ?? null,
      last_used: timeOf(usedMs),
    })),
    bytes: total(entries),
    half_made: {
      count: halfMade.length,
      running: halfMade.filter(({ running }) => running).length,
      bytes: total(halfMade),
    },
    freed_bytes: freedBytes,
  };
}

export function cacheText(report: CacheReport): string {
  const { folder, entries, halfMade, freedBytes } = report;
  if (freedBytes !== null) return `${formatBytes(freedBytes)} freed in ${folder}`;
  const lines = [`${folder}: ${counted(entries.length, "converted model")}, ${formatBytes(total(entries))}`];
  for (const { key, bytes, label, usedMs } of entries) {
    lines.push(`  ${label?.model ?? "made by an earlier build"}`);
    const facts = [
      ...(label === null ? [] : [label.kernels]),
      formatBytes(bytes),
      `used ${timeOf(usedMs).slice(0, 10)}`,
    ];
    lines.push(`    ${key.slice(0, SHOWN_DIGITS)}  ${facts.join(", ")}`);
  }
  const left = halfMade.filter(({ running }) => !running);
  const going = halfMade.filter(({ running }) => running);
  if (going.length > 0) lines.push(`  being converted now: ${going.length}, ${formatBytes(total(going))}`);
  if (left.length > 0)
    lines.push(`  left half made: ${left.length}, ${formatBytes(total(left))}; draftplan cache --clear removes them`);
  return lines.join("\n");
}
