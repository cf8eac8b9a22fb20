/** Who may import whom (CONTRIBUTING.md), read from the sources themselves. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const SRC = fileURLToPath(new URL("../src", import.meta.url));
const STAGES = [
  "profile",
  "calibrate",
  "solve",
  "decode",
  "verify",
  "methods",
  "check",
  "report",
  "train",
  "export",
  "metrics",
];
const PURE = ["solve", "check", "report"];

interface Source {
  /** `solve/index.ts` */
  path: string;
  /** `solve`; "" for a file of src itself */
  room: string;
  text: string;
  /** files of src it imports, types included */
  imports: string[];
  /** those of them that it imports more of than types */
  values: string[];
  packages: string[];
}

const sources = readdirSync(SRC, { recursive: true, encoding: "utf8" })
  .map((path) => path.replaceAll("\\", "/"))
  .filter((path) => path.endsWith(".ts"))
  .map(readSource);

function readSource(path: string): Source {
  const text = readFileSync(join(SRC, path), "utf8");
  const code = text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|\s)\/\/.*$/gm, "$1");
  // `import … from "x"`, `export … from "x"`, `import "x"`, `import("x")`, and the same for types
  const found = [
    ...code.matchAll(
      /(?:^|[\n;])\s*(?:import|export)\s+[^;"']*?\s*from\s*["']([^"']+)["']|import\s*\(?\s*["']([^"']+)["']/g,
    ),
  ];
  const specifiers = found.map(([, from, bare]) => from ?? bare);
  const resolve = (specifier: string) =>
    normalize(join(dirname(path), specifier))
      .replaceAll("\\", "/")
      .replace(/\.js$/, ".ts");
  return {
    path,
    room: path.includes("/") ? path.slice(0, path.indexOf("/")) : "",
    text: code,
    imports: specifiers.filter((name) => name.startsWith(".")).map(resolve),
    values: specifiers.filter((name, i) => name.startsWith(".") && !isTypeOnly(found[i][0])).map(resolve),
    packages: specifiers.filter((name) => !name.startsWith(".")),
  };
}

/** `import type { … }`, or braces around types alone, or an `import("…").Name` of a type */
function isTypeOnly(statement: string): boolean {
  if (/^\s*(import|export)\s+type\b/.test(statement.replace(/^;/, ""))) return true;
  const [, names] = /\{([^}]*)\}/.exec(statement) ?? [];
  return names?.split(",").every((name) => name.trim() === "" || /^\s*type\s/.test(name)) ?? false;
}

const room = (path: string): string => (path.includes("/") ? path.slice(0, path.indexOf("/")) : "");
const breaches = (files: Source[], allowed: (from: Source, to: string) => boolean): string[] =>
  files.flatMap((source) =>
    source.imports.filter((to) => !allowed(source, to)).map((to) => `${source.path} imports ${to}`),
  );

test("there are sources to read, and their imports are found", () => {
  expect(sources.length).toBeGreaterThan(60);
  const paths = new Set(sources.map((source) => source.path));
  const unknown = sources.flatMap((source) =>
    source.imports.filter((to) => !paths.has(to)).map((to) => `${source.path}: ${to}`),
  );
  expect(unknown).toEqual([]);
  expect(sources.find((source) => source.path === "decode/loop.ts")?.imports).toContain("runtime/engine.ts");
});

/** The list of kernels names what a document may say, and a kernel is one file: so schema reads names from there. */
const isKernel = (path: string): boolean => path.startsWith("model/kernels/");

test("core and stats import nothing, kernels only those, schema only core and kernels: they are leaves", () => {
  expect(
    breaches(
      sources.filter((s) => s.room === "core" || s.room === "stats"),
      (from, to) => room(to) === from.room,
    ),
  ).toEqual([]);
  expect(
    breaches(
      sources.filter((s) => isKernel(s.path)),
      (_from, to) => ["core", "stats"].includes(room(to)) || isKernel(to),
    ),
  ).toEqual([]);
  expect(
    breaches(
      sources.filter((s) => s.room === "schema"),
      (_from, to) => ["core", "schema"].includes(room(to)) || isKernel(to),
    ),
  ).toEqual([]);
});

test("stages import schema, core, stats, and the interfaces of runtime, model and decode, never another stage", () => {
  const interfaces = [
    ...["runtime/engine.ts", "runtime/heads.ts", "runtime/limits.ts", "model/spec.ts"],
    // decoding itself, what is asked of it, and what it did
    ...["decode/loop.ts", "decode/policy.ts", "decode/room.ts", "decode/statistics.ts", "decode/confidences.ts"],
    "model/heads/parameters.ts", // where trained heads' weights lie
    "decode/drafters/heads.ts", // what runs trained heads, to be measured
  ];
  const allowed = (from: Source, to: string) =>
    ["core", "schema", "stats", from.room].includes(room(to)) ||
    interfaces.includes(to) ||
    (room(to) === "calibrate" && from.room === "methods") || // what calibration measures with, methods search with
    (["model", "tokenizer"].includes(room(to)) && from.room === "export"); // models in other forms, from their files
  expect(
    breaches(
      sources.filter((source) => STAGES.includes(source.room)),
      allowed,
    ),
  ).toEqual([]);
});

test("solve sees no engine and no model: documents in, a plan out", () => {
  expect(
    breaches(
      sources.filter((source) => PURE.includes(source.room)),
      (from, to) => ["core", "schema", "stats", from.room].includes(room(to)),
    ),
  ).toEqual([]);
});

test.each(PURE)("%s touches no clock, file, environment or random source", (name) => {
  const forbidden =
    /\bnode:|\bprocess\b|\bDate\b|Math\.random|\bperformance\b|\brequire\b|\bsetTimeout\b|\bglobalThis\b|\bfetch\(/;
  const found = sources
    .filter((source) => source.room === name)
    .flatMap((source) =>
      source.text
        .split("\n")
        .filter((line) => forbidden.test(line))
        .map((line) => `${source.path}: ${line.trim()}`),
    );
  expect(found).toEqual([]);
});

test("model and tokenizer know neither the runtime nor the stages", () => {
  const files = sources.filter((source) => source.room === "model" || source.room === "tokenizer");
  expect(breaches(files, (_from, to) => ["core", "schema", "stats", "model", "tokenizer"].includes(room(to)))).toEqual(
    [],
  );
});

test("the runtime knows no stage", () => {
  expect(
    breaches(
      sources.filter((source) => source.room === "runtime"),
      (_from, to) => ["core", "schema", "stats", "model", "runtime"].includes(room(to)),
    ),
  ).toEqual([]);
});

test("only pipeline joins stages: it knows neither commands nor what prints", () => {
  expect(
    breaches(
      sources.filter((source) => source.room === "pipeline"),
      (_from, to) => !["commands", "output", "cli"].includes(room(to)),
    ),
  ).toEqual([]);
});

test("output reads results and calls nobody who makes them: types alone from anywhere else", () => {
  const files = sources.filter((source) => source.room === "output");
  const called = files.flatMap((source) =>
    source.values
      .filter((to) => !["core", "schema", "stats", "output"].includes(room(to)))
      .map((to) => `${source.path} imports ${to}`),
  );
  expect(called).toEqual([]);
  expect(breaches(files, (_from, to) => !["commands", "cli"].includes(room(to)))).toEqual([]);
});

test("commands parse, call the pipeline, and hand to output", () => {
  // names that --help lists, and the folder of converted models: nothing is joined there
  const plain = ["methods/names.ts", "model/cache.ts"];
  const called = sources
    .filter((source) => source.room === "commands")
    .flatMap((source) =>
      source.values
        .filter((to) => !["core", "schema", "pipeline", "output", "commands"].includes(room(to)) && !plain.includes(to))
        .map((to) => `${source.path} imports ${to}`),
    );
  expect(called).toEqual([]);
});

test("nothing but the command line knows commands, and nothing knows the command line", () => {
  expect(
    breaches(
      sources.filter((s) => !["commands", "cli"].includes(s.room) && s.path !== "cli.ts"),
      (_from, to) => !["commands", "cli"].includes(room(to)),
    ),
  ).toEqual([]);
  expect(
    breaches(
      sources.filter((s) => s.room === "commands"),
      (_from, to) => room(to) !== "cli",
    ),
  ).toEqual([]);
});

test.each(["bench", "scripts"])("%s calls the pipeline, not commands: they parse and print", (folder) => {
  const root = fileURLToPath(new URL(`../${folder}`, import.meta.url));
  const calling = readdirSync(root, { recursive: true, encoding: "utf8" })
    // bench/peers installs other engines
    .filter((file) => /\.m?[jt]s$/.test(file) && !file.includes("node_modules"))
    .filter((file) =>
      /["'`](?:[^"'`\n]*\/)?(?:commands|cli)\/[\w-]+\.[jt]s/.test(readFileSync(join(root, file), "utf8")),
    );
  expect(calling).toEqual([]);
});

test("only the command line touches arguments, exit codes and standard streams", () => {
  const forbidden = /process\.(exit|argv|stdout|stderr|stdin|on\b)|console\./;
  const holdsSignals = "core/held-signals.ts"; // for the milliseconds in which a file is half written
  const found = sources
    .filter(({ room, path }) => room !== "cli" && path !== "cli.ts" && path !== holdsSignals)
    .filter((source) => forbidden.test(source.text))
    .map((source) => source.path);
  expect(found).toEqual([]);
});

test("native code is reached from one file alone", () => {
  const found = sources.filter(
    (source) =>
      source.packages.some((name) => /^(koffi|onnxruntime-node)$/.test(name)) ||
      /\("koffi"\)|onnxruntime-node\//.test(source.text),
  );
  expect(found.map((source) => source.path)).toEqual(["runtime/ort-api.ts"]);
});

test("every generator of random numbers comes from one file, which scrambles its seed", () => {
  const found = sources.filter(
    (source) => source.packages.some((name) => name.startsWith("pure-rand")) || /Math\.random/.test(source.text),
  );
  expect(found.map((source) => source.path)).toEqual(["stats/random.ts"]);
});

const MOST_LINES = 300;
const MOST_FILES = 25;

test(`no file is longer than ${MOST_LINES} lines, no folder has more than ${MOST_FILES} files of its own`, () => {
  const long = sources
    .map(({ path }) => ({ path, lines: readFileSync(join(SRC, path), "utf8").split("\n").length - 1 }))
    .filter(({ lines }) => lines > MOST_LINES)
    .map(({ path, lines }) => `${path}: ${lines} lines`);
  expect(long).toEqual([]);
  const files = new Map<string, number>();
  for (const { path } of sources) files.set(dirname(path), (files.get(dirname(path)) ?? 0) + 1);
  const full = [...files].filter(([, count]) => count > MOST_FILES);
  expect(full).toEqual([]);
});

test("what a file exports, another file or a test uses", () => {
  const folders = ["test", "bench", "scripts"].map((folder) => fileURLToPath(new URL(`../${folder}`, import.meta.url)));
  const others = folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((file) => /\.m?ts$|\.mjs$/.test(file) && !file.includes("node_modules"))
      .map((file) => readFileSync(join(folder, file), "utf8")),
  );
  const texts = [...sources.map(({ text }) => text), ...others];
  // types are named where they are of use to a reader of a signature, whoever imports them
  const exported = /^export (?:async )?(?:function|const|class) (\w+)/gm;
  const unused = sources.flatMap((source) =>
    [...source.text.matchAll(exported)]
      .filter(([, name]) => !texts.some((text) => text !== source.text && new RegExp(`\\b${name}\\b`).test(text)))
      .map(([, name]) => `${source.path}: ${name}`),
  );
  expect(unused).toEqual([]);
});

describe("no cycles", () => {
  test("between files, types included", () => {
    expect(findCycle((path) => sources.find((source) => source.path === path)?.imports ?? [])).toBeNull();
  });
  test("and the finder finds one", () => {
    const graph: Record<string, string[]> = { "a.ts": ["b.ts"], "b.ts": ["c.ts"], "c.ts": ["b.ts"] };
    expect(findCycle((path) => graph[path] ?? [], Object.keys(graph))).toEqual(["b.ts", "c.ts", "b.ts"]);
  });
});

/** Depth first; the first way back to a file still being visited. */
function findCycle(
  importsOf: (path: string) => readonly string[],
  roots = sources.map((source) => source.path),
): string[] | null {
  const done = new Set<string>();
  const visit = (path: string, trail: string[]): string[] | null => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path];
    if (done.has(path)) return null;
    for (const next of importsOf(path)) {
      const cycle = visit(next, [...trail, path]);
      if (cycle !== null) return cycle;
    }
    done.add(path);
    return null;
  };
  for (const root of roots) {
    const cycle = visit(root, []);
    if (cycle !== null) return cycle;
  }
  return null;
}
