import { describe, expect, test } from "vitest";
import { checkDocuments } from "../../src/check/check.js";
import { consistencyFindings } from "../../src/check/consistency.js";
import { type Opened, toChecked } from "../../src/check/documents.js";
import type { ModelFacts } from "../../src/check/model.js";
import { solver } from "../../src/pipeline/check/solver.js";
import type { Comparison } from "../../src/schema/comparison.js";
import { type AnyDocument, parseDocument, sha256, stringifyDocument } from "../../src/schema/document.js";
import { calibration, comparison, profile } from "../support/example-documents.js";

const checked = (document: AnyDocument, file: string) => toChecked(file, document, sha256(stringifyDocument(document)));
const findings = (document: Comparison) =>
  consistencyFindings(checked(document, "c.yaml")).map(({ code, where }) => `${code} ${where}`);

/** What an edited document is found to be; it must still be a valid one. */
function edited(change: (document: Comparison) => void): string[] {
  const document = comparison();
  change(document);
  parseDocument(stringifyDocument(document), "c.yaml");
  return findings(document);
}
const rows = (document: Comparison) => document.contexts[0].rows;

describe("a comparison by itself", () => {
  test("has no finding as it was written", () => {
    expect(findings(comparison())).toEqual([]);
  });

  const wrong = (where: string) => [`COMPARISON_INCONSISTENT ${where}`];
  const row = (i: number, key: string) => wrong(`contexts[0].rows[${i}].${key}`);
  test.each<[string, (document: Comparison) => void, string[]]>([
    [
      "a speed that its runs do not give",
      (d) => {
        Object.assign(rows(d)[2].measured.tokens_per_second, { median: 82 });
      },
      row(2, "measured.tokens_per_second.median"),
    ],
    [
      "a speedup that pairs do not give",
      (d) => {
        Object.assign(rows(d)[2].measured.speedup, { median: 1.65 });
      },
      row(2, "measured.speedup.median"),
    ],
    [
      "a ratio to the baseline that pairs do not give",
      (d) => {
        Object.assign(rows(d)[2].measured.baseline_speed_ratio, { median: 1.21 });
      },
      row(2, "measured.baseline_speed_ratio.median"),
    ],
    [
      "an estimate outside its own interval",
      (d) => {
        rows(d)[2].measured.speedup.high = 1.55;
      },
      row(2, "measured.speedup"),
    ],
    [
      "a predicted speedup that is not over the plain step",
      (d) => {
        if (rows(d)[0].predicted) Object.assign(rows(d)[0].predicted as object, { speedup: 2.2 });
      },
      row(0, "predicted.speedup"),
    ],
    [
      "an error that is not the prediction's",
      (d) => {
        rows(d)[0].prediction_error_percent = 4;
      },
      row(0, "prediction_error_percent"),
    ],
    [
      "an error without a prediction",
      (d) => {
        rows(d)[2].prediction_error_percent = 1;
      },
      row(2, "prediction_error_percent"),
    ],
    [
      "a run too few",
      (d) => {
        rows(d)[2].us_per_token[0].pop();
      },
      row(2, "us_per_token"),
    ],
    [
      "runs said to be another's that are not",
      (d) => {
        rows(d)[2].same_draft_as = "knapsack";
      },
      row(2, "same_draft_as"),
    ],
    [
      "a draft longer than what was profiled",
      (d) => {
        rows(d)[0].draft_tokens = 4;
      },
      row(0, "draft_tokens"),
    ],
    [
      "a method that nobody compared",
      (d) => {
        rows(d)[2].method = "other";
      },
      ["COMPARISON_INCONSISTENT contexts[0].rows", "COMPARISON_INCONSISTENT contexts[0].rows[2].method"],
    ],
    [
      "a choice that was not allowed",
      (d) => {
        d.methods[2].choices.push("int4");
      },
      wrong("methods[2].choices"),
    ],
    [
      "a method named twice",
      (d) => {
        d.methods.push({ ...d.methods[2] });
      },
      wrong("methods[3].method"),
    ],
    [
      "contexts that do not rise",
      (d) => {
        d.contexts.push(structuredClone(d.contexts[0]));
      },
      wrong("contexts[1].context_tokens"),
    ],
    [
      "a verdict that the rows do not have",
      (d) => {
        d.lossless = false;
      },
      wrong("lossless"),
    ],
    [
      "a block that the model does not have",
      (d) => {
        rows(d)[0].draft?.skip.push("7.attn");
      },
      ["BLOCK_UNKNOWN contexts[0].rows[0].draft.skip[1]"],
    ],
    [
      "an output that was not the target's own",
      (d) => {
        d.lossless = false;
        rows(d)[2].lossless = false;
      },
      ["NOT_LOSSLESS contexts[0].rows[2].lossless"],
    ],
  ])("with %s is found out", (_what, change, expected) => {
    expect(edited(change)).toEqual(expected);
  });

  test("a baseline that is none of the methods is found out", () => {
    expect(
      edited((d) => {
        d.baseline = "other";
      }),
    ).toEqual(["COMPARISON_INCONSISTENT baseline"]);
  });

  test("speeds of rows with ties are not held against the target's lengths", () => {
    expect(
      edited((d) => {
        rows(d)[2].ties = 1;
        Object.assign(rows(d)[2].measured.tokens_per_second, { median: 82 });
      }),
    ).toEqual([]);
  });
});

describe("a comparison and what it names", () => {
  const [p, c] = [checked(profile(), "p.yaml"), checked(calibration(), "c.yaml")];
  const inputs = { profile: { path: "p.yaml", sha256: p.sha256 }, calibration: { path: "c.yaml", sha256: c.sha256 } };
  const known = new Map<string, Opened>([p, c].map((one) => [one.file, { state: "read", checked: one }]));
  const found = (document: Comparison, files = known, model: ModelFacts | null = null) =>
    checkDocuments({
      documents: [checked(document, "compared.yaml")],
      open: (path) => files.get(path) ?? { state: "missing", file: path },
      solver,
      model,
    }).map(({ code, where }) => `${code} ${where}`);

  test("belong together", () => {
    expect(found({ ...comparison(), inputs })).toEqual([]);
  });

  test("are told apart where an input is gone, is another kind, or has changed", () => {
    const gone = { ...inputs, profile: { ...inputs.profile, path: "gone.yaml" } };
    expect(found({ ...comparison(), inputs: gone })).toEqual(["INPUT_UNAVAILABLE inputs.profile.path"]);
    const swapped = { profile: inputs.calibration, calibration: inputs.profile };
    expect(found({ ...comparison(), inputs: swapped })).toEqual([
      "INPUT_KIND inputs.profile.path",
      "INPUT_KIND inputs.calibration.path",
    ]);
    const changed = { ...inputs, calibration: { ...inputs.calibration, sha256: "c".repeat(64) } };
    expect(found({ ...comparison(), inputs: changed })).toEqual(["INPUT_CHANGED inputs.calibration.sha256"]);
  });

  test("are of one model and one tokenizer", () => {
    const other = { ...comparison().model, weights_sha256: "d".repeat(64) };
    expect(found({ ...comparison(), inputs, model: other })).toEqual(["MODEL_DIFFERS model.weights_sha256"]);
    const facts: ModelFacts = {
      ...comparison().model,
      source: "given",
      weights_sha256: comparison().model.weights_sha256 as string,
      tokenizer_sha256: "e".repeat(64),
    };
    expect(found({ ...comparison(), inputs }, known, facts)).toEqual(["TOKENIZER_DIFFERS tokenizer_sha256"]);
  });
});
