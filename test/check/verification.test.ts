/** Verifications as `verify` writes them, with faults planted; the model behind them is a fake. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { checkDocuments } from "../../src/check/check.js";
import type { Finding } from "../../src/check/findings.js";
import { readForCheck } from "../../src/pipeline/check/read.js";
import { solver } from "../../src/pipeline/check/solver.js";
import { buildVerification } from "../../src/pipeline/verify/document.js";
import { sha256, stringifyDocument } from "../../src/schema/document.js";
import type { Plan } from "../../src/schema/plan.js";
import { TIE_MARGINS, type Verification } from "../../src/schema/verification.js";
import { makeCalibration, makeProfile } from "../support/documents.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";
import { digest, fake, plain, plan as planOf, promptsOf, spec, speculating } from "../verify/support.js";
import { codesOf, placesOf } from "./support.js";

const TOKENIZER = "5".repeat(64);
const folder = temporaryFolder();
const write = (name: string, text: string) => writeFileSync(join(folder, name), text);

/** A forecast whose figures follow from each other: curve 1, 0.9, 0.81; 255 µs a draft step, 730 a verification. */
const forecast = (d: number) => {
  const curve = Array.from({ length: d + 1 }, (_, i) => 0.9 ** i);
  const tokens = curve.reduce((a, b) => a + b, 0);
  const perSecond = (1e6 * tokens) / (d * 255 + 730);
  return {
    ...{ at_context: 64, acceptance: 0.9, acceptance_curve: curve, accepted_length: tokens },
    ...{ draft_us: 255, verify_us: 730, round_us: 0, target_step_us: 710, lp_gap_percent: 0 },
    ...{ tokens_per_second: perSecond, speedup: (perSecond * 710) / 1e6 },
  };
};

const plan: Plan = {
  ...planOf(speculating(0, 64, 2, forecast(2)), speculating(64, 128, 4, forecast(4)), plain(128, 160)),
  device: { processor: "test", provider: "cpu", threads: 1, runtime: "fake 1", platform: "test" },
};

async function verify(missRate = 0.3, changes: Partial<Parameters<typeof buildVerification>[0]> = {}) {
  const { engine, clock } = fake(missRate);
  const ref = { name: spec.name, layers: spec.layers, architecture_sha256: digest, weights_sha256: digest };
  return buildVerification({
    ...{ loaded: { engine, ref }, plan, planRef: { path: "plan.yaml", sha256: sha256(stringifyDocument(plan)) } },
    ...{ prompts: promptsOf(9, 50, 100, 140), device: plan.device as NonNullable<Plan["device"]>, alternatives: true },
    ...{ maxTokens: 60, pairs: 3, clock, created: new Date(0), tokenizerSha256: TOKENIZER },
    ...changes,
  });
}

let document: Verification;
let copy: Verification;
beforeAll(async () => {
  document = await verify();
});
beforeEach(() => {
  copy = structuredClone(document);
  write("plan.yaml", stringifyDocument(plan));
});

function check(verification: Verification): Finding[] {
  write("v.yaml", stringifyDocument(verification));
  const { documents, open, faults } = readForCheck([join(folder, "v.yaml")]);
  const found = [...faults, ...checkDocuments({ documents, open, solver, model: null })];
  return found.map((one) => ({ ...one, file: one.file.slice(folder.length + 1) }));
}

const edited = (change: (verification: Verification) => void): Finding[] => {
  change(copy);
  return check(copy);
};

describe("what verify writes has no finding", () => {
  test("some rejected, several segments and a range that is not speculated in", () => {
    expect(document.by_context.length).toBeGreaterThan(2);
    expect(document.acceptance).toBeLessThan(1);
    expect(check(document)).toEqual([]);
  });

  test.each([0, 0.1, 0.9, 1])("a draft that misses with chance %s", async (missRate) => {
    expect(check(await verify(missRate))).toEqual([]);
  });

  test("one prompt, one pair; prompts past the plan's end", async () => {
    expect(check(await verify(0.3, { prompts: promptsOf(20), pairs: 1 }))).toEqual([]);
    expect(check(await verify(0.3, { prompts: promptsOf(200, 155), pairs: 2 }))).toEqual([]);
  });

  test("outputs that end at an end token in the middle of a draft, without a bonus behind it", async () => {
    const ending = fake(0, { spec: { ...spec, eosTokenIds: [11, 12, 13, 14, 15, 16] } });
    const ref = { name: spec.name, layers: spec.layers, architecture_sha256: digest, weights_sha256: digest };
    const verification = await verify(0, { loaded: { engine: ending.engine, ref }, clock: ending.clock });
    const { accepted_length, by_position, prompts } = verification;
    const accepted = by_position?.reduce((sum, position) => sum + position.accepted, 0) ?? 0;
    expect(prompts.some(({ tokens }) => tokens < 60)).toBe(true);
    expect(accepted_length).toBeLessThan(1 + accepted / (by_position?.[0].tried ?? 0));
    expect(check(verification)).toEqual([]);
    expect(check({ ...verification, accepted_length: 1 + (accepted + 1) / (by_position?.[0].tried ?? 0) })).not.toEqual(
      [],
    );
  });

  test("requirements that it holds", async () => {
    expect(check(await verify(0, { thresholds: { minSpeedup: 0.1, minAcceptance: 0.5 } }))).toEqual([]);
  });

  test("a tie, from which the output goes its own way", () => {
    const found = edited((v) => {
      const [prompt] = v.prompts;
      prompt.output_ids = (prompt.reference_ids as number[]).map((id, i) => (i >= 5 ? id + 1 : id));
      v.output_sha256 = sha256(JSON.stringify(v.prompts.map((one) => one.output_ids ?? one.reference_ids)));
      Object.assign(prompt, { ties: 1, tie_margins: [{ position: 5, margin: 4e-4 }], worst_margin: 4e-4 });
      v.ties = 1;
    });
    expect(found).toEqual([]);
  });

  test("without the evidence that older ones lack", () => {
    const { by_position: _p, decided: _d, reference_sha256: _r, output_sha256: _o, versions: _v, ...older } = copy;
    for (const prompt of older.prompts)
      for (const key of ["reference_ids", "output_ids", "tie_margins", "pairs"] as const) delete prompt[key];
    for (const range of older.by_context)
      for (const key of ["speedup", "predicted_speedup"] as const) delete range[key];
    expect(check(older)).toEqual([]);
  });
});

describe("tokens that were changed", () => {
  const ids = (verification: Verification, i = 0) => verification.prompts[i].reference_ids as number[];

  test("one of the target's", () => {
    const found = edited((v) => {
      ids(v)[3] += 1;
    });
    expect(placesOf(found)).toEqual([
      "VERIFICATION_TOKENS_CHANGED v.yaml: reference_sha256",
      "VERIFICATION_TOKENS_CHANGED v.yaml: output_sha256",
    ]);
  });

  test("one of the plan's, which then is no tie and no mismatch", () => {
    const found = edited((v) => {
      v.prompts[1].output_ids = ids(v, 1).map((id, i) => (i === 7 ? id + 1 : id));
    });
    expect(placesOf(found)).toEqual([
      "VERIFICATION_TOKENS_CHANGED v.yaml: output_sha256",
      "VERIFICATION_TOKENS_CHANGED v.yaml: prompts[1]",
    ]);
    expect(found[1].message).toContain("token 7");
  });

  test("one of the plan's with the digest taken over", () => {
    const found = edited((v) => {
      v.prompts[0].output_ids = ids(v).map((id, i) => (i === 5 ? id + 1 : id));
      const outputs = v.prompts.map((prompt) => prompt.output_ids ?? prompt.reference_ids);
      v.output_sha256 = sha256(JSON.stringify(outputs));
    });
    expect(placesOf(found)).toEqual(["VERIFICATION_TOKENS_CHANGED v.yaml: prompts[0]"]);
  });

  test("tokens taken away, from the list or from a count", () => {
    const shorter = edited((v) => {
      ids(v).pop();
    });
    expect(placesOf(shorter)).toContain("VERIFICATION_TOKENS_CHANGED v.yaml: prompts[0].tokens");
    copy = structuredClone(document);
    const count = edited((v) => {
      v.tokens += 1;
    });
    expect(placesOf(count)).toEqual(["VERIFICATION_TOKENS_CHANGED v.yaml: tokens"]);
    copy = structuredClone(document);
    const prompt = edited((v) => {
      v.prompts[0].tokens -= 1;
    });
    expect(placesOf(prompt)).toEqual([
      "VERIFICATION_TOKENS_CHANGED v.yaml: tokens",
      "VERIFICATION_TOKENS_CHANGED v.yaml: prompts[0].tokens",
    ]);
  });

  test("more than were asked for", () => {
    const found = edited((v) => {
      v.max_tokens = 30;
    });
    expect(codesOf(found)).toContain("VERIFICATION_TOKENS_CHANGED");
  });

  test("a tie that the output does not have", () => {
    const found = edited((v) => {
      v.ties = 1;
      v.prompts[0].ties = 1;
      v.prompts[0].tie_margins = [{ position: 2, margin: 1e-4 }];
      v.prompts[0].worst_margin = 1e-4;
    });
    expect(placesOf(found)).toEqual(["VERIFICATION_TOKENS_CHANGED v.yaml: prompts[0]"]);
  });
});

describe("an output that is not the target's own", () => {
  const mismatch = (v: Verification) => {
    v.prompts[0].output_ids = (v.prompts[0].reference_ids as number[]).map((id, i) => (i === 5 ? id + 1 : id));
    v.output_sha256 = sha256(JSON.stringify(v.prompts.map((prompt) => prompt.output_ids ?? prompt.reference_ids)));
    Object.assign(v.prompts[0], { first_mismatch: 5, worst_margin: 0.5 });
    v.lossless = false;
    if (v.decided !== undefined) v.decided.failed = ["lossless"];
  };

  test("is an error, and says where", () => {
    const found = edited(mismatch);
    expect(placesOf(found)).toEqual(["NOT_LOSSLESS v.yaml: prompts[0].first_mismatch"]);
    expect(found[0].message).toContain("token 5");
  });

  test("cannot be called lossless", () => {
    const found = edited((v) => {
      mismatch(v);
      v.lossless = true;
    });
    expect(codesOf(found)).toEqual(["NOT_LOSSLESS", "VERIFICATION_INCONSISTENT"]);
  });

  test("what counts as a tie follows from the target's numbers, and is not the document's to choose", () => {
    const wide = (v: Verification) => {
      v.tie_margin = TIE_MARGINS.fp16;
      v.prompts[2].worst_margin = 0.01;
      v.prompts[2].ties = 1;
      v.ties = 1;
      v.prompts[2].tie_margins = [{ position: 5, margin: 0.01 }];
      const ids = v.prompts[2].reference_ids as number[];
      v.prompts[2].output_ids = ids.map((id, i) => (i === 5 ? id + 1 : id));
      v.output_sha256 = sha256(JSON.stringify(v.prompts.map((one) => one.output_ids ?? one.reference_ids)));
    };
    expect(placesOf(edited(wide))).toEqual(["VERIFICATION_INCONSISTENT v.yaml: tie_margin"]);
    const onGpu = edited((v) => {
      wide(v);
      v.device = { ...v.device, target: "fp16" };
    });
    expect(placesOf(onGpu)).toEqual(["DEVICE_DIFFERS v.yaml: device"]); // a note: the plan was made for fp32
    const narrow = edited((v) => {
      delete v.tie_margin;
      v.device = { ...v.device, target: "fp16" };
    });
    expect(placesOf(narrow)).toContain("VERIFICATION_INCONSISTENT v.yaml: tie_margin");
  });

  test("nor can a margin beyond that of a tie", () => {
    const found = edited((v) => {
      v.prompts[2].worst_margin = 0.01;
    });
    expect(codesOf(found)).toEqual(["VERIFICATION_INCONSISTENT"]);
  });
});

describe("figures that do not follow from each other", () => {
  const cases: [string, (v: Verification) => void, string][] = [
    ["a better speedup than the pairs give", (v) => (v.speedup.median = v.speedup.high ?? 0), "speedup.median"],
    ["a narrower interval", (v) => (v.speedup.low = (v.speedup.low ?? 0) * 1.01), "speedup.low"],
    ["no interval where there is one", (v) => Object.assign(v.speedup, { low: null, high: null }), "speedup.low"],
    [
      "an interval beyond every prompt, found by a bootstrap",
      (v) => {
        delete v.interval;
        v.speedup = { ...v.speedup, low: v.speedup.median, high: 9 };
      },
      "speedup.high",
    ],
    ["an interval that its median is not in", (v) => (v.speedup.low = v.speedup.median * 1.01), "speedup"],
    ["a faster plan", (v) => (v.tokens_per_second.plan *= 1.1), "speedup.median"],
    [
      "both speeds faster",
      (v) => {
        v.tokens_per_second.plan *= 1.1;
        v.tokens_per_second.target *= 1.1;
      },
      "tokens_per_second.target",
    ],
    [
      "a time of a pair",
      (v) => {
        for (const pair of v.prompts[0].pairs ?? []) pair.plan_us *= 0.9;
      },
      "prompts[0].speedup",
    ],
    ["a prompt's speedup", (v) => (v.prompts[1].speedup = 1.234), "prompts[1].speedup"],
    ["no pairs where a speedup is", (v) => (v.prompts[1].pairs = []), "prompts[1].speedup"],
    ["a smaller prediction error", (v) => (v.prediction_error_percent = 0.1), "prediction_error_percent"],
    ["no prediction error", (v) => (v.prediction_error_percent = null), "prediction_error_percent"],
    ["a prediction beyond every prompt's", (v) => (v.predicted_speedup = 7), "predicted_speedup"],
    ["a better acceptance", (v) => (v.acceptance = 0.999), "acceptance"],
    ["no acceptance beside a curve", (v) => (v.acceptance = null), "acceptance"],
    ["a better curve", (v) => (v.acceptance_curve = (v.acceptance_curve ?? []).map(() => 1)), "acceptance_curve[1]"],
    ["a longer accepted length", (v) => (v.accepted_length = 1 + (v.accepted_length ?? 0)), "accepted_length"],
    [
      "more accepted than tried",
      (v) => {
        for (const at of v.by_position ?? []) at.accepted = at.tried + 1;
      },
      "by_position[0]",
    ],
    ["a context range's speedup", (v) => (v.by_context[0].speedup = 3), "by_context[0].speedup"],
    [
      "a requirement said to fail that holds",
      (v) => {
        v.decided = { min_speedup: 0.01, failed: ["min_speedup"] };
      },
      "decided.failed",
    ],
  ];
  test.each(cases)("%s", (_name, change, where) => {
    const found = edited((v) => void change(v));
    expect(placesOf(found)).toContain(`VERIFICATION_INCONSISTENT v.yaml: ${where}`);
  });

  test("a requirement that does not hold fails the check, said or not", () => {
    const said = edited((v) => {
      v.decided = { min_speedup: 50, failed: ["min_speedup"] };
    });
    expect(placesOf(said)).toEqual(["VERIFICATION_FAILED v.yaml: decided.min_speedup"]);
    const hidden = edited((v) => {
      v.decided = { min_speedup: 50, failed: [] };
    });
    expect(codesOf(hidden)).toEqual(["VERIFICATION_FAILED", "VERIFICATION_INCONSISTENT"]);
  });
});

describe("against the plan", () => {
  test("a plan that changed since is not the one verified", () => {
    const longer = structuredClone(plan);
    longer.segments[2].context_tokens.to = 170;
    write("plan.yaml", stringifyDocument(longer));
    expect(placesOf(check(document))).toContain("VERIFICATION_STALE v.yaml: plan.sha256");
  });

  test("by its bytes, where draftplan did not write it: only that is known", () => {
    write("plan.yaml", `# mine\n${stringifyDocument(plan).replace("to: 160", "to:   161")}`);
    const found = check(document);
    expect(placesOf(found)).toContain("INPUT_UNPROVEN v.yaml: plan.sha256");
  });

  const cases: [string, (v: Verification) => void, string][] = [
    [
      "a range that the plan has no segment for",
      (v) => (v.by_context[0].context_tokens.to = 60),
      "by_context[0].context_tokens",
    ],
    [
      "another prediction for a range",
      (v) => (v.by_context[1].predicted_tokens_per_second = 1),
      "by_context[1].predicted_tokens_per_second",
    ],
    [
      "another predicted speedup for a range",
      (v) => (v.by_context[1].predicted_speedup = 1.01),
      "by_context[1].predicted_speedup",
    ],
    [
      "more tokens a round than it drafts",
      (v) => (v.by_context[0].accepted_length = 3.5),
      "by_context[0].accepted_length",
    ],
    [
      "a prompt's prediction beyond its segments'",
      (v) => (v.prompts[0].predicted_speedup = 5),
      "prompts[0].predicted_speedup",
    ],
    [
      "no prediction where there is one",
      (v) => (v.prompts[1].predicted_speedup = null),
      "prompts[1].predicted_speedup",
    ],
    [
      "inputs that the plan does not name",
      (v) => {
        const input = { path: "p.yaml", sha256: digest };
        v.inputs = { profile: input, calibration: input };
      },
      "inputs.profile.sha256",
    ],
  ];
  test.each(cases)("%s", (_name, change, where) => {
    const found = edited((v) => void change(v));
    expect(placesOf(found)).toContain(`VERIFICATION_MISMATCH v.yaml: ${where}`);
  });

  test("a plan that is not there, or no plan, is said", () => {
    const missing = edited((v) => {
      v.plan.path = "gone.yaml";
    });
    expect(placesOf(missing)).toEqual(["INPUT_UNAVAILABLE v.yaml: plan.path"]);
    write("v.yaml", "");
    const itself = edited((v) => {
      v.plan.path = "v.yaml";
    });
    expect(placesOf(itself)).toEqual(["INPUT_KIND v.yaml: plan.path"]);
  });
});

test("prompts that went through another tokenizer than the calibration", async () => {
  const calibration = makeCalibration();
  calibration.text.tokenizer_sha256 = "6".repeat(64);
  const texts = { "c.yaml": stringifyDocument(calibration), "p.yaml": stringifyDocument(makeProfile()) };
  for (const [name, text] of Object.entries(texts)) write(name, text);
  const input = (path: keyof typeof texts) => ({ path, sha256: sha256(texts[path]) });
  const inputs = { profile: input("p.yaml"), calibration: input("c.yaml") };
  const made = { ...plan, inputs };
  write("plan.yaml", stringifyDocument(made));
  const verification = await verify(0.3, {
    plan: made,
    planRef: { path: "plan.yaml", sha256: sha256(stringifyDocument(made)) },
  });
  const found = check(verification).filter(({ file }) => file === "v.yaml");
  expect(placesOf(found)).toEqual(["TOKENIZER_DIFFERS v.yaml: tokenizer_sha256"]);
  const same = check({ ...verification, tokenizer_sha256: "6".repeat(64) }).filter(({ file }) => file === "v.yaml");
  expect(same).toEqual([]);
});
