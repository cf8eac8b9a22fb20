// Mutation testing: does a test fail when the code is changed?
//
//   node scripts/mutate.mjs [FILE|FOLDER...] [--sample N] [--seed S] [--workers 2] [--near FILES] [--cap SECONDS]
//                           [--time MINUTES] [-o out/mutation.json] [--list] [--only file:line]
//
// Without paths: src/solve, src/decode, src/stats and src/verify. Every mutant is one small change of one place: an
// operator, a number, a condition, a call left out. For each, the test files that import the changed file, directly or
// not, are run one after another, nearest first, until one fails: the mutant is killed. At most --near of them are run
// (12), and none that would take it past --cap seconds (60). Where none fails the mutant survived: the tests do not say
// what that place is for, or the change makes no difference.
//
// Mutants live in memory (a plugin gives Vitest the changed source), so the working tree stays as it is. Results are
// written after every mutant, and the same command goes on where it stopped; a file that changed is asked again.
//
// mutants-without-effect.json beside this file names mutants that no test can tell from the code, each with the reason;
// they are counted apart. An entry is bound to the text of its line: where that changes, the mutant is asked again.
import { fork } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createVitest, parseAst } from "vitest/node";

const SELF = fileURLToPath(import.meta.url);
const ROOT = dirname(dirname(SELF));
const FOLDERS = ["src/solve", "src/decode", "src/stats", "src/verify"];
/** these run the build or the network's models: a changed source does not reach them */
const NOT_RUN = /^test\/(cli|acceptance)\/|\.long\.test\.ts$/;

const filesBelow = (path) =>
  statSync(path).isDirectory()
    ? readdirSync(path, { recursive: true, encoding: "utf8" })
        .filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts"))
        .map((name) => join(path, name))
        .sort()
    : [path];

// ---------------------------------------------------------------------------------------------------------- mutants

const BINARY = {
  ...{ "+": ["-"], "-": ["+"], "*": ["/"], "/": ["*"], "%": ["*"], "**": ["*"] },
  ...{ "<": ["<=", ">="], "<=": ["<", ">"], ">": [">=", "<="], ">=": [">", "<"] },
  ...{
    "===": ["!=="],
    "!==": ["==="],
    "&&": ["||"],
    "||": ["&&"],
    "&": ["|"],
    "|": ["&"],
    "<<": [">>"],
    ">>>": ["<<"],
  },
};
const ASSIGNMENT = { "+=": "-=", "-=": "+=", "*=": "/=", "/=": "*=" };
const MATH = { min: "max", max: "min", floor: "ceil", ceil: "floor", round: "floor" };
const LEFT_OUT = new Set(["sqrt", "abs", "exp", "log", "log1p", "expm1", "fround"]);
const METHODS = { some: "every", every: "some", find: "findLast", findLast: "find" };
/** x.filter(f) becomes x */
const DROPPED = new Set(["filter", "slice", "sort", "toSorted", "reverse", "toReversed"]);
/** what only speaks to people */
const SPEAKS = /^(warn|note|tick|print|describe|fail|Error|[A-Za-z]*Error)$/;
const TYPES = new Set([
  "typeAnnotation",
  "returnType",
  "typeParameters",
  "typeArguments",
  "superTypeArguments",
  "decorators",
]);

/** @returns every mutant of a source: {start, end, line, text, was, kind} */
function mutantsOf(source) {
  const found = [];
  const lineOf = (at) => source.slice(0, at).split("\n").length;
  const text = (node) => source.slice(node.start, node.end);
  const add = (node, kind, replacement, { start, end } = node) =>
    found.push({ start, end, line: lineOf(start), kind, was: source.slice(start, end), text: replacement });
  /** where the operator stands: between the two sides, in no comment */
  const operator = (node, by) => {
    const start = source.indexOf(node.operator, node.left.end);
    if (start >= 0 && start < node.right.start)
      add(node, `${node.operator} → ${by}`, by, { start, end: start + node.operator.length });
  };
  const condition = (test) => {
    if (test.type === "Literal") return;
    add(test, "condition true", "true");
    add(test, "condition false", "false");
  };
  const visit = (node, parent) => {
    if (node === null || typeof node !== "object") return;
    if (Array.isArray(node)) {
      for (const each of node) visit(each, parent);
      return;
    }
    if (typeof node.type !== "string") return;
    if (node.type.startsWith("TS") && !("expression" in node)) return;
    if (/^(ThrowStatement|TemplateLiteral|ImportDeclaration|ExportAllDeclaration)$/.test(node.type)) return;
    const name = node.callee?.name ?? node.callee?.property?.name;
    if (/^(Call|New)Expression$/.test(node.type) && SPEAKS.test(name ?? "")) return;
    if (node.type === "BinaryExpression" || node.type === "LogicalExpression")
      for (const by of BINARY[node.operator] ?? [])
        if (
          !(
            node.operator === "+" &&
            [node.left, node.right].some((side) => /Template/.test(side.type) || typeof side.value === "string")
          )
        )
          operator(node, by);
    if (node.type === "AssignmentExpression" && ASSIGNMENT[node.operator] !== undefined)
      operator(node, ASSIGNMENT[node.operator]);
    if (node.type === "UpdateExpression") {
      const at = node.prefix ? node.start : node.end - 2;
      add(node, "step", node.operator === "++" ? "--" : "++", { start: at, end: at + 2 });
    }
    if (node.type === "UnaryExpression" && /^[-!]$/.test(node.operator))
      add(node, `without ${node.operator}`, `(${text(node.argument)})`);
    if (
      node.type === "Literal" &&
      typeof node.value === "number" &&
      !/^(Property|MemberExpression)$/.test(parent?.type ?? "")
    )
      add(
        node,
        "number",
        node.value === 0 ? "1" : Number.isInteger(node.value) ? `${node.value + 1}` : `${node.value * 1.5}`,
      );
    if (node.type === "Literal" && typeof node.value === "boolean") add(node, "boolean", `${!node.value}`);
    if (node.type === "IfStatement" || node.type === "ConditionalExpression") condition(node.test);
    if (node.type === "WhileStatement") add(node.test, "never", "false");
    if (
      node.type === "ExpressionStatement" &&
      /^(Call|Await|Assignment)Expression$/.test(node.expression.type) &&
      !isSpeech(node.expression)
    )
      add(node, "left out", ";");
    if (node.type === "ContinueStatement" || node.type === "BreakStatement") add(node, "left out", ";");
    if (node.type === "CallExpression" && node.callee.type === "MemberExpression") {
      const { object, property } = node.callee;
      const sole = node.arguments.length === 1 ? text(node.arguments[0]) : null;
      if (object.name === "Math" && MATH[property.name] !== undefined)
        add(property, `Math.${property.name}`, MATH[property.name]);
      else if (object.name === "Math" && LEFT_OUT.has(property.name) && sole !== null)
        add(node, `without ${property.name}`, `(${sole})`);
      else if (METHODS[property.name] !== undefined) add(property, `.${property.name}`, METHODS[property.name]);
      else if (DROPPED.has(property.name)) add(node, `without .${property.name}`, text(object));
    }
    for (const [key, child] of Object.entries(node)) if (!TYPES.has(key)) visit(child, node);
  };
  const isSpeech = (expression) => {
    const call = expression.type === "AwaitExpression" ? expression.argument : expression;
    return SPEAKS.test(call.callee?.name ?? call.callee?.property?.name ?? "");
  };
  visit(parseAst(source, { lang: "ts" }).body, null);
  return found;
}

const WITHOUT_EFFECT = JSON.parse(readFileSync(join(dirname(SELF), "mutants-without-effect.json"), "utf8"));

/** @returns why no test can tell the mutant from the code, or undefined */
const withoutEffect = ({ file, code, kind }) =>
  WITHOUT_EFFECT.find((known) => known.file === file && known.line === code && known.kind === kind)?.why;

/** SplitMix64's mixing of a text's hash: an order that a seed fixes and that other mutants do not change. */
const rank = (seed, id) => createHash("sha256").update(`${seed} ${id}`).digest("hex");

function mutantsIn(files) {
  return files.flatMap((file) => {
    const source = readFileSync(join(ROOT, file), "utf8");
    const sha = createHash("sha256").update(source).digest("hex").slice(0, 12);
    const lines = source.split("\n");
    return mutantsOf(source).map((each) => ({
      id: `${file}:${each.start}:${each.end}:${each.text}:${sha}`,
      file,
      code: lines[each.line - 1].trim(),
      ...each,
    }));
  });
}

// ----------------------------------------------------------------------------------------------- which tests to run

const IMPORT = /(?:^|\n)\s*(?:import|export)\s+(?!type\b)(?:[^"';]*?\sfrom\s+)?"(\.[^"]+)"|import\("(\.[^"]+)"\)/g;

function importsOf(file) {
  return [...readFileSync(join(ROOT, file), "utf8").matchAll(IMPORT)].flatMap(([, one, other]) => {
    const path = relative(ROOT, resolve(ROOT, dirname(file), one ?? other)).replace(/\.js$/, ".ts");
    return existsSync(join(ROOT, path)) && path.endsWith(".ts") ? [path] : [];
  });
}

/** @returns for every source the test files that import it, and over how many steps */
function testsByFile() {
  const imports = new Map();
  const of = (file) => {
    if (!imports.has(file)) imports.set(file, importsOf(file));
    return imports.get(file);
  };
  const tests = new Map();
  for (const test of filesBelow("test").filter((file) => file.endsWith(".test.ts") && !NOT_RUN.test(file))) {
    let [steps, level] = [0, new Set([test])];
    const seen = new Set(level);
    while (level.size > 0) {
      for (const file of level) {
        if (!tests.has(file)) tests.set(file, []);
        tests.get(file).push({ test, steps });
      }
      level = new Set([...level].flatMap(of).filter((file) => !seen.has(file)));
      for (const file of level) seen.add(file);
      steps++;
    }
  }
  return tests;
}

/** Nearest first: the file's own test, then its folder's, then by steps. */
function nearestFirst(file, tests) {
  const stem = basename(file, ".ts");
  const folder = dirname(file).replace(/^src/, "test");
  const far = ({ test, steps }) =>
    (basename(test) === `${stem}.test.ts` ? 0 : 100) + (test.startsWith(`${folder}/`) ? 0 : 50) + steps;
  return (tests.get(file) ?? [])
    .toSorted((a, b) => far(a) - far(b) || (a.test < b.test ? -1 : 1))
    .map(({ test }) => test);
}

// ------------------------------------------------------------------------------------------------ the child process

/** Holds one Vitest and runs test files on request, with or without a mutant. */
async function serve() {
  let mutant = null;
  const plugin = {
    name: "mutant",
    enforce: "pre",
    load(id) {
      const [path] = id.split("?");
      if (mutant === null || path !== join(ROOT, mutant.file)) return null;
      const source = readFileSync(path, "utf8");
      return source.slice(0, mutant.start) + mutant.text + source.slice(mutant.end);
    },
  };
  const options = { root: ROOT, config: false, watch: false, bail: 1, maxWorkers: 1, reporters: [{}] };
  const tests = {
    include: ["test/**/*.test.ts"],
    globalSetup: "test/support/own-cache.ts",
    testTimeout: 60_000,
    server: { deps: { external: [/\/dist\/.*\.js$/] } },
    hookTimeout: 60_000,
  };
  const vitest = await createVitest("test", { ...options, ...tests }, { plugins: [plugin], logLevel: "silent" });
  await vitest.standalone();
  process.on("message", async ({ test, mutant: next }) => {
    if (next !== undefined) {
      for (const each of [mutant, next]) if (each !== null) vitest.invalidateFile(join(ROOT, each.file));
      mutant = next;
    }
    const specifications = await vitest.globTestSpecifications([join(ROOT, test)]);
    const start = performance.now();
    vitest.state.filesMap.clear(); // else a failure of an earlier run counts for `bail`, and is reported again
    vitest.state.errorsSet.clear();
    const { testModules, unhandledErrors } = await vitest.runTestSpecifications(specifications);
    const failed = testModules.flatMap((module) =>
      [...module.children.allTests("failed")].map(({ fullName }) => fullName),
    );
    const ok = specifications.length > 0 && unhandledErrors.length === 0 && testModules.every((module) => module.ok());
    process.send({ ok, failed: failed[0] ?? null, seconds: (performance.now() - start) / 1000 });
  });
  process.on("disconnect", () => process.kill(-process.pid, "SIGKILL")); // whoever asked is gone
  process.send({ ready: true });
}

class Child {
  async start() {
    this.process = fork(SELF, ["--serve"], {
      cwd: ROOT,
      detached: true,
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    await this.#answer(120);
  }
  /** @returns the answer, or null after `seconds` without one; the process is then gone */
  async run(request, seconds) {
    if (this.process === undefined) {
      await this.start();
      request = { mutant: null, ...request };
    }
    this.process.send(request);
    return this.#answer(seconds);
  }
  #answer(seconds) {
    return new Promise((done) => {
      const { process: child } = this;
      const finish = (value) => {
        clearTimeout(timer);
        child.removeAllListeners("message").removeAllListeners("exit");
        if (value === null) this.stop();
        done(value);
      };
      const timer = setTimeout(() => finish(null), seconds * 1000);
      child.once("message", finish);
      child.once("exit", () => finish(null));
    });
  }
  /** with the workers that it started: an endless loop answers to nothing else */
  stop() {
    const { process: child } = this;
    this.process = undefined;
    try {
      if (child !== undefined) process.kill(-child.pid, "SIGKILL");
    } catch {} // it is gone already
  }
}

// --------------------------------------------------------------------------------------------------------- the runs

/** Runs the tests as they are. @returns seconds by test file; files that fail by themselves are left out, and named */
async function baseline(children, tests) {
  const seconds = new Map();
  const left = [...tests];
  await Promise.all(
    children.map(async (child) => {
      for (let test = left.shift(); test !== undefined; test = left.shift()) {
        const answer = await child.run({ test, mutant: null }, 300);
        if (answer?.ok) seconds.set(test, answer.seconds);
        else console.log(`left out, since it fails by itself: ${test}${answer?.failed ? ` (${answer.failed})` : ""}`);
      }
    }),
  );
  return seconds;
}

/** @returns how a mutant ended, and by which test */
async function tried(child, mutant, tests, seconds, capSeconds) {
  let spent = 0;
  let [request, run] = [{ mutant }, 0];
  for (const test of tests) {
    if (run > 0 && spent + seconds.get(test) > capSeconds) continue;
    const answer = await child.run({ ...request, test }, 15 + 6 * seconds.get(test));
    run++;
    if (answer === null) return { state: "killed", by: test, how: "no end, or no answer" };
    if (!answer.ok) return { state: "killed", by: test, how: answer.failed ?? "it does not load" };
    spent += answer.seconds;
    request = {};
    if (child.process === undefined) request = { mutant };
  }
  return { state: run === 0 ? "untested" : "survived", run, skipped: tests.length - run };
}

function table(results) {
  const folders = Map.groupBy
    ? Map.groupBy(results, ({ file }) => file.split("/").slice(0, 2).join("/"))
    : results.reduce((all, one) => {
        const key = one.file.split("/").slice(0, 2).join("/");
        return all.set(key, [...(all.get(key) ?? []), one]);
      }, new Map());
  const row = (name, all) => {
    const count = (...states) => all.filter(({ state }) => states.includes(state)).length;
    const [killed, survived, same] = [count("killed"), count("survived", "untested"), count("no effect")];
    const share = ((100 * killed) / Math.max(1, killed + survived)).toFixed(1);
    return [
      name.padEnd(14),
      ...[all.length, same, killed, survived, `${share} %`].map((one) => `${one}`.padStart(10)),
    ].join("");
  };
  console.log(`\n${"".padEnd(14)}   mutants no effect    killed  survived    killed`);
  for (const [folder, all] of [...folders].sort()) console.log(row(folder, all));
  console.log(row("all", results));
  const survivors = results
    .filter(({ state }) => state === "survived" || state === "untested")
    .sort((a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : a.line - b.line));
  if (survivors.length > 0) console.log("\nSurvived:");
  for (const { file, line, kind, was, text, state } of survivors) {
    const short = (code) => (code.length > 60 ? `${code.slice(0, 57)}…` : code).replace(/\s+/g, " ");
    console.log(
      `  ${file}:${line}  ${kind}: ${short(was)} → ${short(text)}${state === "untested" ? "  (no test imports the file)" : ""}`,
    );
  }
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      ...{
        sample: { type: "string" },
        seed: { type: "string", default: "1" },
        workers: { type: "string", default: "2" },
      },
      ...{
        cap: { type: "string", default: "60" },
        near: { type: "string", default: "12" },
        time: { type: "string", default: "1e9" },
        only: { type: "string" },
      },
      ...{ output: { type: "string", short: "o", default: "out/mutation.json" }, list: { type: "boolean" } },
    },
  });
  process.chdir(ROOT);
  const files = (positionals.length > 0 ? positionals : FOLDERS).flatMap(filesBelow);
  const all = mutantsIn(files).filter(
    ({ file, line }) => values.only === undefined || values.only === `${file}:${line}`,
  );
  const sample = all
    .toSorted((a, b) => (rank(values.seed, a.id) < rank(values.seed, b.id) ? -1 : 1))
    .slice(0, Number(values.sample ?? all.length));
  console.log(`${all.length} mutants of ${files.length} files; ${sample.length} are tried (seed ${values.seed})`);
  if (values.list) {
    for (const { file, line, kind, was, text } of sample) console.log(`${file}:${line}  ${kind}: ${was} → ${text}`);
    return;
  }
  const known = existsSync(values.output) ? JSON.parse(readFileSync(values.output, "utf8")).results : [];
  const results = new Map(known.map((result) => [result.id, result]));
  for (const mutant of sample) {
    const why = withoutEffect(mutant);
    if (why !== undefined) results.set(mutant.id, { ...mutant, state: "no effect", why });
  }
  const left = sample.filter(({ id }) => !results.has(id));
  const tests = testsByFile();
  const order = new Map(
    [...new Set(left.map(({ file }) => file))].map((file) => [
      file,
      nearestFirst(file, tests).slice(0, Number(values.near)),
    ]),
  );
  const needed = new Set([...order.values()].flat());
  const children = Array.from({ length: Number(values.workers) }, () => new Child());
  const end = Date.now() + 60_000 * Number(values.time);
  const save = () => {
    const mine = sample.flatMap(({ id }) => results.get(id) ?? []);
    mkdirSync(dirname(values.output), { recursive: true });
    writeFileSync(
      `${values.output}.part`,
      JSON.stringify({ seed: values.seed, sample: sample.length, results: mine }, null, 1),
    );
    renameSync(`${values.output}.part`, values.output);
    return mine;
  };
  try {
    if (left.length > 0) console.log(`${left.length} left; ${needed.size} test files are run as they are first`);
    const seconds = await baseline(children, needed);
    await Promise.all(
      children.map(async (child) => {
        for (let mutant = left.shift(); mutant !== undefined && Date.now() < end; mutant = left.shift()) {
          const runnable = order.get(mutant.file).filter((test) => seconds.has(test));
          const result = await tried(child, mutant, runnable, seconds, Number(values.cap));
          results.set(mutant.id, { ...mutant, ...result });
          save();
          const { file, line, kind } = mutant;
          console.log(`${result.state.padEnd(8)} ${file}:${line}  ${kind}${result.by ? `  by ${result.by}` : ""}`);
        }
      }),
    );
  } finally {
    for (const child of children) child.stop();
  }
  table(save());
}

if (process.argv[2] === "--serve") await serve();
else await main();
