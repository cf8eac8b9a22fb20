/**
 * What a config.json says of how its weights were quantised: `quantization_config` (transformers, vLLM) or `quantization`
 * (MLX). What is read is read by dequantising; everything else is refused by its name, with what to do.
 */
import { z } from "zod";
import { DraftplanError } from "../../../core/errors.js";
import { configInvalid } from "../../failures.js";
import { readJsonFile } from "../json-file.js";

/** How the tensors of a folder are to be put together (assemble.ts). */
export type Quantisation =
  | {
      method: "gptq";
      bits: number;
      groupSize: number | null /** what a stored zero is less than itself */;
      plus: 0 | 1;
    }
  | { method: "awq"; groupSize: number | null }
  /** FP8 of transformers, vLLM and ModelOpt, and compressed-tensors' unpacked formats and packed ones of these bits */
  | { method: "scaled"; block: [rows: number, inputs: number] | null; packedBits: number[] }
  | {
      method: "mlx";
      bits: number;
      groupSize: number /** of single modules, by name */;
      others: Record<string, number>;
    };

const Bits = z.int().min(1).max(8);
const GroupSize = z
  .int()
  .min(-1)
  .max(1 << 20);
const Block = z.tuple([z.int().positive(), z.int().positive()]);

const Named = z.looseObject({ quant_method: z.string().optional() });
const Config = z.looseObject({ quantization_config: Named.nullish(), quantization: Named.nullish() });

const Gptq = z.looseObject({
  bits: z.union([z.literal(2), z.literal(3), z.literal(4), z.literal(8)]),
  group_size: GroupSize.nullish(),
  checkpoint_format: z.string().nullish(),
  /** newer files' name of it */
  format: z.string().nullish(),
  is_marlin_format: z.boolean().nullish(),
  dynamic: z.record(z.string(), z.looseObject({ bits: z.number().optional() })).nullish(),
});
const Awq = z.looseObject({
  bits: z.number().default(4),
  group_size: GroupSize.nullish(),
  version: z.string().nullish(),
  /** GPTQModel's name of it */
  format: z.string().nullish(),
  zero_point: z.boolean().optional(),
});
const Fp8 = z.looseObject({ weight_block_size: Block.nullish(), expert_dtype: z.string().optional() });
const WeightArguments = z.looseObject({
  num_bits: Bits,
  type: z.string().optional(),
  block_structure: Block.nullish(),
});
const CompressedTensors = z.looseObject({
  format: z.string().optional(),
  quantization_status: z.string().optional(),
  config_groups: z.record(
    z.string(),
    z.looseObject({ format: z.string().nullish(), weights: WeightArguments.nullish() }),
  ),
  sparsity_config: z.looseObject({ format: z.string().optional() }).nullish(),
  transform_config: z.looseObject({ config_groups: z.record(z.string(), z.unknown()).optional() }).nullish(),
});
const Mlx = z.looseObject({ bits: Bits, group_size: z.int().positive(), mode: z.string().optional() });
const MlxModule = z.looseObject({ bits: Bits.optional(), mode: z.string().optional() });

/** Formats of compressed-tensors whose tensors are codes and scales. */
const UNPACKED = ["naive-quantized", "int-quantized", "float-quantized"];
const PACKED = "pack-quantized";

/**
 * @returns null: the weights are stored as they are
 * @throws ARCHITECTURE_UNSUPPORTED, CONFIG_INVALID
 */
export function readQuantisation(path: string): Quantisation | null {
  const { quantization_config: named, quantization: mlx } = readJsonFile(path, Config);
  if (named != null && named.quant_method !== undefined) return byMethod(named.quant_method, named, path);
  const plain = mlx ?? named; // mlx-lm writes the same under both keys
  return plain == null ? null : mlxOf(plain, path);
}

function byMethod(method: string, config: unknown, path: string): Quantisation {
  switch (method) {
    case "gptq":
      return gptqOf(parsed(Gptq, config, path), path);
    case "awq":
      return awqOf(parsed(Awq, config, path), path);
    case "fp8":
      return fp8Of(parsed(Fp8, config, path), path);
    case "modelopt":
      return modelOptOf(parsed(z.looseObject({ quant_algo: z.string().optional() }), config, path), path);
    case "compressed-tensors":
      return compressedOf(parsed(CompressedTensors, config, path), path);
    default:
      throw unsupported(path, method, Object.hasOwn(REMEDIES, method) ? REMEDIES[method] : undefined);
  }
}

function gptqOf({ bits, group_size: size, dynamic, ...named }: z.infer<typeof Gptq>, path: string): Quantisation {
  const marlin = named.is_marlin_format === true ? ["marlin"] : [];
  const formats = [named.checkpoint_format, named.format, ...marlin].filter((name) => name != null);
  const [format = "gptq"] = formats;
  const strange = formats.find((name) => !["gptq", "gptq_v2"].includes(name) || name !== format);
  if (strange !== undefined) throw unsupported(path, `GPTQ as ${strange}`);
  const mixed = Object.values(dynamic ?? {}).some((module) => module.bits !== undefined && module.bits !== bits);
  if (mixed) throw unsupported(path, "GPTQ with other bits in some matrices (dynamic)");
  return { method: "gptq", bits, groupSize: sizeOf(size), plus: format === "gptq_v2" ? 0 : 1 };
}

function awqOf({ bits, version: named, format, ...rest }: z.infer<typeof Awq>, path: string): Quantisation {
  const version = named ?? format ?? "gemm";
  if (bits !== 4) throw unsupported(path, `AWQ of ${bits} bits`);
  if (version.toLowerCase() !== "gemm") throw unsupported(path, `AWQ as ${version}`);
  if (rest.zero_point === false) throw unsupported(path, "AWQ without zero points");
  return { method: "awq", groupSize: sizeOf(rest.group_size) };
}

function fp8Of({ weight_block_size: block, expert_dtype: experts }: z.infer<typeof Fp8>, path: string): Quantisation {
  if ((experts ?? "fp8") !== "fp8") throw unsupported(path, `FP8 with experts in ${experts}`);
  return { method: "scaled", block: block ?? null, packedBits: [] };
}

function modelOptOf({ quant_algo: algorithm = "" }: { quant_algo?: string | undefined }, path: string): Quantisation {
  if (algorithm !== "FP8") throw unsupported(path, `ModelOpt's ${algorithm || "unnamed algorithm"}`);
  return { method: "scaled", block: null, packedBits: [] };
}

function compressedOf(config: z.infer<typeof CompressedTensors>, path: string): Quantisation {
  const { format = "dense", config_groups: groups, sparsity_config: sparsity, transform_config: transform } = config;
  const formats = [format, ...Object.values(groups).map((group) => group.format ?? format)];
  for (const one of formats)
    if (![PACKED, ...UNPACKED, "dense", "mixed-precision"].includes(one))
      throw unsupported(path, `compressed-tensors' ${one}`);
  if (!["dense", undefined].includes(sparsity?.format))
    throw unsupported(path, `compressed-tensors' ${sparsity?.format}`);
  if (Object.keys(transform?.config_groups ?? {}).length > 0)
    throw unsupported(path, "compressed-tensors with transforms");
  if ((config.quantization_status ?? "compressed") !== "compressed")
    throw unsupported(path, `compressed-tensors that are ${config.quantization_status}`);
  const weights = Object.values(groups).flatMap((group) => group.weights ?? []);
  const blocks = new Map(
    weights.flatMap((one) => (one.block_structure ? [[one.block_structure.join(), one.block_structure]] : [])),
  );
  if (blocks.size > 1) throw unsupported(path, "compressed-tensors with blocks of different sizes");
  const [block = null] = blocks.values();
  return { method: "scaled", block, packedBits: [...new Set(weights.map((one) => one.num_bits))] };
}

/** Keys that are none of the tool's own are names of modules; `false` there: it is not quantised. */
function mlxOf(config: object, path: string): Quantisation {
  const { bits, group_size: groupSize, mode, ...modules } = parsed(Mlx, config, path);
  const others: [string, number][] = [];
  for (const [name, value] of Object.entries(modules)) {
    if (value === null || typeof value !== "object") continue;
    const module = parsed(MlxModule, value, path, name);
    requireAffine(module.mode ?? mode, path);
    if (module.bits !== undefined) others.push([name, module.bits]);
  }
  requireAffine(mode, path);
  return { method: "mlx", bits, groupSize, others: Object.fromEntries(others) };
}

function requireAffine(mode: string | undefined, path: string): void {
  if ((mode ?? "affine") !== "affine") throw unsupported(path, `MLX's ${mode}`);
}

/** -1: one group for all inputs. @returns null: that, or not said */
const sizeOf = (size: number | null | undefined): number | null => (size == null || size < 1 ? null : size);

function parsed<T>(schema: z.ZodType<T>, config: unknown, path: string, module?: string): T {
  const result = schema.safeParse(config);
  if (result.success) return result.data;
  const [{ path: key, message }] = result.error.issues;
  const where = ["quantization_config", ...(module === undefined ? [] : [module]), ...key.map(String)].join(".");
  throw configInvalid(path, where, message);
}

const BITSANDBYTES =
  "take the model it was made from: bitsandbytes quantises while it loads, so its publisher has the weights in bf16 or fp16; or load it with transformers, call model.dequantize() and save_pretrained()";
const REMEDIES: Readonly<Record<string, string>> = { bitsandbytes: BITSANDBYTES };

/** What has a name, and is not read. */
export function unsupported(path: string, what: string, remedy?: string): DraftplanError {
  return new DraftplanError({
    code: "ARCHITECTURE_UNSUPPORTED",
    at: `${path}: quantization_config`,
    what: `the weights are quantised by ${JSON.stringify(what.slice(0, 100))}, which draftplan does not read`,
    remedy:
      remedy ??
      "take the model it was made from, in bf16 or fp16, or one in GGUF, GPTQ, AWQ (gemm), FP8, compressed-tensors (packed or naive) or MLX's affine form",
  });
}
