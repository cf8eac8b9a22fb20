/**
 * Mutated documents of every kind: always findings or none, never anything else. DRAFTPLAN_FUZZ=10000 runs as many of each
 * kind as are promised; a hundred and twenty are run every time, and more with the long tests.
 */
import { beforeAll, describe, expect, test } from "vitest";
import { compareWithBaseline, type Side, sidesOf } from "../../src/check/baseline.js";
import { checkDocuments } from "../../src/check/check.js";
import { type Opened, toChecked } from "../../src/check/documents.js";
import { FINDING_CODES, type Finding } from "../../src/check/findings.js";
import { invalidDocumentFindings } from "../../src/check/invalid-document.js";
import type { Solver } from "../../src/check/solver.js";
import { DraftplanError } from "../../src/core/errors.js";
import { solver } from "../../src/pipeline/check/solver.js";
import { buildVerification } from "../../src/pipeline/verify/document.js";
import { parseDocument, sha256, stringifyDocument } from "../../src/schema/document.js";
import type { Plan, Segment } from "../../src/schema/plan.js";
import { planDocument } from "../../src/solve/index.js";
import { makeCalibration, makeProfile } from "../support/documents.js";
import { comparison } from "../support/example-documents.js";
import { trials } from "../support/long.js";
import { digest, fake, promptsOf } from "../verify/support.js";
import { mutated } from "./mutations.js";
import { codesOf } from "./support.js";

const CASES = Number(process.env.DRAFTPLAN_FUZZ ?? trials(60, 1000));
const MIB = 1 << 20;
const MAX_GROWTH_BYTES = 200 * MIB;
/** a case takes milliseconds, and ten thousand with solving some minutes */
const TIMEOUT_MS = 300_000 + 60 * CASES;

const NAMES = ["plan.yaml", "profile.yaml", "calibration.yaml", "verification.yaml", "comparison.yaml"] as const;
type Name = (typeof NAMES)[number];
let texts: Record<Name, string>;
let baseline: Side;

beforeAll(async () => {
  const model = { name: "fake", layers: 3, architecture_sha256: digest, weights_sha256: digest };
  const draft = { default: "int8", head: "int8", skip: ["1.attn"], choices: {} } as const;
  const measured = (["choose", "report"] as const).map((part) => ({
    ...{ at_context: 128, part, tokens: 100, curve: [1, 0.95, 0.9, 0.8, 0.7] },
    draft: { ...draft, skip: [...draft.skip], choices: {} },
  }));
  const profile = { ...makeProfile(), model };
  const calibration = { ...makeCalibration([128], measured), model };
  const input = (document: typeof profile | typeof calibration, path: Name) => ({
    path,
    sha256: sha256(stringifyDocument(document)),
  });
  const inputs = { profile: input(profile, "profile.yaml"), calibration: input(calibration, "calibration.yaml") };
  const plan: Plan = planDocument({ profile, calibration, choices: ["int8", "skip"] }, inputs);
  const { engine, clock } = fake(0.2);
  const verification = await buildVerification({
    ...{
      loaded: { engine, ref: model },
      plan,
      planRef: { path: "plan.yaml", sha256: sha256(stringifyDocument(plan)) },
    },
    ...{
      prompts: promptsOf(9, 70, 20, 33),
      device: profile.device,
      alternatives: true,
      maxTokens: 20,
      pairs: 2,
      clock,
    },
  });
  const compared = { ...comparison(), model, inputs };
  const documents = { plan, profile, calibration, verification, comparison: compared };
  texts = Object.fromEntries(
    Object.entries(documents).map(([name, document]) => [`${name}.yaml`, stringifyDocument(document)]),
  ) as Record<Name, string>;
  [baseline] = sidesOf(
    [...opened(texts).values()].flatMap((one) => (one.state === "read" ? one.checked : [])),
    openIn(opened(texts)),
  );
});

/** What was read of texts that stay as they are, case after case. */
const known = new Map<string, Opened>();

function opened(all: Record<Name, string>): Map<string, Opened> {
  return new Map(
    NAMES.map((file): [string, Opened] => {
      const one = known.get(all[file]) ?? openText(file, all[file]);
      if (texts[file] === all[file]) known.set(all[file], one);
      return [file, one];
    }),
  );
}

function openText(file: string, text: string): Opened {
  try {
    return { state: "read", checked: toChecked(file, parseDocument(text, file), sha256(text)) };
  } catch (error) {
    if (!(error instanceof DraftplanError)) throw error;
    return { state: "faulty", file, findings: invalidDocumentFindings(file, error) };
  }
}

/** The solver, asked once for inputs that stay as they are. */
const solutions = new WeakMap<object, Map<string, Segment[]>>();
const remembered: Solver = {
  ...solver,
  solve(profile, calibration, by) {
    const isKnown = [profile, calibration].every((document) => isUnchanged(document));
    if (!isKnown) return solver.solve(profile, calibration, by);
    const of = solutions.get(profile) ?? new Map<string, Segment[]>();
    solutions.set(profile, of);
    const key = JSON.stringify(by);
    const solved = of.get(key) ?? solver.solve(profile, calibration, by);
    of.set(key, solved);
    return solved;
  },
};
const isUnchanged = (document: object): boolean =>
  [...known.values()].some((one) => one.state === "read" && one.checked.document === document);

const openIn =
  (files: Map<string, Opened>) =>
  (path: string): Opened =>
    files.get(path) ?? { state: "missing", file: path };

/** Everything a check without a model does. */
function check(all: Record<Name, string>): Finding[] {
  const files = opened(all);
  const documents = [...files.values()].flatMap((one) => (one.state === "read" ? one.checked : []));
  const faults = [...files.values()].flatMap((one) => (one.state === "faulty" ? one.findings : []));
  const open = openIn(files);
  const compared = compareWithBaseline(sidesOf(documents, open), baseline, 0.05);
  return [...faults, ...checkDocuments({ documents, open, solver: remembered, model: null }), ...compared.findings];
}

test("the documents that are mutated have no finding", () => {
  expect(check(texts)).toEqual([]);
  expect((parseDocument(texts["plan.yaml"], "plan") as Plan).segments.some(({ speculate }) => speculate)).toBe(true);
});

describe.each(NAMES)(`${CASES} mutations of %s`, (name) => {
  test("end in findings or none, and take no more memory than is promised", { timeout: TIMEOUT_MS }, () => {
    const seen = new Set<string>();
    const before = process.memoryUsage().rss;
    let [most, findings] = [before, 0];
    for (let seed = 0; seed < CASES; seed++) {
      const found = withSeed(seed, () => check({ ...texts, [name]: mutated(texts[name], seed) }));
      for (const code of codesOf(found)) seen.add(code);
      findings += found.length > 0 ? 1 : 0;
      if (seed % 20 === 0) most = Math.max(most, process.memoryUsage().rss);
      for (const { code, severity, message } of found) {
        if (FINDING_CODES[code] !== severity || message === "")
          throw new Error(`seed ${seed}: ${code} ${severity} '${message}'`);
      }
    }
    expect(most - before).toBeLessThan(MAX_GROWTH_BYTES);
    // most mutations are seen, and by different checks: the ones that are not change a name, a date or a comment
    expect(findings / CASES).toBeGreaterThan(0.6);
    expect(seen.size).toBeGreaterThan(4);
  });
});

/** A failure says which mutation it was. */
function withSeed<T>(seed: number, run: () => T): T {
  try {
    return run();
  } catch (cause) {
    throw new Error(`seed ${seed}: ${String(cause)}`, { cause });
  }
}
