/** A target in int8 or int4: the kernel of drafts in the target's role, alone in its graph, and how far its passes differ. */
import { statSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { silentProgress } from "../../src/core/progress.js";
import { decode } from "../../src/decode/loop.js";
import { acceptanceOf } from "../../src/decode/statistics.js";
import { convertModel } from "../../src/model/convert.js";
import { CPU_DIALECT } from "../../src/model/graph/dialect.js";
import { openCheckpoint } from "../../src/model/open.js";
import { describeDevice, systemClock } from "../../src/runtime/device.js";
import { argmax, type Engine } from "../../src/runtime/engine.js";
import { type LoadedModel, loadModel } from "../../src/runtime/load.js";
import { dialectFor } from "../../src/runtime/providers.js";
import { type Choice, type Kernel, targetChoices, uniformChoices } from "../../src/schema/choice.js";
import { Device, numericsOf } from "../../src/schema/common.js";
import { withTarget } from "../../src/schema/numerics.js";
import { TIE_MARGINS } from "../../src/schema/verification.js";
import { expectFailure } from "../support/failure.js";
import { temporaryFolder, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";
import { MODELS, tokens } from "./support.js";

const CPU = { provider: "cpu", threads: 1 };
const TEXT = tokens(7, 24);
const QUANTISED = ["int8", "int4"] as const;

/** of every sort: a head of its own, biases, heads filled up, sizes that fill no block, norms of heads */
const SUBJECTS = MODELS.filter(([name]) => /every bias|heads of 8|no block|qwen3$/.test(name));

const logitsOf = ({ engine }: { engine: Engine }, choice: Kernel | "skip" = "target"): Float32Array =>
  engine
    .run({ position: 0, input: TEXT, choices: uniformChoices(engine.spec.layers, choice), logitRows: TEXT.length })
    .logits.slice();

describe.each(SUBJECTS)("%s", (_name, model) => {
  const folder = writeTinyCheckpoint(temporaryFolder(), model);

  test.each(QUANTISED)("as a target in %s is to the bit a draft in it of all blocks", async (precision) => {
    const full = await loadModel(folder, { ...CPU, kernels: ["target", precision] });
    const own = await loadModel(folder, { ...CPU, targetPrecision: precision });
    const expected = logitsOf(full, precision);
    expect(logitsOf(own)).toEqual(expected);
    // its own kernel by name is the target, wherever a plan says it
    expect(logitsOf(own, precision)).toEqual(expected);
    expect(logitsOf(full)).not.toEqual(expected);
    expect(own.engine.numerics).toMatchObject({ targetPrecision: precision, float: "fp32", activations: "int8" });
    own.close();
    full.close();
  });
});

describe("beside a target in int8", () => {
  const folder = writeTinyCheckpoint(temporaryFolder(), { seed: 21, headDim: 16, layers: 3, eosTokenIds: [] });
  let own: LoadedModel;
  beforeAll(async () => {
    own = await loadModel(folder, { ...CPU, targetPrecision: "int8" });
  });
  afterAll(() => own?.close());

  test("there is int4, and int8 is not stored again", async () => {
    expect(own.engine.kernels).toEqual(["target", "int4"]);
    const named = await loadModel(folder, { ...CPU, targetPrecision: "int8", kernels: ["target", "int8"] });
    expect(named.engine.kernels).toEqual(["target"]);
    named.close();
    const four = await loadModel(folder, { ...CPU, targetPrecision: "int4" });
    expect(four.engine.kernels).toEqual(["target"]);
    four.close();
  });

  test("no matrix is kept in floats but the embedding", async () => {
    const checkpoint = await openCheckpoint(folder);
    const bytes = async (kernels: Kernel[], precision: "fp32" | "int8") => {
      const dialect = withTarget(CPU_DIALECT, precision);
      const { modelPath } = await convertModel(checkpoint, silentProgress, kernels, dialect);
      return statSync(join(dirname(modelPath), "weights.bin")).size;
    };
    const [both, alone, int8] = [
      await bytes(["target", "int8"], "fp32"),
      await bytes(["target"], "fp32"),
      await bytes(["target"], "int8"),
    ];
    checkpoint.close();
    // a tied head's fp32 matrix is the embedding: that stays, and every other fp32 matrix is gone
    const { layers } = own.spec;
    expect(int8).toBeLessThan(both);
    expect(both - int8).toBeGreaterThanOrEqual(layers * 4 * 4096); // four matrices a layer, a page each at least
    expect(int8 - (both - alone)).toBeLessThan(alone);
  });

  test("drafts in int4 and with blocks left out leave its tokens as they are", async () => {
    const options = { maxTokens: 40, endTokens: [], clock: systemClock };
    const plain = await decode(own.engine, TEXT, { ...options, policy: null });
    for (const choices of [uniformChoices(3, "int4"), { ...targetChoices(3), blocks: mixed(3) }]) {
      const drafted = await decode(own.engine, TEXT, { ...options, policy: () => ({ choices, draftTokens: 4 }) });
      expect(ended(own.engine, drafted.ids, plain.ids)).toBeLessThanOrEqual(TIE_MARGINS.int8);
      expect(acceptanceOf(drafted.rounds).accepted).toBeGreaterThan(0);
    }
  });

  test("documents say so: kernels, device and margin", () => {
    const { engine } = own;
    expect(numericsOf(engine.kernels, engine.numerics)).toEqual({
      target: numericsOf(["int8"]).int8,
      int4: numericsOf(["int4"]).int4,
    });
    const device = describeDevice("cpu", 1, undefined, engine.numerics.targetPrecision);
    expect(Device.parse(device).target).toBe("int8");
    expect(describeDevice("cpu", 1).target).toBeUndefined();
  });

  test("it is computed in the numbers of its provider; fp16 on the CPU is refused by name", async () => {
    expect(dialectFor("cuda", "int8")).toMatchObject({ targetPrecision: "int8", float: "fp16", activations: "float" });
    expect(dialectFor("cpu")).toBe(CPU_DIALECT);
    expect(withTarget(CPU_DIALECT, "fp32")).toEqual(CPU_DIALECT);
    await expectFailure(() => dialectFor("cpu", "fp16"), "OPTION_INVALID", /fp16 on cpu/);
    await expectFailure(() => loadModel(folder, { ...CPU, targetPrecision: "fp16" }), "OPTION_INVALID", /fp16 on cpu/);
  });
});

const mixed = (layers: number): Choice[] =>
  Array.from({ length: 2 * layers }, (_, i) => (i === 3 ? "skip" : i % 2 === 0 ? "int4" : "target"));

/** How far below the maximum of a single pass the token lies where an output leaves the plain one; 0 where it does not. */
function ended(engine: Engine, ids: readonly number[], plain: readonly number[]): number {
  const at = plain.findIndex((id, i) => ids[i] !== id);
  if (at === -1) return 0;
  const choices = targetChoices(engine.spec.layers);
  let logits = engine.run({ position: 0, input: TEXT, choices, logitRows: 1 }).logits;
  for (let i = 0; i < at; i++)
    logits = engine.run({ position: TEXT.length + i, input: [plain[i]], choices, logitRows: 1 }).logits;
  return logits[argmax(logits, 0, logits.length)] - logits[ids[at]];
}
