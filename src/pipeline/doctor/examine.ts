/** What this machine can run, how fast its memory is, and what would disturb a measurement. */
import { DraftplanError } from "../../core/errors.js";
import { cacheFolder, listCache } from "../../model/cache.js";
import { type Bandwidth, bytesToRead } from "../../runtime/bandwidth.js";
import { cudaMajor, howToGet, type LibraryState } from "../../runtime/gpu/cuda-libraries.js";
import { readGpu } from "../../runtime/gpu/nvidia-smi.js";
import { noProvider } from "../../runtime/gpu/open-library.js";
import { busyBetween, hostFacts, readCpuTicks } from "../../runtime/host.js";
import { availableMemoryBytes, lastLevelCacheBytes } from "../../runtime/memory.js";
import type { Probes } from "../../runtime/probe.js";
import { allProviders, chooseProvider, isNvidia, type LibraryFacts } from "../../runtime/providers.js";
import type { PipelineContext } from "../context.js";
import type { CudaReport, DoctorReport, ProviderReport, Refusal } from "./report.js";
import { doctorWarnings } from "./warnings.js";

/** How long other work is looked at before anything is started. */
const WATCH_MS = 300;
/** All passes over memory together; with the time to fill it, doctor measures for less than 3 s. */
const BANDWIDTH_BUDGET_US = 800_000;

/** @param probes how libraries and providers are tried */
export async function examineMachine(context: PipelineContext, probes: Probes): Promise<DoctorReport> {
  const { provider, threads, ortLibrary, progress } = context;
  const host = hostFacts();
  const busyCores = await watchOtherWork(host.cores.logical);
  const library = await probes.library();
  await progress.tick();
  const providers = library.ok ? await tryProviders(library.value, provider, probes, () => progress.tick()) : [];
  const cuda = library.ok && isNvidia(provider) ? await examineCuda(probes) : null;
  const cache = cacheFolder();
  const models = listCache(cache);
  const { ok } = library;
  return {
    library: ok ? { version: library.value.version, refusal: null } : { version: null, refusal: refusalOf(library) },
    librarySource: ortLibrary === undefined ? "bundled" : "given",
    providers,
    provider,
    platform: `${process.platform} ${process.arch}`,
    host,
    threads,
    busyCores,
    bandwidth: ok ? await readBandwidth(threads, probes) : null,
    cache: { folder: cache, models: models.length, bytes: models.reduce((sum, { bytes }) => sum + bytes, 0) },
    warnings: doctorWarnings(host, busyCores, threads),
    cuda,
    gpu: readGpu(),
    failure: ok
      ? withLibraries(providers.find(({ name }) => name === provider)?.refusal ?? null, cuda)
      : refusalOf(library),
  };
}

async function examineCuda(probes: Probes): Promise<CudaReport> {
  const answer = await probes.cuda();
  if (!answer.ok) return { refusal: refusalOf(answer), libraries: [] };
  if (answer.value.length === 0) return { refusal: refusalOf(noProvider()), libraries: [] };
  const major = cudaMajor(answer.value.map(({ name }) => name));
  const remedy = ({ found, name }: LibraryState) => (found ? null : howToGet(name, major));
  return { refusal: null, libraries: answer.value.map((state) => ({ ...state, remedy: remedy(state) })) };
}

/** A provider that does not run for want of libraries is refused by their names, and not by the first one's alone. */
function withLibraries(refusal: Refusal | null, cuda: CudaReport | null): Refusal | null {
  if (refusal === null || cuda === null) return refusal;
  if (cuda.refusal !== null) return cuda.refusal;
  const missing = cuda.libraries.filter(({ found, onDemand }) => !found && !onDemand);
  if (missing.length === 0) return refusal;
  return {
    ...refusal,
    what: `libraries that it is linked against cannot be loaded: ${missing.map(({ name }) => name).join(", ")}`,
    remedy: `${[...new Set(missing.map(({ name, remedy }) => `${name}: ${remedy}`))].join("; ")}.`,
  };
}

const refusalOf = ({ code, what, remedy }: Refusal): Refusal => ({ code, what, remedy });

async function watchOtherWork(logicalCores: number): Promise<number | null> {
  const before = readCpuTicks();
  if (before === null) return null;
  await new Promise((resolve) => setTimeout(resolve, WATCH_MS));
  return busyBetween(before, readCpuTicks(), logicalCores);
}

/**
 * Those that the library or the table names, each in a process of its own.
 * @throws OPTION_INVALID for a provider that neither names
 */
async function tryProviders(
  library: LibraryFacts,
  wanted: string,
  probes: Probes,
  tick: () => Promise<void>,
): Promise<ProviderReport[]> {
  const known = allProviders(library.available);
  if (!known.some(({ name }) => name === wanted)) chooseProvider(wanted, library);
  const reports: ProviderReport[] = [];
  for (const { name, ortName } of known) {
    await tick();
    const outside = refusedBeforehand(name, library);
    const answer = outside === null ? await probes.provider(name) : null;
    reports.push({ name, ortName, refusal: outside ?? (answer === null || answer.ok ? null : refusalOf(answer)) });
  }
  return reports;
}

/** What the library's own facts rule out, without a try. */
function refusedBeforehand(name: string, library: LibraryFacts): Refusal | null {
  try {
    chooseProvider(name, library);
    return null;
  } catch (error) {
    if (error instanceof DraftplanError) return refusalOf(error);
    throw error;
  }
}

/** null where memory has no room, or it could not be measured */
async function readBandwidth(threads: number, probes: Probes): Promise<Bandwidth | null> {
  const bytes = bytesToRead(lastLevelCacheBytes(threads), availableMemoryBytes());
  if (bytes === null) return null;
  const answer = await probes.bandwidth({ threads, bytes, budgetUs: BANDWIDTH_BUDGET_US });
  return answer.ok ? answer.value : null;
}
