/**
 * Folders that other tools quantised (fixtures/quantised): every number as the tool's own code dequantises it, logits and
 * greedy ids as transformers computes from those numbers; what is not read is refused by name.
 */
import { describe, expect, test } from "vitest";
import type { ErrorCode } from "../../src/core/errors.js";
import { decode } from "../../src/decode/loop.js";
import { openExportModel } from "../../src/export/open-model.js";
import { openFolderTensors } from "../../src/model/formats/folder.js";
import { partsForThreads, type QuantisedTensor } from "../../src/model/formats/quantised/form.js";
import { readQuantisedRows } from "../../src/model/formats/quantised/read.js";
import { BYTE_NUMBERS } from "../../src/model/formats/quantised/unpack.js";
import { expectedTensors } from "../../src/model/formats/tensors.js";
import { openCheckpoint } from "../../src/model/open.js";
import { modelFactsAt } from "../../src/pipeline/model-facts.js";
import { systemClock } from "../../src/runtime/device.js";
import { loadModel } from "../../src/runtime/load.js";
import { targetChoices } from "../../src/schema/choice.js";
import { forward } from "../oracle/transformer.js";
import { greatestDifference } from "../runtime/support.js";
import { expectFailure, failureOf } from "../support/failure.js";
import { LONG } from "../support/long.js";
import { QUANTISED_CASES, quantisedCase, writeQuantisedFolder } from "../support/quantised-folder.js";

const CPU = { provider: "cpu", threads: 1, capacity: 48 };

const bytesOf = (values: Float32Array) =>
  Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString("hex");

const toolOf = (name: string) => name.split(",")[0];

/** What a tensor of the file is read as: phi3 keeps projections in one. */
function partsOf(name: string): string[] {
  const parts = { qkv_proj: ["q_proj", "k_proj", "v_proj"], gate_up_proj: ["gate_proj", "up_proj"] };
  const [whole, names] = Object.entries(parts).find(([whole]) => name.includes(whole)) ?? ["", [""]];
  return names.map((part) => name.replace(whole, part));
}

describe.each(QUANTISED_CASES)("$name", (golden) => {
  test("numbers are the tool's, and logits transformers' from them", async () => {
    const checkpoint = await openCheckpoint(writeQuantisedFolder(golden));
    const { spec } = checkpoint;
    const shapes = expectedTensors(spec);
    for (const [name, samples] of Object.entries(golden.samples)) {
      const values = partsOf(name).flatMap((part) => [...checkpoint.tensor(part, shapes.get(part) ?? [])]);
      for (const [place, value] of samples) expect(values[place]).toBeCloseTo(value, 6);
    }
    const twin = forward(spec, (name) => checkpoint.tensor(name, shapes.get(name) ?? []), golden.ids);
    checkpoint.close();
    expect(greatestDifference(twin.logits[golden.ids.length - 1], golden.logits)).toBeLessThan(5e-4);
  });

  // one of each tool; all of them at length
  const isFirst = QUANTISED_CASES.find(({ name }) => toolOf(name) === toolOf(golden.name)) === golden;
  test.runIf(isFirst || LONG)("the engine's logits and greedy ids are transformers'", async () => {
    const warned: string[] = [];
    const progress = { tick: async () => {}, warn: (code: string) => void warned.push(code), note: () => {} };
    const { engine, spec, close } = await loadModel(writeQuantisedFolder(golden), CPU, progress);
    try {
      const { ids, logits, greedy } = golden;
      const run = engine.run({ position: 0, input: ids, choices: targetChoices(spec.layers), logitRows: 1 });
      expect(greatestDifference(run.logits, logits)).toBeLessThan(0.002);
      const options = { maxTokens: greedy.length, endTokens: [], policy: null, clock: systemClock };
      expect((await decode(engine, ids, options)).ids).toEqual(greedy);
      expect(warned).toContain("DEQUANTISED");
    } finally {
      close();
    }
  });

  test("rows read from anywhere are those of the whole", () => {
    const { files, tensors } = openFolderTensors(writeQuantisedFolder(golden));
    for (const tensor of tensors.values()) {
      if (!("form" in tensor)) continue;
      const form = partsForThreads((tensor satisfies QuantisedTensor).form);
      const whole = readQuantisedRows(form, 0, form.rows);
      for (const [first, count] of [
        [0, 1],
        [3, 7],
        [form.rows - 9, 9],
      ])
        expect(bytesOf(readQuantisedRows(form, first, count))).toEqual(
          bytesOf(whole.subarray(first * form.inner, (first + count) * form.inner)),
        );
    }
    for (const file of files) file.close();
  });
});

test("8-bit floats are what their bits say, at the ends of each range", () => {
  const { F8_E4M3: e4m3, F8_E5M2: e5m2, F8_E8M0: e8m0 } = BYTE_NUMBERS;
  // OCP 8-bit floating point, table 2
  expect([e4m3[0x7e], e4m3[0x08], e4m3[0x07], e4m3[0x01], e4m3[0x81]]).toEqual([
    448,
    2 ** -6,
    0.875 * 2 ** -6,
    2 ** -9,
    -(2 ** -9),
  ]);
  expect([e5m2[0x7b], e5m2[0x04], e5m2[0x03], e5m2[0x01], e5m2[0x7c]]).toEqual([
    57344,
    2 ** -14,
    0.75 * 2 ** -14,
    2 ** -16,
    Infinity,
  ]);
  expect([e4m3[0x7f], e4m3[0xff], e5m2[0x7d], e8m0[0xff]]).toEqual([NaN, NaN, NaN, NaN]);
  expect([e8m0[0], e8m0[127], e8m0[254]]).toEqual([Math.fround(2 ** -127), 1, 2 ** 127]);
});

test("the second format of GPTQ is known by either key", async () => {
  const golden = quantisedCase("GPTQ, 2 bits, second format");
  const name = "model.layers.0.mlp.down_proj.weight";
  const quantization = { checkpoint_format: undefined, format: "gptq_v2" };
  const checkpoint = await openCheckpoint(writeQuantisedFolder(golden, { quantization }));
  const values = checkpoint.tensor(name, [32, 64]);
  checkpoint.close();
  for (const [place, value] of golden.samples[name]) expect(values[place]).toBeCloseTo(value, 6);
});

test("inspect says what they are stored in, and that they are dequantised", async () => {
  const facts = await modelFactsAt(writeQuantisedFolder(quantisedCase("GPTQ, 4 bits")), { provider: "cpu" } as never);
  expect(facts).toMatchObject({ stored_types: { F32: 5, "GPTQ 4-bit": 7 }, dequantised: "7 tensors in GPTQ 4-bit" });
});

test("what is exported is not quantised, and says so", async () => {
  const golden = quantisedCase("MLX, 8 bits");
  const model = await openExportModel(writeQuantisedFolder(golden));
  expect(Object.keys(model.config)).not.toContain("quantization");
  expect(Object.keys(model.config)).not.toContain("quantization_config");
  expect(model.weightFiles).toEqual([]);
  expect(model.notes.join()).toMatch(/dequantised to fp32/);
  const name = "model.layers.0.mlp.down_proj.weight";
  const tensor = model.tensors.get(name);
  expect(tensor).toMatchObject({ dtype: "F32", shape: [32, 64] });
  const [bytes = new Uint8Array()] = tensor?.chunks() ?? [];
  const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  for (const [place, value] of golden.samples[name]) expect(values[place]).toBeCloseTo(value, 6);
  model.close();
});

describe("what is not read is refused by name", () => {
  const gptq = quantisedCase("GPTQ, 4 bits");
  test.each([
    [
      "bitsandbytes",
      { quant_method: "bitsandbytes", load_in_4bit: true },
      /"bitsandbytes".*/,
      /quantises while it loads/,
    ],
    ["hqq", { quant_method: "hqq" }, /"hqq"/, /bf16 or fp16/],
    ["a word that an object has", { quant_method: "toString" }, /"toString"/, /bf16 or fp16/],
    ["GPTQ for Marlin", { checkpoint_format: "marlin" }, /GPTQ as marlin/, /./],
    ["GPTQ as newer files say it", { format: "gptq_p" }, /GPTQ as gptq_p/, /./],
    ["GPTQ as older files say it", { is_marlin_format: true }, /GPTQ as marlin/, /./],
    ["GPTQ of two minds", { checkpoint_format: "gptq", format: "gptq_v2" }, /GPTQ as gptq_v2/, /./],
    ["AWQ by its other key", { quant_method: "awq", format: "gemv_fast" }, /AWQ as gemv_fast/, /./],
    ["GPTQ with other bits in places", { dynamic: { "+:.*down.*": { bits: 8 } } }, /other bits/, /./],
    ["AWQ as gemv", { quant_method: "awq", version: "gemv" }, /AWQ as gemv/, /./],
    ["ModelOpt's NVFP4", { quant_method: "modelopt", quant_algo: "NVFP4" }, /ModelOpt's NVFP4/, /./],
    [
      "compressed-tensors' 2:4",
      { quant_method: "compressed-tensors", format: "marlin-24", config_groups: {} },
      /marlin-24/,
      /./,
    ],
    [
      "compressed-tensors' NVFP4",
      { quant_method: "compressed-tensors", format: "nvfp4-pack-quantized", config_groups: {} },
      /nvfp4-pack-quantized/,
      /./,
    ],
    ["MLX's mxfp4", { quant_method: undefined, bits: 4, group_size: 32, mode: "mxfp4" }, /MLX's mxfp4/, /./],
  ])("%s", async (_name, quantization, what, remedy) => {
    const failure = await failureOf(() => openCheckpoint(writeQuantisedFolder(gptq, { quantization })));
    expect(failure.code).toBe("ARCHITECTURE_UNSUPPORTED");
    expect(failure.message).toMatch(what);
    expect(failure.remedy).toMatch(remedy);
  });

  test("values that no tool writes", async () => {
    for (const [quantization, key] of [
      [{ bits: 5 }, /quantization_config\.bits/],
      [{ group_size: "all" }, /quantization_config\.group_size/],
      [{ quant_method: "fp8", weight_block_size: [128] }, /weight_block_size/],
      [{ quant_method: undefined, bits: 0, group_size: 32 }, /quantization_config\.bits/],
    ] as const)
      await expectFailure(() => openCheckpoint(writeQuantisedFolder(gptq, { quantization })), "CONFIG_INVALID", key);
  });
});

describe("parts that do not belong together are refused, naming the tensor", () => {
  const q = "model.layers.0.self_attn.q_proj";
  const refuse = (name: string, code: ErrorCode, where: RegExp, tensors: Parameters<typeof writeQuantisedFolder>[1]) =>
    expectFailure(() => openCheckpoint(writeQuantisedFolder(quantisedCase(name), tensors)), code, where);
  const without = (part: string) => ({ tensors: (all: Map<string, unknown>) => void all.delete(`${q}.${part}`) });
  const reshaped = (part: string, shape: number[]) => ({
    tensors: (all: Map<string, { shape: readonly number[] }>) => {
      const tensor = all.get(`${q}.${part}`);
      if (tensor === undefined) throw new Error(part);
      tensor.shape = shape;
    },
  });

  test.each([
    ["GPTQ, 4 bits", "scales"],
    ["GPTQ, 4 bits", "qzeros"],
    ["AWQ, 4 bits", "qzeros"],
    ["MLX, 4 bits", "biases"],
    ["compressed-tensors, packed 4 bits", "weight_scale"],
    ["compressed-tensors, packed 4 bits", "weight_shape"],
  ])("%s without %s", (name, part) =>
    refuse(name, "CHECKPOINT_CORRUPT", new RegExp(`${q}.${part} is not in the files`), without(part)),
  );

  test.each<[string, string, number[], ErrorCode]>([
    ["GPTQ, 4 bits", "g_idx", [2, 16], "TENSOR_SHAPE"],
    ["GPTQ, 4 bits", "scales", [32, 2], "TENSOR_SHAPE"],
    ["GPTQ, 4 bits", "qzeros", [4, 2], "TENSOR_SHAPE"],
    ["GPTQ, 4 bits", "qweight", [128], "TENSOR_SHAPE"],
    ["AWQ, 4 bits", "scales", [32, 2], "TENSOR_SHAPE"],
    ["FP8, blocks", "weight_scale_inv", [4, 2], "TENSOR_SHAPE"],
    ["FP8, blocks", "weight", [1, 1024], "TENSOR_SHAPE"],
    ["compressed-tensors, packed 4 bits", "weight_packed", [4, 32], "CHECKPOINT_CORRUPT"],
  ])("%s with %s in the shape %j", (name, part, shape, code) =>
    refuse(name, code, new RegExp(`${q}.${part}|weight_shape`), reshaped(part, shape)),
  );

  test("FP8 without any scale is refused by its type", () =>
    refuse("FP8, blocks", "TENSOR_TYPE_UNSUPPORTED", /q_proj.weight: stored as F8_E4M3/, without("weight_scale_inv")));

  test("an input's group that is not there", async () => {
    const folder = writeQuantisedFolder(quantisedCase("GPTQ, 4 bits"), {
      tensors: (all) => {
        const index = all.get(`${q}.g_idx`);
        if (index !== undefined) index.bytes = Uint8Array.from(index.bytes, (byte, i) => (i === 4 * 9 ? 200 : byte));
      },
    });
    const checkpoint = await openCheckpoint(folder);
    await expectFailure(
      () => checkpoint.tensor(`${q}.weight`, [32, 32]),
      "CHECKPOINT_CORRUPT",
      /g_idx: names group 200 of 2 groups/,
    );
    checkpoint.close();
  });
});
