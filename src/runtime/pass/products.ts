/** Which kernels a provider can multiply with: asked before anything is converted, and refused by name. */
import { DraftplanError } from "../../core/errors.js";
import { draftKernel } from "../../model/kernels/registry.js";
import { type Kernel, quantisedKernels } from "../../schema/choice.js";
import { minorVersion } from "../ort-api.js";
import type { Provider } from "../providers.js";

const FEW_BITS = 2;

/**
 * Codes of 4 and of 8 bits every provider has, or says so itself when the session is made; 2 bits are newer.
 * @param version of the library; null: not known, and taken to be new
 * @throws CHOICE_UNAVAILABLE naming the kernel and the provider
 */
export function requireProducts(
  { name, twoBitsSinceMinor }: Pick<Provider, "name" | "twoBitsSinceMinor">,
  version: string | null,
  kernels: readonly Kernel[],
): void {
  const few = quantisedKernels(kernels).find((kernel) => draftKernel(kernel).bits === FEW_BITS);
  if (few === undefined) return;
  const minor = version === null ? Number.POSITIVE_INFINITY : (minorVersion(version) ?? 0);
  if (twoBitsSinceMinor !== undefined && minor >= twoBitsSinceMinor) return;
  throw new DraftplanError({
    code: "CHOICE_UNAVAILABLE",
    at: `${few} on --provider ${name}`,
    what:
      twoBitsSinceMinor === undefined
        ? `${name} has no product of ${FEW_BITS}-bit codes`
        : `ONNX Runtime ${version} has no product of ${FEW_BITS}-bit codes on ${name}; 1.${twoBitsSinceMinor} is the first that does`,
    remedy: `Leave ${few} out of --choices and of the plan, or use ${
      twoBitsSinceMinor === undefined
        ? "--provider cpu"
        : "the library that travels with draftplan, without --ort-library"
    }.`,
  });
}
