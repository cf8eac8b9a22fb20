import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { readDocumentOf, stringifyDocument } from "../../src/schema/document.js";
import type { Plan } from "../../src/schema/plan.js";
import { draftplan } from "../support/cli.js";
import { allInt8, type HandPlan, handPlan, skipping } from "../support/plans.js";
import { temporaryFolder, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";

interface Generated {
  ids: number[];
  text: string | null;
  prompt_tokens: number;
  tokens_per_second: number | null;
  rounds: number | null;
  drafted: number | null;
  accepted: number | null;
  finish_reason: string;
  seed: number | null;
  continuations?: { ids: number[]; text: string | null; finish_reason: string }[];
  adapted: {
    switches: number;
    replans: number;
    replan_us: number;
    rejections_factor: number;
    arms: {
      planned: boolean;
      draft: unknown;
      drafter: string | null;
      draft_tokens: number;
      rounds: number;
      tokens: number;
    }[];
  } | null;
}

const KEYS = [
  "ids",
  "text",
  "prompt_tokens",
  "tokens_per_second",
  "rounds",
  "drafted",
  "accepted",
  "finish_reason",
  "seed",
  "drafter",
  "adapted",
];
const PROMPT = "The Congress of the United States";
const TEN = ["3.attn", "4.attn", "5.attn", "6.attn", "7.attn", "8.attn", "9.attn", "10.attn", "6.mlp", "8.mlp"];
const folder = temporaryFolder();
const file = (name: string, content: string): string => {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
};

const json = async (...args: string[]): Promise<Generated> => {
  const { code, stdout, stderr } = await draftplan(["generate", "embedded", ...args, "--json"]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout.trim().split("\n")).toHaveLength(1);
  return JSON.parse(stdout) as Generated;
};

let embedded: Omit<HandPlan, "draft" | "draftTokens">;
let plain: Generated;
const planFile = (
  name: string,
  plan: Partial<HandPlan> & Pick<HandPlan, "draft">,
  edit = (text: string) => text,
): string => file(name, edit(stringifyDocument(handPlan({ ...embedded, draftTokens: 4, ...plan }))));

beforeAll(async () => {
  const { stdout } = await draftplan(["inspect", "embedded", "--json"]);
  const facts = JSON.parse(stdout) as {
    name: string;
    layers: number;
    architecture_sha256: string;
    weights_sha256: string;
  };
  embedded = {
    name: facts.name,
    layers: facts.layers,
    architectureSha256: facts.architecture_sha256,
    weightsSha256: facts.weights_sha256,
  };
  plain = await json("--prompt", PROMPT, "--max-tokens", "60");
});

describe("without a plan", () => {
  test("every key of the contract is there, and no other", () => {
    expect(Object.keys(plain)).toEqual(KEYS);
    expect(plain).toMatchObject({ prompt_tokens: 7, rounds: null, drafted: null, accepted: null, adapted: null });
    expect(plain).toMatchObject({ finish_reason: "length", seed: null });
    expect(plain.ids).toHaveLength(60);
    expect(plain.tokens_per_second).toBeGreaterThan(0);
    expect(plain.text?.length).toBeGreaterThan(60);
  });

  test("the same command gives the same tokens", async () => {
    const again = await json(
      "--prompt",
      PROMPT,
      "--max-tokens",
      "60",
      "--threads",
      "1",
      "--temperature",
      "0",
      "--seed",
      "9",
    );
    expect(again.ids).toEqual(plain.ids);
    expect(again.text).toBe(plain.text);
  });

  test("streamed text is the text of --json, and a line of figures goes to stderr", async () => {
    const { code, stdout, stderr } = await draftplan([
      "generate",
      "embedded",
      "--prompt",
      PROMPT,
      "--max-tokens",
      "60",
    ]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${plain.text}\n` });
    expect(stderr).toMatch(/^7 prompt tokens, 60 new, [\d.]+ tokens\/s\n$/);
  });

  test("token ids in, token ids out: no text", async () => {
    const ids = file("ids.json", "[0, 2819, 506, 268, 260, 532, 463]");
    const generated = await json("--prompt-ids", ids, "--max-tokens", "60");
    expect({ ids: generated.ids, text: generated.text }).toEqual({ ids: plain.ids, text: null });
    const { stdout } = await draftplan(["generate", "embedded", "--prompt-ids", ids, "--max-tokens", "3"]);
    expect(JSON.parse(stdout)).toEqual(plain.ids.slice(0, 3));
  });

  test("one token has no speed: it comes from the prompt's pass", async () => {
    expect(await json("--prompt", PROMPT, "--max-tokens", "1")).toMatchObject({
      ids: plain.ids.slice(0, 1),
      tokens_per_second: null,
    });
  });

  test("without --max-tokens the context's rest is taken where it is short", async () => {
    const model = fileURLToPath(new URL("../fixtures/heads/model", import.meta.url)); // of 64 positions
    const nearly = file("nearly.json", JSON.stringify(new Array(56).fill(5)));
    const { code, stdout } = await draftplan(["generate", model, "--prompt-ids", nearly, "--json"]);
    expect({ code, tokens: (JSON.parse(stdout) as Generated).ids.length }).toEqual({ code: 0, tokens: 8 });
  });

  test("a model without a tokenizer needs token ids", async () => {
    const model = writeTinyCheckpoint(join(folder, "tiny"), { headDim: 16, eosTokenIds: [] });
    const refused = await draftplan(["generate", model, "--prompt", "x"]);
    expect({ code: refused.code, stderr: refused.stderr }).toEqual({
      code: 3,
      stderr: expect.stringMatching(/TOKENIZER_MISSING[\s\S]*--prompt-ids/),
    });
    const { code, stdout } = await draftplan([
      "generate",
      model,
      "--prompt-ids",
      file("tiny.json", "[3, 4]"),
      "--max-tokens",
      "5",
      "--json",
    ]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ text: null, prompt_tokens: 2 });
  });

  test("a model without a chat template cannot chat", async () => {
    const { code, stderr } = await draftplan(["generate", "embedded", "--chat", "hello"]);
    expect({ code, stderr }).toEqual({
      code: 3,
      stderr: expect.stringMatching(/CHAT_TEMPLATE_MISSING[\s\S]*--prompt/),
    });
  });
});

describe("with a plan", () => {
  test.each([
    ["ten blocks skipped", skipping(...TEN), 4],
    ["everything in int8", allInt8, 6],
    ["a mixture", { default: "int8", head: "target", skip: ["4.attn", "7.attn"], choices: { "0.mlp": "target" } }, 3],
  ] satisfies [string, HandPlan["draft"], number][])("%s: the same tokens", async (name, draft, draftTokens) => {
    const plan = planFile(`${name}.yaml`, { draft, draftTokens });
    const generated = await json("--prompt", PROMPT, "--max-tokens", "60", "--plan", plan);
    expect(generated.ids).toEqual(plain.ids);
    expect(generated.text).toBe(plain.text);
    const { rounds, drafted, accepted } = generated as { rounds: number; drafted: number; accepted: number };
    expect(rounds).toBeGreaterThan(0);
    expect(accepted).toBeGreaterThan(0);
    // each round emits what it accepted and one more; the first token comes from the prompt's pass
    expect(accepted + rounds).toBeLessThanOrEqual(59);
    if (name === "ten blocks skipped") expect(accepted).toBeLessThan(drafted);
  });

  test("past its last segment nothing is drafted, with one warning", async () => {
    const plan = planFile("short.yaml", { draft: allInt8, to: 20 });
    const { code, stdout, stderr } = await draftplan([
      "generate",
      "embedded",
      "--prompt",
      PROMPT,
      "--max-tokens",
      "60",
      "--plan",
      plan,
      "--json",
    ]);
    expect(code).toBe(0);
    expect(stderr).toMatch(/^warning \[PAST_LAST_SEGMENT\]: .*20 tokens.*\n$/);
    expect((JSON.parse(stdout) as Generated).ids).toEqual(plain.ids);
  });

  test("a plan that nowhere speculates counts no rounds", async () => {
    const text = stringifyDocument({
      ...handPlan({ ...embedded, draft: allInt8, draftTokens: 1 }),
      segments: [{ context_tokens: { from: 0, to: 4096 }, speculate: false }],
    });
    const generated = await json("--prompt", PROMPT, "--max-tokens", "10", "--plan", file("plain.yaml", text));
    expect(generated).toMatchObject({ ids: plain.ids.slice(0, 10), rounds: 0, drafted: 0, accepted: 0 });
  });

  const refused: [string, () => string, RegExp][] = [
    [
      "made for other weights",
      () => planFile("weights.yaml", { draft: allInt8, weightsSha256: "0".repeat(64) }),
      /DOCUMENT_MISMATCH/,
    ],
    [
      "made for another architecture",
      () => planFile("architecture.yaml", { draft: allInt8, architectureSha256: "0".repeat(64) }),
      /DOCUMENT_MISMATCH/,
    ],
    [
      "with an unknown key",
      () => planFile("key.yaml", { draft: allInt8 }, (text) => `${text}extra: 1\n`),
      /DOCUMENT_INVALID\] .*key\.yaml:\d+: extra/,
    ],
    [
      "that names a block twice",
      () => planFile("twice.yaml", { draft: { ...skipping("1.attn"), choices: { "1.attn": "int8" } } }),
      /DOCUMENT_INVALID[\s\S]*twice/,
    ],
    [
      "that lists a block twice",
      () => planFile("listed.yaml", { draft: skipping("1.attn", "1.attn") }),
      /DOCUMENT_INVALID[\s\S]*twice/,
    ],
    [
      "that names a block the model does not have",
      () => planFile("block.yaml", { draft: skipping("12.mlp") }),
      /BLOCK_UNKNOWN[\s\S]*12\.mlp/,
    ],
    ["that is an alias bomb", () => planFile("bomb.yaml", { draft: allInt8 }, bomb), /DOCUMENT_SYNTAX/],
  ];
  test.each(refused)("a plan %s is refused", async (_what, plan, message) => {
    const { code, stdout, stderr } = await draftplan(["generate", "embedded", "--prompt", PROMPT, "--plan", plan()]);
    expect({ code, stdout, stderr }).toEqual({ code: 3, stdout: "", stderr: expect.stringMatching(message) });
    expect(stderr.split("\n")).toHaveLength(4);
  });
});

/** ten levels of ten aliases each: ten thousand million items */
const bomb = (text: string): string =>
  `${text}a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n${Array.from({ length: 9 }, (_, i) => `a${i + 1}: &a${i + 1} [${new Array(10).fill(`*a${i}`).join(", ")}]\n`).join("")}`;

test("what was drafted behind an end token is not counted", async () => {
  const model = { layers: 3, seed: 11, scale: 2 };
  const ids = file("three.json", "[5, 9, 23]");
  const run = async (checkpoint: string, ...args: string[]): Promise<Generated> => {
    const asked = ["--prompt-ids", ids, "--max-tokens", "40", "--json", ...args];
    const { code, stdout, stderr } = await draftplan(["generate", checkpoint, ...asked]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    return JSON.parse(stdout) as Generated;
  };
  const endless = await run(writeTinyCheckpoint(join(folder, "endless"), { ...model, eosTokenIds: [] }));
  const end = endless.ids.findIndex((id, i) => i > 3 && endless.ids.indexOf(id) === i);
  const checkpoint = writeTinyCheckpoint(join(folder, "ending"), { ...model, eosTokenIds: [endless.ids[end]] });
  const facts = JSON.parse((await draftplan(["inspect", checkpoint, "--json"])).stdout);
  const { name, layers, architecture_sha256: architectureSha256, weights_sha256: weightsSha256 } = facts;
  const hand = { name, layers, architectureSha256, weightsSha256, draft: allInt8, draftTokens: 16, to: 256 };
  const drafted = await run(checkpoint, "--plan", file("ending.yaml", stringifyDocument(handPlan(hand))));
  expect(drafted.ids).toEqual(endless.ids.slice(0, end + 1));
  expect(end).toBeLessThan(10);
  // the first token comes from the prompt; a round drafts no position behind the last token
  expect(drafted.rounds).toBe(1);
  expect([drafted.drafted, drafted.accepted]).toEqual([end, end]);
});

describe("with --adapt", () => {
  const committed = fileURLToPath(new URL("../../plans/union-10m.plan.yaml", import.meta.url));
  const adapt = (...args: string[]) =>
    draftplan(["generate", "embedded", "--prompt", PROMPT, "--max-tokens", "60", "--adapt", ...args]);

  test("the tokens are those of plain decoding, and what was done is told", async () => {
    const generated = await json("--prompt", PROMPT, "--max-tokens", "60", "--plan", committed, "--adapt");
    expect(generated.ids).toEqual(plain.ids);
    const { adapted } = generated;
    expect(adapted?.arms[0]).toMatchObject({ planned: true, draft_tokens: 8 });
    expect(adapted?.arms.reduce((sum, { tokens }) => sum + tokens, 0)).toBe(59);
    expect(adapted?.replan_us).toBeGreaterThan(0);
    expect(adapted?.rejections_factor).toBeGreaterThan(0);
  });

  /** The committed plan with another drafter in its segments, on its own profile and calibration. */
  function drafting(name: string, drafter: Record<string, unknown>, draft: boolean): string {
    const document = readDocumentOf("draftplan/plan", committed).document;
    const [first] = document.segments.filter(({ speculate }) => speculate);
    const { inputs } = document;
    const beside = (path: string) => join(dirname(committed), path);
    const segment = {
      context_tokens: { from: 0, to: document.segments[document.segments.length - 1].context_tokens.to },
      ...{ speculate: true, draft_tokens: 4, drafter },
      ...(draft ? { draft: first.draft } : {}),
    };
    const own = inputs && {
      profile: { ...inputs.profile, path: beside(inputs.profile.path) },
      calibration: { ...inputs.calibration, path: beside(inputs.calibration.path) },
    };
    return file(name, stringifyDocument({ ...document, segments: [segment], inputs: own } as Plan));
  }

  test.each([
    ["a lookup", { kind: "lookup", ngram_tokens: { min: 2, max: 8 } }, false],
    [
      "a lookup in front of own blocks",
      { kind: "hybrid", lookup: { min_match: 3, ngram_tokens: { min: 1, max: 8 } }, otherwise: { kind: "self" } },
      true,
    ],
  ])(
    "a plan of %s gives the tokens of plain decoding too, and begins as the plan says",
    async (name, drafter, draft) => {
      const own = drafting(`${name.replaceAll(" ", "-")}.yaml`, drafter, draft);
      const generated = await json("--prompt", PROMPT, "--max-tokens", "60", "--plan", own, "--adapt");
      expect(generated.ids).toEqual(plain.ids);
      expect(generated.adapted?.arms[0]).toMatchObject({ planned: true, draft_tokens: 4 });
      expect(generated.adapted?.arms[0].drafter).toMatch(
        draft ? /^a lookup from 3 tokens, else / : /^a lookup from 2 tokens$/,
      );
    },
  );

  test("a person gets a line of it on stderr", async () => {
    const { code, stdout, stderr } = await adapt("--plan", committed);
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${plain.text}\n` });
    expect(stderr).toMatch(
      /\nadapted: .*rejections [\d.]+ times the calibration's; [\d.]+ % of the time for re-planning\n$/,
    );
  });

  test("a plan that is not adapted has null there", async () => {
    expect((await json("--prompt", PROMPT, "--max-tokens", "5", "--plan", committed)).adapted).toBeNull();
  });

  test("without a plan it is wrong usage", async () => {
    const { code, stderr } = await adapt();
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringMatching(/USAGE[\s\S]*--plan PLAN/) });
  });

  test.each([
    ["names no inputs", (text: string) => text.replace(/^inputs:\n(?: .*\n)+/m, ""), "INPUTS_MISSING"],
    ["lies far from its inputs", (text: string) => text, "INPUTS_MISSING"],
    [
      "was made from another profile",
      (text: string) =>
        text
          .replace(/path: \.\.\/profiles\//g, `path: ${dirname(committed)}/../profiles/`)
          .replace(/(profile: \{path: [^,]*, sha256: )[0-9a-f]{8}/, "$100000000"),
      "DIGEST_MISMATCH",
    ],
  ])("a plan that %s is refused", async (what, edit, code) => {
    const edited = file(`${what.replaceAll(" ", "-")}.yaml`, edit(readFileSync(committed, "utf8")));
    const refused = await adapt("--plan", edited);
    expect({ code: refused.code, stderr: refused.stderr }).toEqual({ code: 3, stderr: expect.stringContaining(code) });
  });
});
