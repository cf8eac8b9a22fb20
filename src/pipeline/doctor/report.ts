/** What `draftplan doctor` found. */
import type { ErrorCode } from "../../core/errors.js";
import type { Bandwidth } from "../../runtime/bandwidth.js";
import type { LibraryState } from "../../runtime/gpu/cuda-libraries.js";
import type { Gpu } from "../../runtime/gpu/nvidia-smi.js";
import type { HostFacts } from "../../runtime/host.js";
import type { Warning } from "./warnings.js";

export interface Refusal {
  code: ErrorCode;
  what: string;
  remedy: string;
}

export interface ProviderReport {
  name: string;
  ortName: string;
  /** null: a tiny model ran on it, with the CPU's results */
  refusal: Refusal | null;
}

export interface CudaReport {
  /** why the provider's own file cannot be read, or is not there; null: it can */
  refusal: Refusal | null;
  /** `remedy`: how to get a library that was not found; null where it was */
  libraries: (LibraryState & { remedy: string | null })[];
}

export interface DoctorReport {
  library: { version: string; refusal: null } | { version: null; refusal: Refusal };
  /** whether it is the one that travels with draftplan, or the one of --ort-library */
  librarySource: "bundled" | "given";
  providers: ProviderReport[];
  /** the provider that was asked for */
  provider: string;
  platform: string;
  host: HostFacts;
  threads: number;
  /** cores' worth of work that went on while draftplan waited */
  busyCores: number | null;
  bandwidth: Bandwidth | null;
  cache: { folder: string; models: number; bytes: number };
  warnings: Warning[];
  /** what the CUDA provider wants, where one was asked for; null: none was */
  cuda: CudaReport | null;
  /** what the GPU's driver says; null: there is no nvidia-smi, or it knows no GPU */
  gpu: Gpu | null;
  /** why no model can be run here with this library and provider */
  failure: Refusal | null;
}
