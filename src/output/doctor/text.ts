/** The report of `draftplan doctor` on a terminal. */
import { floorUs } from "../../core/floor.js";
import type { CudaReport, DoctorReport, ProviderReport } from "../../pipeline/doctor/report.js";
import type { Gpu } from "../../runtime/gpu/nvidia-smi.js";
import type { Cache, HostFacts } from "../../runtime/host.js";
import { formatBytes } from "../format.js";

const UNKNOWN = "not known here";
const LABEL_COLUMNS = 12;
const LEAST_COLUMNS = 40;
const NAME_COLUMNS = 10;

export function doctorText(report: DoctorReport, columns: number): string {
  const { host, cache } = report;
  const rows: [label: string, lines: string[]][] = [
    ["Library", libraryLines(report)],
    ["Providers", report.providers.length === 0 ? ["not tried"] : report.providers.flatMap(providerLines)],
    ...cudaRows(report),
    ["Processor", [`${host.processor}, ${report.platform}`, `SIMD: ${host.simd?.join(", ") ?? UNKNOWN}`]],
    ["Cores", [coresText(host)]],
    ["Caches", [host.caches?.map(cacheText).join(", ") ?? UNKNOWN]],
    ["Clock", [`governor ${host.governors?.join(", ") ?? UNKNOWN}`]],
    ["Load", [loadText(report)]],
    ["Memory", [memoryText(host)]],
    ["Bandwidth", bandwidthLines(report)],
    ["Threads", [`${report.threads}`]],
    ["Models", [`${cache.models} converted, ${formatBytes(cache.bytes)}, in ${cache.folder}`]],
  ];
  const width = Math.max(LEAST_COLUMNS, Math.min(columns, 80)) - LABEL_COLUMNS;
  return rows
    .flatMap(([label, lines]) =>
      lines
        .flatMap((line) => wrap(line, width))
        .map((line, i) => `${(i === 0 ? label : "").padEnd(LABEL_COLUMNS)}${line}`.trimEnd()),
    )
    .join("\n");
}

function libraryLines({ library, librarySource }: DoctorReport): string[] {
  const source = librarySource === "bundled" ? "bundled with draftplan" : "given with --ort-library";
  if (library.version !== null) return [`onnxruntime ${library.version}, ${source}`];
  return [`${source}: does not load: ${library.refusal.what}`, library.refusal.remedy];
}

function providerLines({ name, refusal }: ProviderReport): string[] {
  if (refusal === null) return [`${name.padEnd(NAME_COLUMNS)}runs`];
  const indent = " ".repeat(NAME_COLUMNS);
  return [`${name.padEnd(NAME_COLUMNS)}does not run: ${refusal.what}`, `${indent}${refusal.remedy}`];
}

function cudaRows({ cuda, gpu }: DoctorReport): [label: string, lines: string[]][] {
  const rows: [label: string, lines: string[]][] = [];
  if (cuda?.refusal) rows.push(["CUDA", [cuda.refusal.what, cuda.refusal.remedy]]);
  else if (cuda !== null) rows.push(["CUDA", cuda.libraries.flatMap(libraryStateLines)]);
  if (gpu !== null) rows.push(["GPU", gpuLines(gpu)]);
  return rows;
}

function libraryStateLines({ name, found, path, onDemand, remedy }: CudaReport["libraries"][number]): string[] {
  const wanted = onDemand ? " (wanted by some operators alone)" : "";
  if (found) return [`${name}: ${path ?? "found"}`];
  return [`${name}: missing${wanted}; ${remedy}`];
}

function gpuLines({ name, driver, memoryBytes, freeBytes, reading }: Gpu): string[] {
  const known = (value: number | null, unit: string) => (value === null ? [] : [`${value} ${unit}`]);
  const now = [
    ...known(reading.sm_clock_mhz, "MHz"),
    ...known(reading.power_watts, "W"),
    ...known(reading.temperature_celsius, "°C"),
    ...(reading.throttled_by.length === 0 ? [] : [`slowed down by ${reading.throttled_by.join(", ")}`]),
  ];
  const memory =
    memoryBytes === null || freeBytes === null
      ? `memory ${UNKNOWN}`
      : `${formatBytes(memoryBytes)}, ${formatBytes(freeBytes)} free`;
  return [`${name}, driver ${driver ?? UNKNOWN}, ${memory}`, ...(now.length === 0 ? [] : [`now at ${now.join(", ")}`])];
}

function coresText({ cores }: HostFacts): string {
  const parts = [
    `${cores.allowed} of ${cores.logical} processors may be used`,
    cores.physical === null ? `physical cores ${UNKNOWN}` : `${cores.physical} physical`,
  ];
  if (cores.quota !== null) parts.push(`a control group allows ${cores.quota} cores' worth of time`);
  return parts.join(", ");
}

const cacheText = ({ level, type, bytes, count }: Cache): string =>
  `L${level}${type === "Unified" ? "" : ` ${type.toLowerCase()}`} ${count > 1 ? `${count} x ` : ""}${formatBytes(bytes)}`;

function loadText({ host, busyCores }: DoctorReport): string {
  const average = host.loadOneMinute === null ? UNKNOWN : host.loadOneMinute.toFixed(2);
  const busy = busyCores === null ? UNKNOWN : `${busyCores.toFixed(1)} of ${host.cores.logical} processors`;
  return `average of the last minute ${average}; busy just now ${busy}`;
}

function memoryText({ memory }: HostFacts): string {
  const limit = memory.limitBytes === null ? "" : `, a control group allows ${formatBytes(memory.limitBytes)}`;
  return `${formatBytes(memory.totalBytes)}, ${formatBytes(memory.availableBytes)} available${limit}`;
}

/** Numbers of bytes per second are decimal: 1 GB/s is 10^9. */
const gigabytes = (bytesPerSecond: number): string => `${(bytesPerSecond / 1e9).toFixed(1)} GB/s`;

function bandwidthLines({ bandwidth, warnings }: DoctorReport): string[] {
  if (bandwidth === null) return ["not measured"];
  const { bytesPerSecond, medianBytesPerSecond, bytes, passes, threads } = bandwidth;
  const floorMs = floorUs(1e9, bytesPerSecond) / 1e3;
  const lines = [
    `${gigabytes(bytesPerSecond)} read, median ${gigabytes(medianBytesPerSecond)} (${passes} products of a vector and a matrix of ${formatBytes(bytes)}, ${threads === 1 ? "1 thread" : `${threads} threads`})`,
    `so a step takes at least ${floorMs.toFixed(1)} ms per GB of weights and cache it reads`,
  ];
  const disturbed = warnings.some(({ code }) => code === "OTHER_WORK");
  return disturbed ? [...lines, "other work was running: the memory may be faster than this"] : lines;
}

/** Lines of at most `width`, broken at spaces, those after the first indented like the text of the first. */
function wrap(text: string, width: number): string[] {
  const [lead] = /^ *(?:[\w-]+ {2,})?/.exec(text) as RegExpExecArray;
  const indent = " ".repeat(lead.length);
  const lines: string[] = [];
  let line = lead;
  for (const word of text.slice(lead.length).split(" ")) {
    const isEmpty = line.trim() === "" || line === lead;
    if (!isEmpty && line.length + 1 + word.length > width) {
      lines.push(line);
      line = indent + word;
    } else line += isEmpty ? word : ` ${word}`;
  }
  return [...lines, line];
}
