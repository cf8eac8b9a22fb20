/** Every fault planted into the committed documents has its finding, and the finding says where. */
import { rmSync } from "node:fs";
import { beforeEach, describe, expect, test } from "vitest";
import type { ModelFacts } from "../../src/check/model.js";
import type { Calibration } from "../../src/schema/calibration.js";
import { describeChoices, expandDraft } from "../../src/schema/choice.js";
import { parseDocument } from "../../src/schema/document.js";
import type { Plan, Predicted } from "../../src/schema/plan.js";
import {
  CALIBRATION,
  codesOf,
  PLAN,
  PROFILE,
  placesOf,
  recordDigests,
  settle,
  speculating,
  VERIFICATION,
  type Workspace,
  workspace,
} from "./support.js";

/** what faults are planted into; a check of all documents takes twice as long */
const ONE_OF_EACH = [PLAN, PROFILE, CALIBRATION, VERIFICATION];

let space: Workspace;
beforeEach(() => {
  space = workspace(ONE_OF_EACH);
});

const OTHER = "f".repeat(64);
const planOf = () => parseDocument(space.read(PLAN), PLAN) as Plan;

test("the committed documents themselves have no finding", () => {
  expect(workspace().check()).toEqual([]);
});

describe("an edited plan is no longer the plan its inputs give", () => {
  test("another block left out", () => {
    let block = "";
    space.edit(PLAN, (plan) => {
      const { draft } = speculating(plan).segment;
      block = ["2.attn", "3.attn"].find((name) => !draft.skip.includes(name)) ?? "";
      delete draft.choices[block];
      draft.skip.push(block);
    });
    const { index } = speculating(planOf());
    const found = space.check([PLAN]).filter(({ code }) => code === "PLAN_DIFFERS");
    expect(placesOf(found)).toEqual([`PLAN_DIFFERS ${PLAN}: segments[${index}]`]);
    expect(found[0].message).toMatch(new RegExp(`${block.replace(".", "\\.")} skip -> (int8|target)$`));
  });

  test("the same draft written another way is no other", () => {
    space.edit(PLAN, (plan) => {
      const { draft } = speculating(plan).segment;
      const { layers } = plan.model;
      const before = describeChoices(expandDraft(draft, layers, "plan"));
      for (let layer = 0; layer < layers; layer++)
        for (const kind of ["attn", "mlp"]) {
          const block = `${layer}.${kind}`;
          if (!draft.skip.includes(block)) draft.choices[block] ??= draft.default;
        }
      draft.default = "target";
      expect(describeChoices(expandDraft(draft, layers, "plan"))).toBe(before);
    });
    expect(space.check([PLAN])).toEqual([]);
  });

  test("a shorter draft, with every figure made to fit", () => {
    space.edit(PLAN, (plan) => {
      const { segment } = speculating(plan);
      segment.draft_tokens -= 1;
      segment.predicted.acceptance_curve.pop();
      settle(segment);
    });
    const { index } = speculating(planOf());
    const found = space.check([PLAN]);
    expect(placesOf(found)).toContain(`PLAN_DIFFERS ${PLAN}: segments[${index}]`);
    expect(found.map(({ message }) => message).join()).toMatch(/tokens drafted/);
    // a verification of one token less costs something else
    expect(codesOf(found)).toEqual(["PLAN_DIFFERS", "PREDICTED_DIFFERS"]);
  });

  test("a segment that drafts nothing any more", () => {
    space.edit(PLAN, (plan) => {
      const { segment, index } = speculating(plan);
      plan.segments[index] = { context_tokens: segment.context_tokens, speculate: false };
    });
    const [found] = space.check([PLAN]);
    expect(found).toMatchObject({ code: "PLAN_DIFFERS", severity: "error" });
    expect(found.message).toContain("plain decoding -> a draft");
  });

  test("another end", () => {
    space.edit(PLAN, (plan) => {
      plan.segments[plan.segments.length - 1].context_tokens.to += 64;
    });
    expect(placesOf(space.check([PLAN]))).toEqual([`PLAN_DIFFERS ${PLAN}: segments`]);
  });

  test("choices that the inputs cannot give", () => {
    space.edit(PLAN, (plan) => {
      plan.choices = ["int4"];
    });
    const found = space.check([PLAN]);
    expect(placesOf(found)).toEqual([`PLAN_DIFFERS ${PLAN}: inputs`]);
    expect(found[0].message).toContain("its inputs give no plan");
  });

  test("a method that is not known cannot be solved by again, and that is said", () => {
    space.edit(PLAN, (plan) => {
      plan.method = "best";
    });
    expect(placesOf(space.check([PLAN]))).toEqual([`PLAN_NOT_SOLVED ${PLAN}: method`]);
    space.edit(PLAN, (plan) => {
      plan.method = "clasp"; // known, but not what the calibration was measured for
    });
    expect(placesOf(space.check([PLAN]))).toEqual([`PLAN_DIFFERS ${PLAN}: inputs`]);
    space.edit(PLAN, (plan) => {
      plan.method = "knapsack";
      delete plan.choices;
    });
    expect(placesOf(space.check([PLAN]))).toEqual([`PLAN_NOT_SOLVED ${PLAN}: choices`]);
  });
});

describe("an edited profile or calibration is not what the plan was made from", () => {
  test("costs of attention doubled", () => {
    space.edit(PROFILE, ({ points }) => {
      for (const { attn_us } of points)
        for (const costs of Object.values(attn_us)) costs?.splice(0, costs.length, ...costs.map((us) => 2 * us));
    });
    const found = space.check([PLAN]);
    expect(placesOf(found)).toContain(`INPUT_CHANGED ${PLAN}: inputs.profile.sha256`);
    expect(codesOf(found)).toEqual(expect.arrayContaining(["PREDICTED_DIFFERS"]));
  });

  test("a value that no plan depends on", () => {
    space.edit(PROFILE, ({ points }) => {
      points[0].residual_percent += 1;
    });
    const found = space.check([PLAN]);
    expect(placesOf(found)).toEqual([`INPUT_CHANGED ${PLAN}: inputs.profile.sha256`]);
    expect(found[0].message).toContain("still gives this plan");
  });

  test("figures of a profile whose digest was taken over: only what is predicted differs", () => {
    space.edit(PROFILE, ({ loop }) => {
      loop.round_us *= 1.01;
    });
    recordDigests(space);
    const found = space.check([PLAN]);
    expect(codesOf(found)).toEqual(["PREDICTED_DIFFERS"]);
    expect(found[0].message).toMatch(/round_us [\d.]+, not [\d.]+/);
  });

  test("a measured acceptance curve", () => {
    space.edit(CALIBRATION, ({ measured }) => {
      for (const { curve } of measured) curve.forEach((a, i) => (curve[i] = i === 0 ? 1 : 0.9 * a));
    });
    const found = space.check([PLAN]);
    expect(placesOf(found)).toContain(`INPUT_CHANGED ${PLAN}: inputs.calibration.sha256`);
    expect(codesOf(found)).toEqual(expect.arrayContaining(["PREDICTED_DIFFERS"]));
  });

  test("laid out by hand and changed in nothing that matters: it cannot be told, and that is a warning", () => {
    space.edit(PROFILE, ({ points }) => {
      points[0].residual_percent += 1;
    });
    space.write(PROFILE, `# mine\n${space.read(PROFILE)}`);
    const found = space.check([PLAN]);
    expect(placesOf(found)).toEqual([`INPUT_UNPROVEN ${PLAN}: inputs.profile.sha256`]);
    expect(found[0].severity).toBe("warning");
  });

  test("laid out by hand and changed in what matters", () => {
    space.edit(PROFILE, ({ loop }) => {
      loop.step_us += 100;
    });
    space.write(PROFILE, `# mine\n${space.read(PROFILE)}`);
    expect(codesOf(space.check([PLAN]))).toEqual(expect.arrayContaining(["INPUT_CHANGED", "PREDICTED_DIFFERS"]));
  });

  test("missing, of another kind, or no document at all", () => {
    space.write(PROFILE, space.read(CALIBRATION));
    expect(placesOf(space.check([PLAN]))).toContain(`INPUT_KIND ${PLAN}: inputs.profile.path`);
    space.write(PROFILE, "not: [a document");
    const broken = space.check([PLAN]);
    expect(placesOf(broken)).toEqual([
      `DOCUMENT_SYNTAX ${PROFILE}: `,
      `INPUT_UNAVAILABLE ${PLAN}: inputs.profile.path`,
    ]);
    rmSync(space.path(PROFILE));
    const found = space.check([PLAN]);
    expect(placesOf(found)).toEqual([`INPUT_UNAVAILABLE ${PLAN}: inputs.profile.path`]);
    expect(found[0]).toMatchObject({ severity: "warning" });
    expect(found[0].message).toContain("the plan was not solved again");
  });
});

describe("another model", () => {
  test("calibration and profile of two models are mixed", () => {
    space.edit(CALIBRATION, ({ model }) => {
      model.architecture_sha256 = OTHER;
      model.name = "other";
    });
    const found = space.check([PLAN]);
    expect(placesOf(found)).toEqual([`INPUTS_MIXED ${PLAN}: inputs`]);
    expect(found[0].message).toContain("union-10m");
  });

  test("kernels of other numerics are mixed too", () => {
    space.edit(CALIBRATION, ({ kernels }) => {
      kernels.int8 = "another int8";
    });
    expect(placesOf(space.check([PLAN]))).toEqual([`INPUTS_MIXED ${PLAN}: inputs`]);
  });

  test("a plan for other weights than its calibration's", () => {
    space.edit(PLAN, ({ model }) => {
      model.weights_sha256 = OTHER;
    });
    expect(placesOf(space.check([PLAN]))).toEqual([`MODEL_DIFFERS ${PLAN}: model.weights_sha256`]);
  });

  test("a profile of other weights is no fault: latencies depend on the architecture alone", () => {
    space.edit(PROFILE, ({ model }) => {
      model.weights_sha256 = OTHER;
      model.name = "a fine-tune";
    });
    recordDigests(space);
    expect(space.check([PLAN])).toEqual([]);
  });

  test("a verification of another model than its plan", () => {
    space.edit(VERIFICATION, ({ model }) => {
      model.architecture_sha256 = OTHER;
    });
    expect(placesOf(space.check([VERIFICATION]))).toEqual([`MODEL_DIFFERS ${VERIFICATION}: model.architecture_sha256`]);
  });

  const facts = (): ModelFacts => {
    const { name, layers, architecture_sha256, weights_sha256 } = planOf().model;
    if (weights_sha256 === null) throw new Error("the committed plan names no weights");
    const { tokenizer_sha256 = null } = (parseDocument(space.read(CALIBRATION), CALIBRATION) as Calibration).text;
    return { source: "given", name, layers, architecture_sha256, weights_sha256, tokenizer_sha256 };
  };

  test("than the one given", () => {
    expect(space.check([PLAN], facts())).toEqual([]);
    expect(placesOf(space.check([PLAN], { ...facts(), weights_sha256: OTHER }))).toEqual([
      `MODEL_DIFFERS ${PLAN}: model.weights_sha256`,
      `MODEL_DIFFERS ${CALIBRATION}: model.weights_sha256`,
    ]);
    const architecture = space.check([PLAN], { ...facts(), architecture_sha256: OTHER });
    expect(architecture.map(({ code, file }) => `${code} ${file}`).sort()).toEqual(
      [PLAN, CALIBRATION, PROFILE].map((file) => `MODEL_DIFFERS ${file}`).sort(),
    );
  });

  test("another tokenizer than the one given; none to compare with is a warning", () => {
    space.edit(CALIBRATION, ({ text }) => {
      text.tokenizer_sha256 = "a".repeat(64);
    });
    recordDigests(space);
    const found = (tokenizer: string | null) => space.check([PLAN], { ...facts(), tokenizer_sha256: tokenizer });
    expect(found("a".repeat(64))).toEqual([]);
    expect(placesOf(found(OTHER))).toEqual([`TOKENIZER_DIFFERS ${CALIBRATION}: text.tokenizer_sha256`]);
    expect(found(null)).toMatchObject([{ code: "TOKENIZER_UNCHECKED", severity: "warning" }]);
  });
});

describe("another runtime version or device", () => {
  test("in the plan", () => {
    space.edit(PLAN, ({ device }) => {
      if (device !== undefined) device.runtime = "onnxruntime 9.9.9";
    });
    expect(placesOf(space.check([PLAN]))).toEqual([
      `PLAN_DIFFERS ${PLAN}: device.runtime`,
      `RUNTIME_DIFFERS ${PLAN}: device.runtime`,
    ]);
  });

  test("in the profile", () => {
    space.edit(PROFILE, ({ device }) => {
      device.runtime = "onnxruntime 9.9.9";
    });
    expect(codesOf(space.check([PLAN]))).toEqual(["INPUT_CHANGED", "PLAN_DIFFERS", "RUNTIME_DIFFERS"]);
  });

  test("in the verification", () => {
    space.edit(VERIFICATION, ({ device }) => {
      device.runtime = "onnxruntime 9.9.9";
    });
    expect(placesOf(space.check([VERIFICATION]))).toEqual([`RUNTIME_DIFFERS ${VERIFICATION}: device.runtime`]);
    space.edit(VERIFICATION, ({ device }) => {
      device.processor = "Another CPU";
    });
    const found = space.check([VERIFICATION]);
    expect(placesOf(found)).toEqual([
      `DEVICE_DIFFERS ${VERIFICATION}: device`,
      `RUNTIME_DIFFERS ${VERIFICATION}: device.runtime`,
    ]);
    expect(found[0].severity).toBe("note");
  });
});

describe("a missing block", () => {
  test("in a profile: a layer, or all of them", () => {
    space.edit(PROFILE, ({ points }) => {
      points[3].mlp_us.target?.pop();
    });
    const found = space.check([PROFILE]);
    expect(placesOf(found)).toEqual([`BLOCK_MISSING ${PROFILE}: points[3].mlp_us.target`]);
    expect(found[0].message).toMatch(/^line \d+: \d+ layers, and the model has \d+$/);
    const other = workspace(ONE_OF_EACH);
    other.edit(PROFILE, ({ points }) => {
      delete (points[0] as Partial<(typeof points)[0]>).attn_us;
    });
    expect(placesOf(other.check([PROFILE]))).toEqual([`BLOCK_MISSING ${PROFILE}: points[0].attn_us`]);
  });

  test("in a calibration: a layer, or a choice at one of its contexts", () => {
    space.edit(CALIBRATION, ({ contexts }) => {
      contexts[0].attn.skip?.pop();
      delete contexts[1].mlp.skip;
    });
    expect(placesOf(space.check([CALIBRATION]))).toEqual([
      `BLOCK_MISSING ${CALIBRATION}: contexts[0].attn.skip`,
      `BLOCK_MISSING ${CALIBRATION}: contexts[1].mlp.skip`,
    ]);
    expect(placesOf(space.check([PLAN]))).toContain(`INPUT_UNAVAILABLE ${PLAN}: inputs.calibration.path`);
  });

  test("a block too many is one that the model does not have", () => {
    space.edit(CALIBRATION, ({ contexts }) => {
      contexts[0].mlp.skip?.push({ loss: 1, standard_error: 1 });
    });
    expect(placesOf(space.check([CALIBRATION]))).toEqual([`BLOCK_UNKNOWN ${CALIBRATION}: contexts[0].mlp.skip`]);
  });
});

describe("a draft's blocks", () => {
  const edit = (change: (draft: { skip: string[]; choices: Record<string, string> }) => void) =>
    space.edit(PLAN, (plan) => {
      const { draft } = speculating(plan).segment;
      draft.skip = [];
      draft.choices = {};
      change(draft);
    });
  const at = () => `segments[${speculating(planOf()).index}].draft`;

  test("named twice in skip", () => {
    edit((draft) => draft.skip.push("1.attn", "2.mlp", "1.attn"));
    expect(placesOf(space.check([PLAN]))).toEqual([`BLOCK_DUPLICATE ${PLAN}: ${at()}.skip[2]`]);
  });

  test("named in skip and in choices", () => {
    edit((draft) => {
      draft.skip.push("1.attn");
      draft.choices["1.attn"] = "target";
    });
    expect(placesOf(space.check([PLAN]))).toEqual([`BLOCK_DUPLICATE ${PLAN}: ${at()}.choices.1.attn`]);
  });

  test("named twice in choices: YAML refuses the key, and it is the same fault", () => {
    const choices = /choices:\s*\{[^}]*\}/;
    space.write(PLAN, space.read(PLAN).replace(choices, "choices: {1.mlp: int8, 1.mlp: target}"));
    const found = space.check([PLAN]);
    expect(codesOf(found)).toEqual(["BLOCK_DUPLICATE"]);
    expect(found[0].message).toMatch(/line \d+/);
  });

  test.each(["99.attn", "3.foo", "03.mlp", "-1.attn", "head"])("unknown: %s", (block) => {
    edit((draft) => draft.skip.push(block));
    expect(placesOf(space.check([PLAN]))).toEqual([`BLOCK_UNKNOWN ${PLAN}: ${at()}.skip[0]`]);
  });

  test("unknown or named twice in a measured draft of a calibration", () => {
    space.edit(CALIBRATION, ({ measured }) => {
      measured[0].draft.skip = ["99.attn"];
      measured[1].draft.skip = ["1.attn", "1.attn"];
    });
    expect(placesOf(space.check([CALIBRATION]))).toEqual([
      `BLOCK_UNKNOWN ${CALIBRATION}: measured[0].draft.skip[0]`,
      `BLOCK_DUPLICATE ${CALIBRATION}: measured[1].draft.skip[1]`,
    ]);
  });
});

describe("draft lengths and ranges", () => {
  test.each([0, 17, 2.5, -1])("d of %s", (d) => {
    space.edit(PLAN, (plan) => {
      speculating(plan).segment.draft_tokens = d;
    });
    const found = space.check([PLAN]);
    expect(codesOf(found)).toEqual(["DRAFT_TOKENS_INVALID"]);
    expect(found[0].where).toMatch(/^segments\[\d+\]\.draft_tokens$/);
    expect(found[0].message).toMatch(/^line \d+: /);
  });

  /** Cuts the first segment in two, then moves the cut. */
  const cut = (firstEnd: number, secondBegin: number) =>
    space.edit(PLAN, (plan) => {
      const [first, ...rest] = plan.segments;
      const { from, to } = first.context_tokens;
      const second = { ...first, context_tokens: { from: from + secondBegin, to } };
      plan.segments = [{ ...first, context_tokens: { from, to: from + firstEnd } }, second, ...rest];
    });

  test("overlapping ranges", () => {
    cut(20, 10);
    expect(placesOf(space.check([PLAN]))).toEqual([`RANGES_OVERLAP ${PLAN}: segments[1].context_tokens.from`]);
  });

  test("gapped ranges", () => {
    cut(10, 20);
    const found = space.check([PLAN]);
    expect(placesOf(found)).toEqual([`RANGES_GAP ${PLAN}: segments[1].context_tokens.from`]);
    expect(found[0].message).toMatch(/line \d+: gap: tokens 10 to 20/);
  });

  test("a plan that does not begin at 0", () => {
    space.edit(PLAN, ({ segments }) => {
      segments[0].context_tokens.from = 5;
    });
    expect(codesOf(space.check([PLAN]))).toEqual(["RANGES_GAP"]);
  });

  test("an empty range is no valid document", () => {
    space.edit(PLAN, ({ segments }) => {
      segments[0].context_tokens.to = segments[0].context_tokens.from;
    });
    expect(codesOf(space.check([PLAN]))).toEqual(expect.arrayContaining(["DOCUMENT_INVALID"]));
  });
});

describe("predicted figures", () => {
  const change = (edit: (predicted: Predicted) => void, consistent = false) => {
    space.edit(PLAN, (plan) => {
      const { segment } = speculating(plan);
      edit(segment.predicted);
      if (consistent) settle(segment);
    });
    return space.check([PLAN]);
  };
  const where = (key: string) => `segments[${speculating(planOf()).index}].predicted.${key}`;

  test.each(["accepted_length", "acceptance", "tokens_per_second", "speedup"] as const)(
    "%s off by one in a thousand does not follow from the others",
    (key) => {
      const found = change((predicted) => {
        predicted[key] *= 0.999;
      });
      expect(placesOf(found)).toContain(`PREDICTED_INCONSISTENT ${PLAN}: ${where(key)}`);
    },
  );

  test.each(["draft_us", "verify_us", "round_us", "target_step_us"] as const)(
    "%s changed, and all that follows from it: the inputs do not give it",
    (key) => {
      const found = change((predicted) => {
        predicted[key] *= 0.9;
      }, true);
      expect(codesOf(found)).toEqual(["PREDICTED_DIFFERS"]);
      expect(found[0].message).toContain(key);
    },
  );

  test("an acceptance curve better than the one measured", () => {
    const found = change((predicted) => {
      predicted.acceptance_curve = predicted.acceptance_curve.map(() => 1);
    }, true);
    expect(codesOf(found)).toEqual(["PREDICTED_DIFFERS"]);
    expect(found[0].message).toContain("acceptance_curve");
  });

  test("better evidence than there is", () => {
    const found = change((predicted) => {
      predicted.evidence = predicted.evidence === "surrogate" ? "report" : "surrogate";
    });
    expect(codesOf(found)).toEqual(["PREDICTED_DIFFERS"]);
  });

  test("a loss: by its own figures plain decoding is faster", () => {
    const lossy = change((predicted) => {
      predicted.acceptance_curve = predicted.acceptance_curve.map((_, i) => (i === 0 ? 1 : 0.01));
    }, true);
    expect(placesOf(lossy)).toContain(`PREDICTED_LOSS ${PLAN}: ${where("speedup")}`);
    expect(lossy.find(({ code }) => code === "PREDICTED_LOSS")?.severity).toBe("error");
    // at a context further on alone, and not for rounding
    for (const [speedup, found] of [
      [0.97, true],
      [0.99995, false],
    ] as const) {
      const along = change((predicted) => {
        const { at_context, tokens_per_second } = predicted;
        predicted.speedup = 1.2;
        predicted.along = [at_context, at_context + 1].map((context_tokens, i) => ({
          ...{ context_tokens, tokens_per_second },
          speedup: i === 0 ? 1.1 : speedup,
        }));
      });
      expect(placesOf(along).includes(`PREDICTED_LOSS ${PLAN}: ${where("along[1].speedup")}`)).toBe(found);
    }
  });

  test("a curve of another length than the draft", () => {
    const found = change((predicted) => {
      predicted.acceptance_curve.pop();
    });
    expect(placesOf(found)).toContain(`PREDICTED_INCONSISTENT ${PLAN}: ${where("acceptance_curve")}`);
  });

  test("a context outside its segment", () => {
    const found = change((predicted) => {
      predicted.at_context = 1_000_000;
    });
    expect(placesOf(found)).toContain(`PREDICTED_INCONSISTENT ${PLAN}: ${where("at_context")}`);
  });

  test("the parts are held against each other where the inputs are missing as well", () => {
    rmSync(space.path("profiles"), { recursive: true });
    const found = change((predicted) => {
      predicted.speedup *= 2;
    });
    expect(codesOf(found)).toEqual(["INPUT_UNAVAILABLE", "PREDICTED_INCONSISTENT"]);
  });

  test("rounding to six digits is no fault, nor is a last digit that another processor computes", () => {
    const found = change((predicted) => {
      for (const key of ["draft_us", "speedup", "acceptance"] as const)
        predicted[key] = Number((predicted[key] * (1 + 5e-6)).toPrecision(6));
    });
    expect(found).toEqual([]);
  });
});

describe("a text that is no document", () => {
  test.each([
    ["a broken line", (text: string) => text.replace("segments:", "segments: ["), "DOCUMENT_SYNTAX"],
    ["an unknown kind", (text: string) => text.replace("draftplan/plan", "draftplan/plane"), "DOCUMENT_KIND"],
    ["another version", (text: string) => text.replace("version: 1", "version: 7"), "DOCUMENT_VERSION"],
    ["an unknown key", (text: string) => `${text}extra: 1\n`, "DOCUMENT_INVALID"],
  ])("%s", (_name, change, code) => {
    space.write(PLAN, change(space.read(PLAN)));
    expect(space.check([PLAN])).toMatchObject([{ code, severity: "error", file: PLAN }]);
    const broken = space.check(["plans"]).filter(({ file }) => file === PLAN);
    expect(codesOf(broken)).toEqual([code]);
  });

  test("every fault is named with its line, not the first alone", () => {
    const broken = space.read(PLAN).replaceAll("speculate: true", "speculate: yes").replace("kind:", "extra: 1\nkind:");
    space.write(PLAN, broken);
    const found = space.check([PLAN]);
    expect(found.length).toBeGreaterThan(1);
    for (const { message } of found) {
      const line = Number(/^line (\d+): /.exec(message)?.[1]);
      expect(broken.split("\n")[line - 1]).toMatch(/speculate|extra|kind/);
    }
  });
});

describe("a profile that is out of all proportion", () => {
  test("without any point", () => {
    space.edit(PROFILE, (profile) => {
      profile.points = [];
    });
    expect(codesOf(space.check([PROFILE]))).toEqual(["DOCUMENT_INVALID"]);
  });

  test("with a grid of a hundred million places", () => {
    space.edit(PROFILE, ({ grid }) => {
      grid.context_tokens = Array.from({ length: 10_000 }, (_, i) => i);
      grid.query_tokens = Array.from({ length: 10_000 }, (_, i) => i + 1);
    });
    expect(placesOf(space.check([PROFILE]))).toContain(`DOCUMENT_INVALID ${PROFILE}: grid`);
  });
});

test("contexts of a calibration rise, and drafts were measured at them", () => {
  space.edit(CALIBRATION, ({ contexts, measured }) => {
    contexts.reverse();
    measured[0].at_context = 7;
  });
  expect(codesOf(space.check([CALIBRATION]))).toEqual(["DOCUMENT_INCONSISTENT"]);
  const twice = workspace(ONE_OF_EACH);
  twice.edit(CALIBRATION, ({ contexts, measured }) => {
    contexts[1].at_context = contexts[0].at_context;
    for (const draft of measured) draft.at_context = contexts[0].at_context;
  });
  expect(placesOf(twice.check([CALIBRATION]))).toContain(
    `DOCUMENT_INCONSISTENT ${CALIBRATION}: contexts[1].at_context`,
  );
});
