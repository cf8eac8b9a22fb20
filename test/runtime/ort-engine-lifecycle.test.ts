/** Limits, refusals, closing, and memory: what the engine does besides computing. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { whenBlocking } from "../../src/core/blocking.js";
import { MAX_LOGIT_ROWS, MAX_PASS_TOKENS } from "../../src/runtime/limits.js";
import { loadModel } from "../../src/runtime/load.js";
import { openOrtEngine } from "../../src/runtime/ort-engine.js";
import { targetChoices } from "../../src/schema/choice.js";
import { CLI } from "../support/cli.js";
import { expectFailure, failureOf } from "../support/failure.js";
import { LONG } from "../support/long.js";
import { type TinyModel, temporaryFolder, tinySpec, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";
import { expectRows, openSubject, openTiny, type Subject, tokens } from "./support.js";

const MODEL: TinyModel = { seed: 20, headDim: 16, context: 1024 };
const CPU = { provider: "cpu", threads: 1 };

test.skipIf(LONG)(
  "signals are given back to the system while a session is made, and none that came before is lost",
  async () => {
    const seen: string[] = [];
    whenBlocking(() => {
      seen.push("given back");
      return () => void seen.push("taken again");
    });
    const tick = async () => void seen.push("heard");
    try {
      const folder = writeTinyCheckpoint(temporaryFolder(), MODEL);
      const { close } = await loadModel(folder, CPU, { tick, warn: () => {} });
      close();
    } finally {
      whenBlocking(() => () => {});
    }
    expect(seen.slice(-3)).toEqual(["heard", "given back", "taken again"]);
  },
);

describe.skipIf(LONG)("limits", () => {
  const ids = tokens(1, 24);
  let subject: Subject;
  const run = (pass: { position?: number; input?: number[]; logitRows?: number }) =>
    subject.engine.run({ position: 0, input: ids, logitRows: 1, choices: subject.target, ...pass });

  beforeAll(async () => {
    subject = await openSubject(MODEL, 24);
  });
  afterAll(() => subject.engine.close());

  /** Whatever was refused or went wrong, the next pass is right. */
  const expectUnharmed = () => expectRows(run({ logitRows: 24 }).logits, subject.twin(ids).logits);

  test("the cache can be filled to its last token and no further", async () => {
    const { logits } = subject.twin(ids);
    run({ input: ids.slice(0, 23) });
    expectRows(run({ position: 23, input: ids.slice(23) }).logits, [logits[23]]);
    await expectFailure(() => run({ position: 24, input: [1] }), "CONTEXT_LIMIT", /25 tokens.*24/s);
    await expectFailure(() => run({ position: 21, input: [1, 2, 3, 4] }), "CONTEXT_LIMIT", /25 tokens/);
    await expectFailure(() => run({ position: 2 ** 40, input: [1] }), "CONTEXT_LIMIT", "");
    expectUnharmed();
  });

  test.each([
    ["no tokens", { input: [] }],
    ["too many tokens", { input: new Array<number>(MAX_PASS_TOKENS + 1).fill(1) }],
    ["more logits than tokens", { input: [1, 2], logitRows: 3 }],
    ["fewer than no logits", { logitRows: -1 }],
    ["half a row of logits", { logitRows: 0.5 }],
    ["a negative position", { position: -1, input: [1] }],
    ["half a position", { position: 0.5, input: [1] }],
    ["no position", { position: Number.NaN, input: [1] }],
    ["a token behind the vocabulary", { input: [1, 64] }],
    ["a negative token", { input: [-1] }],
    ["a token that is no number", { input: [Number.NaN] }],
    ["half a token", { input: [1.5] }],
  ])("%s is refused", (_what, pass) => {
    expect(() => run(pass)).toThrow(RangeError);
    expectUnharmed();
  });

  test("hidden states of another width are refused, and so are choices for another model", () => {
    const { engine, target } = subject;
    const hidden = new Float32Array(33);
    expect(() => engine.run({ position: 0, input: { hidden }, choices: target, logitRows: 0 })).toThrow(RangeError);
    for (const layers of [1, 3]) {
      expect(() => engine.run({ position: 0, input: ids, choices: targetChoices(layers), logitRows: 0 })).toThrow(
        RangeError,
      );
    }
    expectUnharmed();
  });

  test("a failure inside the runtime is reported with its message, and the next pass is right", async () => {
    // a cache longer than the model's positions: only the library notices
    const engine = await openTiny({ ...MODEL, context: 16 }, 32);
    const choices = targetChoices(2);
    const good = () => engine.run({ position: 0, input: ids.slice(0, 16), choices, logitRows: 16 }).logits.slice();
    const before = good();
    const failure = await failureOf(() => engine.run({ position: 0, input: ids.slice(0, 20), choices, logitRows: 1 }));
    expect(failure.code).toBe("RUNTIME_FAILED");
    expect(failure.message).toMatch(/cos_cache/);
    expect(good()).toEqual(before);
    engine.close();
  });

  test("the longest pass and the most rows of logits", async () => {
    const { engine, target } = await openSubject(MODEL, 600);
    const long = tokens(2, MAX_PASS_TOKENS);
    const whole = engine.run({ position: 0, input: long, choices: target, logitRows: MAX_LOGIT_ROWS }).logits.slice();
    engine.run({ position: 0, input: long.slice(0, 450), choices: target, logitRows: 0 });
    const piece = engine.run({ position: 450, input: long.slice(450), choices: target, logitRows: 62 }).logits;
    expectRows(piece, [[...whole.subarray(2 * 64)]]);
    engine.close();
  });

  test("capacities of 64 and 512 give the same bits", async () => {
    const [small, large] = await Promise.all([openTiny(MODEL, 64), openTiny(MODEL, 512)]);
    for (const [position, count] of [
      [0, 20],
      [20, 1],
      [21, 3],
    ]) {
      const pass = {
        position,
        input: ids.slice(position, position + count),
        choices: targetChoices(2),
        logitRows: count,
      };
      expect(large.run(pass)).toEqual(small.run(pass));
    }
    expect(large.readCache(1, "key", 0, 24)).toEqual(small.readCache(1, "key", 0, 24));
    small.close();
    large.close();
  });
});

describe.skipIf(LONG)("opening and closing", () => {
  test("closing twice is harmless; afterwards nothing runs", async () => {
    const engine = await openTiny(MODEL);
    const pass = { position: 0, input: [1, 2, 3], choices: targetChoices(2), logitRows: 1 };
    const { logits } = engine.run(pass);
    const kept = logits.slice();
    engine.close();
    engine.close();
    expect(() => engine.run(pass)).toThrow(/closed/);
    expect(() => engine.readCache(0, "key", 0, 1)).toThrow(/closed/);
    expect(logits).toEqual(kept); // the last result is the caller's still
  });

  test("two engines of one model do not see each other's cache", async () => {
    const [a, b] = await Promise.all([openSubject(MODEL), openSubject(MODEL)]);
    const text = tokens(3, 12);
    const other = tokens(4, 12);
    a.engine.run({ position: 0, input: text.slice(0, 8), choices: a.target, logitRows: 0 });
    b.engine.run({ position: 0, input: other, choices: b.target, logitRows: 0 });
    const pass = { position: 8, input: text.slice(8), choices: a.target, logitRows: 4 };
    expectRows(a.engine.run(pass).logits, a.twin(text).logits.slice(8));
    a.engine.close();
    expectRows(b.engine.run({ ...pass, position: 0, input: other, logitRows: 12 }).logits, b.twin(other).logits);
    b.engine.close();
  });

  test("a model file that is not there, and a provider that does not exist", async () => {
    const options = { ...CPU, capacity: 16 };
    await expectFailure(
      () => openOrtEngine(join(temporaryFolder(), "model.onnx"), tinySpec(MODEL), options),
      "RUNTIME_FAILED",
      /CreateSession/,
    );
    await expectFailure(
      () => openOrtEngine("model.onnx", tinySpec(MODEL), { ...options, provider: "abacus" }),
      "OPTION_INVALID",
      /abacus/,
    );
  });

  test("loadModel opens, converts and clamps the capacity to the model's positions", async () => {
    const folder = writeTinyCheckpoint(join(temporaryFolder(), "größe 模型"), MODEL);
    const loaded = await loadModel(folder, { ...CPU, capacity: 1_000_000 });
    expect(loaded.engine.capacity).toBe(1024);
    expect(loaded.path).toBe(folder);
    expect(loaded.engine.run({ position: 0, input: [1], choices: targetChoices(2), logitRows: 1 }).logits.length).toBe(
      64,
    );
    loaded.close();
    const roomless = await loadModel(folder, { ...CPU, capacity: 8 });
    expect(roomless.engine.capacity).toBe(8);
    roomless.close();
  });
});

describe("memory, in a process of its own", () => {
  /** Runs a module against the built library, with gc() at hand. */
  async function inChild(source: string): Promise<string> {
    const module = `
      import { loadModel } from ${JSON.stringify(new URL("runtime/load.js", pathToFileURL(CLI)).href)};
      import { targetChoices } from ${JSON.stringify(new URL("schema/choice.js", pathToFileURL(CLI)).href)};
      ${source}`;
    const { stdout } = await promisify(execFile)(process.execPath, [
      "--expose-gc",
      "--input-type=module",
      "-e",
      module,
    ]);
    return stdout.trim();
  }

  test.skipIf(LONG)(
    "garbage collection between loading and use takes nothing that the library still needs",
    async () => {
      const folder = writeTinyCheckpoint(temporaryFolder(), MODEL);
      const out = await inChild(`
      const ids = [...Array(20).keys()];
      const choices = targetChoices(2);
      const collect = async () => { for (let i = 0; i < 4; i++) { gc(); await new Promise((done) => setTimeout(done, 5)); } };
      const { engine, close } = await loadModel(${JSON.stringify(folder)}, { provider: "cpu", threads: 1 });
      const first = engine.run({ position: 0, input: ids, choices, logitRows: 20 }).logits.slice();
      let worst = 0;
      for (let round = 0; round < 5; round++) {
        await collect();
        const rubbish = Array.from({ length: 2000 }, () => new Float32Array(64).fill(NaN)); // into what was let go
        const again = engine.run({ position: 0, input: ids, choices, logitRows: 20 }).logits;
        again.forEach((x, i) => { if (!(Math.abs(x - first[i]) <= worst)) worst = Math.abs(x - first[i]); });
        if (rubbish.length === 0) throw new Error();
      }
      close();
      await collect();
      const second = await loadModel(${JSON.stringify(folder)}, { provider: "cpu", threads: 1 });
      second.engine.run({ position: 0, input: ids, choices, logitRows: 1 });
      console.log(worst);`);
      expect(out).toBe("0");
    },
  );

  test.runIf(LONG)("engines that were closed leave no memory behind", async () => {
    // 9 MB of weights: a session kept by mistake would show after a few
    const folder = writeTinyCheckpoint(temporaryFolder(), {
      hidden: 256,
      heads: 4,
      headDim: 64,
      intermediate: 768,
      vocab: 2048,
      context: 512,
      layers: 2,
      seed: 5,
    });
    const out = await inChild(`
      const choices = targetChoices(2);
      const rss = [];
      for (let i = 0; i < 24; i++) {
        const { engine, close } = await loadModel(${JSON.stringify(folder)}, { provider: "cpu", threads: 1 });
        for (const logitRows of [1, 64]) engine.run({ position: 0, input: new Array(100).fill(3), choices, logitRows });
        close();
        gc();
        await new Promise((done) => setTimeout(done, 5));
        rss.push(process.memoryUsage().rss);
      }
      console.log((rss.at(-1) - rss[3]) / 2 ** 20);`);
    expect(Number(out)).toBeLessThan(60); // MiB in 20 engines; each holds about 20 while it is open
  });
});
