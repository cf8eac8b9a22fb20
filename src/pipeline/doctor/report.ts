/** What `draftplan doctor` found. */
import type { ErrorCode } from "../../core/errors.js";
import type { Bandwidth } from "../../runtime/bandwidth.js";
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
  /** why no model can be run here with this library and provider */
  failure: Refusal | null;
}
