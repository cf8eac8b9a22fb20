/** The arms of one range of contexts, and which of them the plan has. */
import type { AdaptiveRange } from "../../decode/adaptive/adaptation.js";
import type { AdaptiveDraft, Arm } from "../../decode/adaptive/arms.js";
import type { Calibration } from "../../schema/calibration.js";
import { type ChoiceSet, choiceKey, expandDraft } from "../../schema/choice.js";
import { isStandalone } from "../../schema/draft-cache.js";
import type { Segment } from "../../schema/plan.js";
import {
  type ContextData,
  curveFromRate,
  drafterKey,
  expectedRate,
  fitCorrection,
  mainOf,
  modelOf,
  type PlannedDraft,
  type Problem,
  type SingleDrafter,
  surrogateLoss,
  treesOf,
} from "../../solve/index.js";
import { type Beside, type DrafterShelf, hybridArm, hybridKey, lookupArm, singleArm } from "./adaptive-arms.js";
import { type Evidence, evidenceOf, pooled } from "./adaptive-evidence.js";

/** Tokens that a curve counts for where it was not measured at this context. */
const UNMEASURED_TOKENS = 30;
/** Chance of a token of a drafter that nothing is known of but that a plan has it. */
const UNMEASURED_RATE = 0.7;
/** Lookups that are tried beside the plan's own: behind two tokens, which may match by accident, and behind four. */
const LEAST_MATCHES = [2, 4];
const MAX_NGRAM = 8;
/** Tokens that a lookup drafts in front of another drafter. */
const LOOKUP_TOKENS = [4, 10];
/** Drafters, the fastest by the calibration, that a lookup is tried in front of. */
const MOST_OTHERS = 2;
/** Trees of heads that are tried have about so many nodes. */
const TREE_NODES = [4, 8, 16, 32];

interface Single {
  drafter: SingleDrafter;
  evidence: Evidence;
}

/** What the arms of a range are made from. */
export interface RangeSource {
  problem: Problem;
  calibration: Calibration;
  context: ContextData;
  segment: Segment;
  planned: PlannedDraft | null;
  shelf: DrafterShelf;
}

export function rangeOf(source: RangeSource): AdaptiveRange {
  const { problem, context, segment, planned, shelf } = source;
  const to = Math.min(segment.context_tokens.to, context.to);
  const middle = Math.min(problem.latency.contextTokens.to, Math.max(segment.context_tokens.from, context.from));
  const longest = Math.max(problem.maxDraft, planned?.draftTokens ?? 0);
  const main = singleOf(planned);
  const singles = singlesAt(source, main).flatMap(({ drafter, evidence }) => {
    const running = shelf.single(drafter);
    return running === null ? [] : [{ drafter, arm: singleArm(drafter, running, evidence, longest) }];
  });
  const mainArm =
    main === null ? null : (singles.find(({ drafter }) => drafterKey(drafter) === drafterKey(main))?.arm ?? null);
  const isSelf = ({ drafter }: { drafter: SingleDrafter }) => drafter.kind === "self";
  const own = singles.filter(isSelf).map(({ arm }) => arm);
  const others = singles.filter((one) => !isSelf(one)).map(({ arm }) => arm);
  const alone = [...worthRunning(problem, own, middle, mainArm), ...others];
  const drafts = [...alone, ...lookups(source, longest), ...hybrids(source, { alone, mainArm, middle }, longest)];
  return { to, drafts, planned: plannedArm(source, drafts, mainArm) };
}

/** The plan's drafter, or the one beside its lookup; null: there is none, or a lookup alone. */
function singleOf(planned: PlannedDraft | null): SingleDrafter | null {
  const main = planned === null ? null : mainOf(planned.drafter);
  if (main?.kind === "lookup") return null;
  // lengths change from round to round there, and siblings are planned for one
  return main?.kind === "self" ? { ...main, siblings: 0 } : main;
}

function plannedArm(
  { planned, shelf }: RangeSource,
  drafts: readonly AdaptiveDraft[],
  mainArm: AdaptiveDraft | null,
): Arm | null {
  if (planned === null) return null;
  const { drafter, draftTokens } = planned;
  const key =
    drafter.kind === "lookup"
      ? shelf.lookup(drafter.ngramTokens).key
      : drafter.kind === "hybrid"
        ? hybridKey(drafter, mainArm?.key ?? "")
        : mainArm?.key;
  const draft = drafts.find((one) => one.key === key);
  return draft === undefined ? null : { draft, draftTokens };
}

/** Drafters without a lookup that are known here, and the plan's. */
function singlesAt(source: RangeSource, main: SingleDrafter | null): Single[] {
  const { problem, context, segment } = source;
  const { models, heads, maxDraft, drafters, latency } = problem;
  const candidates = [
    ...(drafters.includes("model") || drafters.includes("hybrid")
      ? models.map((one) => [modelOf(one), maxDraft] as const)
      : []),
    ...heads.flatMap((one) => {
      const text = context.heads.get(one.sha256)?.choose;
      if (text === undefined) return [];
      const deepest = treesOf(one, text.counted, latency.maxTreeNodes, maxDraft).at(-1) ?? [];
      const wanted = TREE_NODES.flatMap((nodes) => deepest.find(({ tree }) => tree.length >= nodes) ?? []);
      return wanted.map((tree) => [tree, tree.rows.length] as const);
    }),
  ];
  const found = new Map<string, Single>(measuredAt(source).map((one) => [drafterKey(one.drafter), one]));
  for (const [drafter, draftTokens] of candidates) {
    const evidence = evidenceOf(context, { drafter, draftTokens });
    if (evidence !== null) found.set(drafterKey(drafter), { drafter, evidence });
  }
  if (main !== null && !found.has(drafterKey(main)))
    found.set(drafterKey(main), { drafter: main, evidence: plannedEvidence(problem, context, segment, main) });
  return [...found.values()];
}

/** Every draft of own blocks measured at a context; where it was both chosen on and reported, both are evidence. */
function measuredAt({ problem, calibration, context }: RangeSource): Single[] {
  const usable = new Set(context.measured.map(({ key }) => key));
  const found = new Map<string, Evidence & { set: ChoiceSet }>();
  if (!problem.drafters.includes("self")) return [];
  calibration.measured.forEach((record, i) => {
    const { at_context, draft, curve, tokens } = record;
    if (at_context !== context.losses.at_context || isStandalone(record)) return;
    const set = expandDraft(draft, problem.layers, `calibration: measured[${i}].draft`);
    const key = choiceKey(set);
    if (!usable.has(key) || curve.length < 2 || !differs(set)) return;
    const known = found.get(key);
    found.set(key, { set, ...(known === undefined ? { curve, tokens } : pooled(known, { curve, tokens })) });
  });
  return [...found.values()].map(({ set, ...evidence }) => ({ drafter: { kind: "self", set, siblings: 0 }, evidence }));
}

/** A draft that is the target itself gains nothing, and would be judged by latencies' noise alone. */
const differs = ({ blocks, head }: ChoiceSet): boolean => head !== "target" || blocks.some((c) => c !== "target");

/** What the text here says of the plan's drafter, else the plan's own curve, or, of own blocks, the surrogate's. */
function plannedEvidence(
  problem: Problem,
  context: ContextData,
  { predicted, drafter: ref, draft_tokens: draftTokens = 1 }: Segment,
  drafter: SingleDrafter,
): Evidence {
  const known = drafter.kind === "self" ? null : evidenceOf(context, { drafter, draftTokens });
  if (known !== null) return known;
  // beside a lookup the prediction is of both
  if (predicted !== undefined && predicted.acceptance_curve.length > 1 && ref?.kind !== "hybrid")
    return { curve: predicted.acceptance_curve, tokens: UNMEASURED_TOKENS };
  const rate =
    drafter.kind === "self"
      ? expectedRate(fitCorrection(context), surrogateLoss(context.losses, drafter.set))
      : UNMEASURED_RATE;
  return { curve: curveFromRate(rate, problem.maxDraft), tokens: UNMEASURED_TOKENS };
}

const totalHazard = ({ hazards }: AdaptiveDraft) => hazards.reduce((sum, h) => sum + h, 0);

/** Drafts that no other beats in both time and acceptance, and the plan's own. */
function worthRunning(
  problem: Problem,
  drafts: readonly AdaptiveDraft[],
  contextTokens: number,
  planned: AdaptiveDraft | null,
): AdaptiveDraft[] {
  const byTime = drafts
    .map((draft) => ({ draft, us: draft.drafter.costUs(problem.latency, contextTokens, 1), loss: totalHazard(draft) }))
    .sort((a, b) => a.us - b.us || a.loss - b.loss);
  let least = Number.POSITIVE_INFINITY;
  const kept: AdaptiveDraft[] = [];
  for (const { draft, loss } of byTime) {
    if (loss < least || draft === planned) kept.push(draft);
    least = Math.min(least, loss);
  }
  return kept;
}

const looks = ({ drafters }: Problem): boolean => drafters.includes("lookup") || drafters.includes("hybrid");

function lookups({ problem, context, planned, shelf }: RangeSource, longest: number): AdaptiveDraft[] {
  if (!looks(problem)) return [];
  const own = planned?.drafter.kind === "lookup" ? [planned.drafter.ngramTokens] : [];
  const tried = LEAST_MATCHES.map((min) => ({ min, max: MAX_NGRAM }));
  return onceEach([...own, ...tried].map((ngramTokens) => lookupArm(context, ngramTokens, shelf, longest)));
}

/** A lookup in front of the fastest others, and of the plan's. */
function hybrids(
  { problem, context, planned, shelf }: RangeSource,
  { alone, mainArm, middle }: { alone: readonly AdaptiveDraft[]; mainArm: AdaptiveDraft | null; middle: number },
  longest: number,
): AdaptiveDraft[] {
  const own =
    planned?.drafter.kind === "hybrid" && mainArm !== null
      ? [hybridArm(context, mainArm, planned.drafter, shelf, longest)]
      : [];
  if (!looks(problem)) return own;
  const others = [...alone]
    .sort((a, b) => fastest(problem, a, middle) - fastest(problem, b, middle))
    .slice(0, MOST_OTHERS);
  const tried = LEAST_MATCHES.flatMap((minMatch) =>
    LOOKUP_TOKENS.filter((tokens) => tokens <= longest).map(
      (lookupTokens): Beside => ({ minMatch, lookupTokens, ngramTokens: { min: 1, max: MAX_NGRAM } }),
    ),
  );
  const arms = new Set([...others, ...(mainArm === null ? [] : [mainArm])]);
  return onceEach([
    ...own,
    ...[...arms].flatMap((other) => tried.map((beside) => hybridArm(context, other, beside, shelf, longest))),
  ]);
}

/** Least time a token on the calibration text, over all lengths. */
function fastest({ latency }: Problem, { hazards, drafter, verifyUs }: AdaptiveDraft, n: number): number {
  let [survival, tokens, best] = [1, 1, Number.POSITIVE_INFINITY];
  hazards.forEach((hazard, i) => {
    survival *= Math.exp(-hazard);
    tokens += survival;
    const most = Math.min(i + 1, latency.maxDraftTokens);
    const verified = verifyUs?.(latency, n, i + 1) ?? latency.verifyUs(n, most);
    best = Math.min(best, (drafter.costUs(latency, n, i + 1) + verified + latency.roundUs) / tokens);
  });
  return best;
}

function onceEach(drafts: readonly AdaptiveDraft[]): AdaptiveDraft[] {
  return [...new Map([...drafts].reverse().map((draft) => [draft.key, draft])).values()].reverse();
}
