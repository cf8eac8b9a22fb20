/** Trained heads as a folder: Medusa's in the form that vLLM reads, Hydra's in its own (docs/heads.md has the names). */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, renameSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DraftplanError } from "../core/errors.js";
import { type HeadsShape, headParameters, type Parameter } from "../model/heads/parameters.js";

export interface HeadsFolder {
  shape: HeadsShape;
  vocabSize: number;
  /** as headParameters lies */
  weights: Float32Array;
  /** [vocabSize, hiddenSize], to be written too; null: whoever runs the heads has it */
  lmHead: Float32Array | null;
  /** what config.json says of how they were made, which other readers pass over */
  facts: Record<string, unknown>;
  readme: string;
}

/** Everything that is stored as fp16 bits. */
export type ToHalf = (values: Float32Array) => Uint16Array;

/**
 * Written beside its place and renamed: it is there whole or not at all.
 * @returns SHA-256 of the weight file
 * @throws FILE_UNWRITABLE
 */
export function writeHeads(folder: string, heads: HeadsFolder, toHalf: ToHalf): string {
  const draft = `${folder}.writing`;
  const weights = safetensors(storedTensors(heads), toHalf);
  try {
    rmSync(draft, { recursive: true, force: true });
    mkdirSync(draft, { recursive: true });
    const write = (name: string, data: string | Uint8Array) => writeFileSync(join(draft, name), data, { flush: true });
    write("config.json", `${JSON.stringify(configOf(heads), null, 2)}\n`);
    write("model.safetensors", weights);
    write("README.md", heads.readme);
    if (existsSync(folder)) rmdirSync(folder); // an empty one may stand there, and only such a one goes
    renameSync(draft, folder);
  } catch (cause) {
    rmSync(draft, { recursive: true, force: true });
    throw new DraftplanError({
      code: "FILE_UNWRITABLE",
      at: folder,
      what: `the heads could not be written (${cause instanceof Error ? cause.message : String(cause)})`,
      remedy: "Make room there, and run the same command again: it goes on from what it has trained.",
      cause,
    });
  }
  return createHash("sha256").update(weights).digest("hex");
}

function configOf({ shape, vocabSize, facts }: HeadsFolder): Record<string, unknown> {
  const { kind, heads, hiddenSize } = shape;
  const sizes = { hidden_size: hiddenSize, vocab_size: vocabSize };
  const layout =
    kind === "medusa"
      ? {
          ...{ model_type: "medusa", architectures: ["MedusaModel"], ...sizes, num_heads: heads, num_hidden_layers: 1 },
          ...{ medusa_fc_bias: true, original_lm_head: true, truncated_vocab_size: vocabSize, torch_dtype: "float16" },
        }
      : {
          ...{ hydra_num_heads: heads, hydra_num_layers: 1, hydra_head_arch: "mlp", grounded_heads: true, ...sizes },
          torch_dtype: "float16",
        };
  return { ...layout, draftplan: facts };
}

/** A tensor by its name in the file. */
interface Stored {
  name: string;
  shape: readonly number[];
  values: Float32Array;
}

function storedTensors({ shape, vocabSize, weights, lmHead }: HeadsFolder): Stored[] {
  const own = headParameters(shape).map((parameter) => ({
    name: storedName(shape, parameter),
    shape: parameter.shape,
    values: weights.subarray(parameter.offset, parameter.offset + parameter.length),
  }));
  if (lmHead === null) return own;
  const dims = [vocabSize, shape.hiddenSize];
  if (shape.kind === "medusa") return [...own, { name: "lm_head.weight", shape: dims, values: lmHead }];
  const each = Array.from({ length: shape.heads }, (_, head) => head);
  // The reference's LM heads have a bias, and one that the file leaves out would be drawn at random there.
  const bias = new Float32Array(vocabSize);
  return [
    ...own,
    ...each.flatMap((head) => [
      { name: `hydra_lm_head.${head}.weight`, shape: dims, values: lmHead },
      { name: `hydra_lm_head.${head}.bias`, shape: [vocabSize], values: bias },
    ]),
  ];
}

function storedName({ kind }: HeadsShape, { head, part }: Parameter): string {
  if (kind === "medusa") return `blocks.${head}.layers.0.${part}`;
  const [, residual, name] = /^(residual\.)?(.+)$/.exec(part) as RegExpExecArray;
  return `hydra_mlp.${head}.0.${residual === undefined ? "linear" : "res_connection"}.${name}`;
}

/** 8 bytes header length, a JSON header padded with spaces to 8 bytes, the tensors one behind the other. */
function safetensors(tensors: readonly Stored[], toHalf: ToHalf): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  let offset = 0;
  for (const { name, shape, values } of tensors) {
    header[name] = { dtype: "F16", shape, data_offsets: [offset, offset + 2 * values.length] };
    offset += 2 * values.length;
  }
  const json = Buffer.from(JSON.stringify(header));
  const start = 8 + Math.ceil(json.length / 8) * 8;
  const bytes = Buffer.alloc(start + offset, " ");
  bytes.writeBigUInt64LE(BigInt(start - 8), 0);
  json.copy(bytes, 8);
  let at = start;
  for (const { values } of tensors) {
    const halves = toHalf(values);
    bytes.set(new Uint8Array(halves.buffer, halves.byteOffset, halves.byteLength), at);
    at += halves.byteLength;
  }
  return bytes;
}
