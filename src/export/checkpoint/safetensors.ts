/**
 * Writes safetensors, a part of a tensor at a time: 8 bytes header length, a JSON header padded with spaces to 8 bytes, the
 * tensors one behind the other (github.com/huggingface/safetensors). Beyond SHARD_BYTES in shards with an index, named as
 * `save_pretrained` names them.
 */
import type { Progress } from "../../core/progress.js";
import type { OutputFolder } from "../folder.js";
import type { ModelTensor } from "../model.js";

/** transformers' own limit of a shard is 50 GB since version 5, and was 5 GB before. */
const SHARD_BYTES = 5e9;

export type Tensors = ReadonlyMap<string, ModelTensor>;

/** A weight file that may be taken over as it lies. */
export interface WholeFile {
  path: string;
  /** names of the tensors in it */
  tensors: readonly string[];
}

/**
 * @param whole files whose tensors are all wanted under the names that they have there: linked, not written
 * @throws a system error
 */
export async function writeSafetensors(
  folder: OutputFolder,
  tensors: Tensors,
  {
    whole = [],
    shardBytes = SHARD_BYTES,
    progress,
  }: { whole?: readonly WholeFile[]; shardBytes?: number; progress: Progress },
): Promise<void> {
  const linked = whole.filter((file) => file.tensors.length > 0 && file.tensors.every((name) => tensors.has(name)));
  const taken = new Set(linked.flatMap((file) => file.tensors));
  const written = shards(
    [...tensors].filter(([name]) => !taken.has(name)),
    shardBytes,
  );
  const count = linked.length + written.length;
  const nameOf = (i: number) =>
    count === 1 ? "model.safetensors" : `model-${digits(i + 1)}-of-${digits(count)}.safetensors`;
  const weightMap: [string, string][] = [];
  for (const [i, file] of linked.entries()) {
    folder.link(nameOf(i), file.path);
    weightMap.push(...file.tensors.map((name): [string, string] => [name, nameOf(i)]));
  }
  for (const [i, shard] of written.entries()) {
    const name = nameOf(linked.length + i);
    await writeShard(folder, name, shard, progress);
    weightMap.push(...shard.map(([tensor]): [string, string] => [tensor, name]));
  }
  if (count === 1) return;
  const total = [...tensors.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  folder.json("model.safetensors.index.json", {
    metadata: { total_size: total },
    weight_map: Object.fromEntries(weightMap.sort(([a], [b]) => (a < b ? -1 : 1))),
  });
}

const digits = (n: number): string => String(n).padStart(5, "0");

type Entries = readonly (readonly [string, ModelTensor])[];

/** In order, each as full as may be; a tensor larger than a shard has one of its own. */
function shards(entries: Entries, most: number): Entries[] {
  const found: [string, ModelTensor][][] = [];
  let held = Number.POSITIVE_INFINITY;
  for (const [name, tensor] of entries) {
    if (held + tensor.bytes > most) {
      found.push([]);
      held = 0;
    }
    found[found.length - 1].push([name, tensor]);
    held += tensor.bytes;
  }
  return found;
}

async function writeShard(folder: OutputFolder, name: string, shard: Entries, progress: Progress): Promise<void> {
  await folder.stream(name, async (sink) => {
    sink.write(header(shard));
    for (const [, tensor] of shard) {
      for (const chunk of tensor.chunks()) {
        sink.write(chunk);
        await progress.tick({ stage: "weights" });
      }
    }
  });
}

function header(shard: Entries): Uint8Array {
  const entries: Record<string, unknown> = { __metadata__: { format: "pt" } };
  let offset = 0;
  for (const [name, { dtype, shape, bytes }] of shard) {
    entries[name] = { dtype, shape, data_offsets: [offset, offset + bytes] };
    offset += bytes;
  }
  const json = Buffer.from(JSON.stringify(entries));
  const bytes = Buffer.alloc(8 + Math.ceil(json.length / 8) * 8, " ");
  bytes.writeBigUInt64LE(BigInt(bytes.length - 8), 0);
  json.copy(bytes, 8);
  return bytes;
}
