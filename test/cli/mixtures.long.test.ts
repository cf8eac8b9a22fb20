/** All stages on a tiny mixture of experts with a tokenizer, blocks in int8 and int4 among its choices; and from its config.json. */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { parseDocument } from "../../src/schema/document.js";
import { draftplan } from "../support/cli.js";
import { allInt8, handPlan } from "../support/plans.js";
import { safetensorsBytes } from "../support/safetensors-bytes.js";
import { temporaryFolder, tinyTensors } from "../support/tiny-checkpoint.js";
import { UNION } from "../support/tokenizers.js";

const root = temporaryFolder();
const MODEL = join(root, "tiny-mixtral");
const inRoot = (name: string) => join(root, name);
const read = (name: string) => parseDocument(readFileSync(inRoot(name), "utf8"), name);
const ONE = ["--threads", "1"];

function writeModel(): void {
  const sizes = {
    layers: 2,
    vocab: 4096,
    context: 256,
    hidden: 64,
    intermediate: 64,
    headDim: 16,
    tied: false,
    seed: 3,
  };
  const experts = { count: 4, perToken: 2, normalised: true };
  const config = {
    ...{ architectures: ["MixtralForCausalLM"], model_type: "mixtral", num_local_experts: 4, num_experts_per_tok: 2 },
    ...{ num_hidden_layers: 2, vocab_size: 4096, max_position_embeddings: 256, hidden_size: 64, intermediate_size: 64 },
    ...{ num_attention_heads: 4, num_key_value_heads: 2, head_dim: 16, rope_theta: 10000, eos_token_id: 2 },
  };
  mkdirSync(MODEL);
  writeFileSync(join(MODEL, "config.json"), JSON.stringify(config));
  const tensors = [...tinyTensors({ ...sizes, variations: { experts } })].map(
    ([name, { shape, values }]) => [name, { dtype: "F32", shape, bytes: new Uint8Array(values.buffer) }] as const,
  );
  writeFileSync(join(MODEL, "model.safetensors"), safetensorsBytes(new Map(tensors)));
  for (const name of ["tokenizer.json", "tokenizer_config.json"]) copyFileSync(join(UNION, name), join(MODEL, name));
}

const done = async (args: string[]) => {
  const result = await draftplan(args);
  expect({ code: result.code, stderr: result.stderr }).toMatchObject({ code: 0 });
  return result;
};

/** On prompts of ids: every token is the target's own. */
async function verified(plan: string): Promise<{ acceptance: number | null }> {
  const lines = [11, 700, 3000, 45].map((id) => JSON.stringify({ ids: [id, 5, 900, 17] }));
  writeFileSync(inRoot("prompts.jsonl"), lines.join("\n"));
  const args = ["--model", MODEL, "--prompts", inRoot("prompts.jsonl"), "--max-tokens", "40", ...ONE, "--json"];
  const { stdout } = await done(["verify", inRoot(plan), ...args, "-o", inRoot(`verified-${plan}`)]);
  expect(JSON.parse(stdout)).toMatchObject({ lossless: true });
  return JSON.parse(stdout);
}

describe("a mixture of experts", () => {
  beforeAll(writeModel);

  test("is profiled on text, calibrated, planned and verified, with blocks in int8 and int4", async () => {
    const choices = ["--choices", "int8,int4"];
    const grid = ["--context", "32..128", "--query", "1,2,4", "--budget", "3s"];
    const { stderr } = await done(["profile", MODEL, ...grid, ...choices, ...ONE, "-o", inRoot("profile.yaml")]);
    expect(stderr).not.toContain("ROUTED_AT_RANDOM");
    expect(read("profile.yaml")).toMatchObject({ experts: { count: 4, per_token: 2, tokens: "text" } });
    await done(["calibrate", MODEL, "--budget", "4s", ...choices, ...ONE, "-o", inRoot("calibration.yaml")]);
    const inputs = ["--profile", inRoot("profile.yaml"), "--calibration", inRoot("calibration.yaml")];
    await done(["solve", ...inputs, "--choices", "skip,int8,int4", "-o", inRoot("plan.yaml")]);
    await done(["check", inRoot("plan.yaml")]);
    await verified("plan.yaml");
  });

  test("a draft of its blocks in int8 gives the target's tokens", async () => {
    const { name, layers, ...facts } = JSON.parse((await done(["inspect", MODEL, "--json"])).stdout);
    expect(facts.experts).toEqual({
      count: 4,
      per_token: 2,
      active_parameters: facts.parameters - 2 * 2 * 3 * 64 * 64,
    });
    const digests = { architectureSha256: facts.architecture_sha256, weightsSha256: facts.weights_sha256 };
    const plan = handPlan({ name, layers, ...digests, draft: allInt8, draftTokens: 3 });
    writeFileSync(inRoot("int8.yaml"), JSON.stringify(plan));
    writeFileSync(inRoot("ids.json"), "[5, 900, 17, 44]");
    const generate = ["generate", MODEL, "--prompt-ids", inRoot("ids.json"), "--max-tokens", "40", ...ONE, "--json"];
    const plain = JSON.parse((await done(generate)).stdout);
    const drafted = JSON.parse((await done([...generate, "--plan", inRoot("int8.yaml")])).stdout);
    expect(drafted.ids).toEqual(plain.ids);
    expect(drafted.accepted).toBeGreaterThan(0);
    const { acceptance } = await verified("int8.yaml");
    expect(acceptance).toBeGreaterThan(0.1); // fp32 and int8 of one model agree now and then
  });

  test("of its config.json the profile says that tokens were sent to experts at random", async () => {
    const args = ["profile", join(MODEL, "config.json"), "--context", "32..64", "--query", "1,2", "--budget", "1s"];
    const { stderr } = await done([...args, ...ONE, "-o", inRoot("made-up.yaml")]);
    expect(stderr).toContain("ROUTED_AT_RANDOM");
    expect(read("made-up.yaml")).toMatchObject({ experts: { tokens: "random" } });
  });

  test("is refused on another provider before anything is converted", async () => {
    const { code, stderr } = await draftplan([
      "profile",
      join(MODEL, "config.json"),
      "--provider",
      "webgpu",
      "-o",
      inRoot("x.yaml"),
    ]);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/NOT_YET_SUPPORTED|PROVIDER_UNAVAILABLE/);
  });
});
