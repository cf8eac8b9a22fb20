/** The methods that `compare` runs: each proposes drafts, they are measured, and a plan is derived from them alone. */
import { ROUND_TOKENS } from "../../calibrate/calibrate.js";
import { measureDrafts } from "../../calibrate/whole-drafts.js";
import { DraftplanError } from "../../core/errors.js";
import { METHOD_NAMES, type MethodName } from "../../methods/names.js";
import type { Calibration } from "../../schema/calibration.js";
import {
  CHOICES,
  choiceKey,
  draftChoices,
  expandDraft,
  KERNEL_NAMES,
  type QuantisedKernel,
  quantisedKernels,
  uniformChoices,
} from "../../schema/choice.js";
import type { Plan } from "../../schema/plan.js";
import { type DrafterKind, planDocument } from "../../solve/index.js";
import type { DraftChoice } from "../choices.js";
import { measureChoosing } from "../measuring/candidates.js";
import { choosing, type Measuring } from "../measuring/measuring.js";
import { measureProposals } from "../measuring/proposals.js";
import type { DrafterRow } from "./drafters.js";

export interface MethodRequest {
  measuring: Measuring;
  /** what the method begins with; nothing that another method measured */
  calibration: Calibration;
  /** what drafts may do with a block */
  choices: readonly DraftChoice[];
  /** time for improving a draft, where a method does that */
  refineSeconds: number;
}

export interface SolvedMethod {
  plan: Plan;
  /** with what the method had measured */
  calibration: Calibration;
}

export interface ComparedMethod {
  name: string;
  /** of the choices given, those that its drafts make use of */
  choices(given: readonly DraftChoice[]): readonly DraftChoice[];
  solve(request: MethodRequest): Promise<SolvedMethod>;
}

const EVERY_CHOICE = draftChoices(CHOICES);

/** Plans are run, not written, so what their inputs will be called does not matter yet. */
const UNWRITTEN = {
  profile: { path: "profile", sha256: "0".repeat(64) },
  calibration: { path: "calibration", sha256: "0".repeat(64) },
};

/** All methods but `heads` are ways to choose among the model's own blocks. */
const OWN_BLOCKS = ["self"] as const;

const knapsack: ComparedMethod = {
  name: "knapsack",
  choices: (given) => given,
  async solve({ measuring, calibration, choices, refineSeconds }) {
    const grown = await measureChoosing({ ...measuring, variants: [choices] }, calibration, refineSeconds);
    return {
      calibration: grown,
      plan: planDocument({ profile: measuring.profile, calibration: grown, choices, drafters: OWN_BLOCKS }, UNWRITTEN),
    };
  },
};

/** What was measured on the text of choosing: on the other part plans are run. */
function onChosen({ heads, lookup, models, ...calibration }: Calibration): Calibration {
  const chosen = <One extends { contexts: { part: string }[] }>(one: One): One => ({
    ...one,
    contexts: one.contexts.filter(({ part }) => part === "choose"),
  });
  return {
    ...calibration,
    ...(heads === undefined ? {} : { heads: heads.map(chosen) }),
    ...(lookup === undefined ? {} : { lookup: chosen(lookup) }),
    ...(models === undefined ? {} : { models: models.map(chosen) }),
  };
}

/** Drafters that were measured: at each context the best settings of them, and no blocks of the model. Nothing is proposed. */
const drafting = (name: string, drafters: readonly DrafterKind[]): ComparedMethod => ({
  name,
  choices: () => [],
  async solve({ measuring: { profile }, calibration }) {
    const own = onChosen(calibration);
    return { calibration: own, plan: planDocument({ profile, calibration: own, choices: [], drafters }, UNWRITTEN) };
  },
});

/** The trained heads: their best tree at each context. */
const heads = drafting("heads", ["heads"]);

const ROWS: Record<DrafterRow, ComparedMethod> = {
  lookup: drafting("lookup", ["lookup"]),
  model: drafting("model", ["model"]),
  /** the best of all that have no row of blocks, and of a lookup in front of each */
  hybrid: drafting("hybrid", ["lookup", "model", "heads", "hybrid"]),
};

/** Plain decoding. */
const none: ComparedMethod = {
  name: "none",
  choices: () => [],
  async solve({ measuring: { profile }, calibration }) {
    return { calibration, plan: planDocument({ profile, calibration, choices: [] }, UNWRITTEN, "none") };
  },
};

/** One rule for the whole model: every block and the head in this kernel, at the best length for each context. */
const rule = (kernel: QuantisedKernel): ComparedMethod => ({
  name: kernel,
  choices: () => [kernel],
  async solve({ measuring, calibration }) {
    const set = uniformChoices(calibration.model.layers, kernel);
    const isOwn = ({ part, draft, draft_cache }: Calibration["measured"][number]) =>
      part === "choose" &&
      draft_cache === undefined &&
      choiceKey(expandDraft(draft, calibration.model.layers, "calibration")) === choiceKey(set);
    const known = calibration.measured.filter(isOwn);
    const found: Calibration["measured"] = [];
    for (const { at_context: at } of calibration.contexts) {
      if (known.some(({ at_context }) => at_context === at)) continue;
      const text = measuring.text.continuations.get(at) ?? [];
      const [curve] = await measureDrafts(measuring.model.engine, text, [set], ROUND_TOKENS, measuring.progress);
      found.push(choosing(at, set, curve));
    }
    const alone = { ...calibration, measured: [...known, ...found] };
    const own = { profile: measuring.profile, calibration: alone, choices: [kernel], drafters: OWN_BLOCKS };
    const plan = planDocument(own, UNWRITTEN);
    return {
      calibration: { ...calibration, measured: [...calibration.measured, ...found] },
      plan: { ...plan, method: kernel },
    };
  },
});

/** A method of src/methods: only what it proposes is measured, and planned with. */
const proposing = (name: MethodName): ComparedMethod => ({
  name,
  choices: () => ["skip"],
  async solve({ measuring, calibration }) {
    const own = await measureProposals(name, measuring, calibration);
    const plan = planDocument({ profile: measuring.profile, calibration: own, choices: ["skip"] }, UNWRITTEN, name);
    const { method: _, ...alone } = own;
    return { calibration: alone, plan };
  },
});

/** In the order of the table. */
function methodsFor(
  choices: readonly DraftChoice[],
  hasHeads: boolean,
  rows: readonly DrafterRow[] = [],
): ComparedMethod[] {
  const rules = quantisedKernels(KERNEL_NAMES).filter((kernel) => (choices as readonly string[]).includes(kernel));
  const others = choices.includes("skip") ? METHOD_NAMES.map(proposing) : [];
  const drafters = [...(hasHeads ? [heads] : []), ...rows.map((row) => ROWS[row])];
  return [knapsack, ...drafters, ...rules.map(rule), ...others, none];
}

/**
 * The methods asked for, or all of them; `none` is always there, since speedups are over plain decoding.
 * @param hasHeads whether trained heads are known: then they are a method
 * @param rows     other drafters that are to have a row, whatever methods are asked for
 * @throws OPTION_INVALID for a name that is no method
 */
export function comparedMethods(
  names: readonly string[] | undefined,
  choices: readonly DraftChoice[],
  hasHeads: boolean,
  rows: readonly DrafterRow[] = [],
): ComparedMethod[] {
  const all = methodsFor(choices, hasHeads, rows);
  if (names === undefined) return all;
  const unknown = names.find((name) => all.every((method) => method.name !== name));
  if (unknown !== undefined) throw unknownMethod(names, unknown, all);
  const asked = new Set<string>(["none", ...rows, ...names]);
  return all.filter(({ name }) => asked.has(name));
}

function unknownMethod(names: readonly string[], unknown: string, all: readonly ComparedMethod[]): DraftplanError {
  if (unknown === heads.name) return noHeads(names);
  const exists = methodsFor(EVERY_CHOICE, false).some(({ name }) => name === unknown);
  return new DraftplanError({
    code: "OPTION_INVALID",
    at: `--methods ${names.join(",")}`,
    what: exists ? `${unknown} needs a choice that --choices leaves out` : `'${unknown.slice(0, 40)}' is not a method`,
    remedy: `Use any of: ${all.map(({ name }) => name).join(",")}${exists ? "; or allow more with --choices" : ""}.`,
  });
}

const noHeads = (names: readonly string[]): DraftplanError =>
  new DraftplanError({
    code: "DRAFTER_UNAVAILABLE",
    at: `--methods ${names.join(",")}`,
    what: "no trained heads lie in the model's folder, or the documents given have not measured the same ones",
    remedy:
      "Measure them and give both documents: profile and calibrate with --drafters self,heads:FOLDER; or leave heads out.",
  });

/** What several methods had measured, in one document: each draft once. No method plans with it, as it is no one's. */
export function mergeMeasured(base: Calibration, others: readonly Calibration[]): Calibration {
  const key = ({ at_context, part, draft, draft_cache }: Calibration["measured"][number]) =>
    `${at_context}|${part}|${draft_cache ?? "target"}|${choiceKey(expandDraft(draft, base.model.layers, "calibration"))}`;
  const known = new Set(base.measured.map(key));
  const measured = [...base.measured];
  for (const record of others.flatMap((other) => other.measured)) {
    if (known.has(key(record))) continue;
    known.add(key(record));
    measured.push(record);
  }
  return { ...base, method: "compare", measured };
}
