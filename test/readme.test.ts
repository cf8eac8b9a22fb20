/** README.md, taken at its word: its snippets run, its plan fits the embedded model, its commands and folders exist. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { buildProgram } from "../src/cli/main.js";
import { architectureSha256 } from "../src/model/digest.js";
import { openConfigOnly } from "../src/model/open.js";
import { expandDraft } from "../src/schema/choice.js";
import { parseDocument } from "../src/schema/document.js";
import type { Plan } from "../src/schema/plan.js";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const README = readFileSync(join(ROOT, "README.md"), "utf8");

interface Block {
  /** what stands behind the three backticks */
  info: string;
  text: string;
}

const BLOCKS: Block[] = [...README.matchAll(/^```([^\n]*)\n([\s\S]*?)^```$/gm)].map(([, info, text]) => ({
  info,
  text,
}));
const PLAN = BLOCKS.find(({ info, text }) => info === "yaml" && text.startsWith("kind: draftplan/plan"))?.text ?? "";

describe("the plan in the README", () => {
  const plan = () => parseDocument(PLAN, "README.md") as Plan;

  test("is valid and names blocks that the embedded model has", () => {
    const { model, segments } = plan();
    for (const { draft } of segments) if (draft !== undefined) expandDraft(draft, model.layers, "README.md");
    expect(segments.map(({ speculate }) => speculate)).toEqual([true, false]);
  });

  test("is a plan for the embedded model", () => {
    const spec = openConfigOnly(join(ROOT, "models/union-10m/config.json"));
    const weights = createHash("sha256").update(readFileSync(join(ROOT, "models/union-10m/model.safetensors")));
    const digests = { architecture_sha256: architectureSha256(spec), weights_sha256: weights.digest("hex") };
    expect(plan().model).toEqual({ name: spec.name, layers: spec.layers, ...digests });
  });
});

describe("snippets marked runnable", () => {
  // as in a project that has draftplan installed, with the README's plan beside the snippet
  const project = mkdtempSync(join(tmpdir(), "draftplan-readme-"));
  mkdirSync(join(project, "node_modules"));
  symlinkSync(ROOT, join(project, "node_modules", "draftplan"), "junction");
  writeFileSync(join(project, "plan.yaml"), PLAN);
  afterAll(() => rmSync(project, { recursive: true, force: true }));

  const runnable = BLOCKS.flatMap(({ info, text }, i) =>
    info === "js runnable" ? [{ name: text.split("\n")[0], text, output: BLOCKS[i + 1] }] : [],
  );

  test("are there, each with the output it prints below it", () => {
    expect(runnable.length).toBeGreaterThanOrEqual(2);
    for (const { output } of runnable) expect(output?.info).toBe("text");
  });

  test.each(runnable)("prints what stands below it: $name", ({ text, output }) => {
    const file = join(project, "snippet.mjs");
    writeFileSync(file, text);
    const { status, stdout, stderr } = spawnSync(process.execPath, [file], { cwd: project, encoding: "utf8" });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toBe(output.text);
  });
});

describe("commands in the README", () => {
  const program = buildProgram(async () => {});
  const lines = BLOCKS.filter(({ info }) => info === "sh").flatMap(({ text }) => text.split("\n"));
  const commands = lines.filter((line) => line.startsWith("draftplan "));

  test("are there", () => expect(commands.length).toBeGreaterThan(4));

  test.each(commands)("use a verb and options that exist: %s", (line) => {
    const [, verb, ...rest] = line.replace(/"[^"]*"/g, "TEXT").split(" ");
    const command = program.commands.find((each) => each.name() === verb);
    const known = command?.options.flatMap(({ long, short }) => [long, short]) ?? [];
    expect(rest.filter((part) => part.startsWith("-") && !known.includes(part))).toEqual([]);
    expect(command?.name()).toBe(verb);
  });
});

test("every folder of the source tree exists", () => {
  const tree = BLOCKS.find(({ text }) => text.startsWith("src/cli.ts"))?.text ?? "";
  const paths = [...tree.matchAll(/^\S+/gm)].map(([path]) => path);
  expect(paths.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  expect(paths.length).toBeGreaterThan(15);
});
