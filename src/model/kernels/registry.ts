/** Kernels by name: the target's role and precision on one side, what a draft chooses on the other. */
import type { KernelDefinition, TargetDefinition } from "./kernel.js";
import { DRAFT_KERNELS, SIMULATED_KERNELS, TARGET_KERNELS } from "./list.js";

export type TargetPrecision = (typeof TARGET_KERNELS)[number]["name"];
export type DraftKernel = (typeof DRAFT_KERNELS)[number]["name"];
export type SimulatedKernel = (typeof SIMULATED_KERNELS)[number]["name"];
export const SIMULATED: readonly SimulatedKernel[] = SIMULATED_KERNELS.map(({ name }) => name);
/** What a draft may say of a block that runs. */
export type KernelRole = "target" | DraftKernel;

export const TARGET_PRECISIONS: readonly TargetPrecision[] = TARGET_KERNELS.map(({ name }) => name);
/** What a document means that does not name its target's precision. */
export const DEFAULT_PRECISION: TargetPrecision = TARGET_KERNELS[0].name;

/** A kernel whose name cannot be missing: types allow no other. */
function named<Definition extends KernelDefinition>(list: readonly Definition[], name: string): Definition {
  const found = list.find((kernel) => kernel.name === name);
  if (found === undefined) throw new Error(`there is no kernel ${name}`);
  return found;
}

export const targetKernel = (precision: TargetPrecision): TargetDefinition =>
  named<TargetDefinition>(TARGET_KERNELS, precision);

export const draftKernel = (name: DraftKernel): KernelDefinition =>
  named<KernelDefinition>([...DRAFT_KERNELS, ...SIMULATED_KERNELS], name);

/** One of these in a draft's place: an engine that was loaded with it runs it, and no document takes it. */
export const asDraftKernel = (name: SimulatedKernel): DraftKernel => name as string as DraftKernel;

export const isSimulated = (name: string): name is SimulatedKernel => (SIMULATED as readonly string[]).includes(name);

/** What runs where a draft says `role`, on an engine whose target has this precision. */
export const kernelFor = (role: KernelRole, precision: TargetPrecision): KernelDefinition =>
  role === "target" ? targetKernel(precision) : draftKernel(role);
