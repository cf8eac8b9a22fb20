/** Lookups, other models, and a lookup beside either, in worlds where it is known what every round would accept. */
import { describe, expect, test } from "vitest";
import { consistencyFindings } from "../../../src/check/consistency.js";
import { Calibration } from "../../../src/schema/calibration.js";
import { type Branches, mainDrafter } from "../../../src/schema/drafter.js";
import { Plan, type Segment } from "../../../src/schema/plan.js";
import type { LookupBranch, LookupContext, ModelCalibration } from "../../../src/schema/text-calibration.js";
import { type DrafterKind, openProblem, planDocument, segmentsBy } from "../../../src/solve/index.js";
import { optionsAt } from "../../../src/solve/options.js";
import { draw, seeds } from "../instances.js";
import { AT, synthetic } from "../synthetic.js";

const CHOICES = ["int8", "skip"] as const;
const INPUTS = {
  profile: { path: "p.yaml", sha256: "1".repeat(64) },
  calibration: { path: "c.yaml", sha256: "2".repeat(64) },
};
const SMALL = { name: "small", weights_sha256: "a".repeat(64), path: "small", kernel: "int8" as const };
const MAX_NGRAM = 8;
const DRAFTED = 16;

interface World {
  /** share of positions where a copied stretch begins */
  copies: number;
  /** chance that the small model is right outside of copied stretches */
  hits: number;
}

interface Texts {
  matched: number[][];
  followed: number[][];
  hits: number[][];
  branches?: LookupBranch[][][];
}

/** Texts with copied stretches: inside of one ever more tokens match, and what follows is copied too. */
function textsOf(seed: number, { copies, hits }: World, count = 40, length = 60): Texts {
  const random = draw(seed);
  const texts: Texts = { matched: [], followed: [], hits: [] };
  for (let text = 0; text < count; text++) {
    const matched = new Array<number>(length).fill(0);
    const followed = new Array<number>(length).fill(0);
    for (let at = 0; at < length; ) {
      const stretch = random.float() < copies ? 4 + Math.floor(20 * random.float()) : 0;
      for (let i = 0; i < stretch && at + i < length; i++) {
        matched[at + i] = Math.min(MAX_NGRAM, 1 + i);
        followed[at + i] = Math.min(DRAFTED, stretch - i, length - at - i);
      }
      // now and then a token matches by chance, and nothing of what follows is right
      if (stretch === 0 && random.float() < 0.3) matched[at] = 1 + Math.floor(2 * random.float());
      at += Math.max(1, stretch);
    }
    texts.matched.push(matched);
    texts.followed.push(followed);
    texts.hits.push(matched.map(() => (random.float() < hits ? 1 : 0)));
  }
  return texts;
}

/** The same texts, where the most recent place is often wrong from the first token on, and a further one right. */
function branching(texts: Texts, seed: number): Texts {
  const random = draw(seed);
  const branches = texts.matched.map((matched, text) =>
    matched.map((tokens, at): LookupBranch[] => {
      const follows = texts.followed[text][at];
      if (tokens === 0) return [];
      if (random.float() < 0.4) return [[tokens, Math.min(2, follows), 0]]; // wrong beside what is as it was
      texts.followed[text][at] = 0;
      const wrong: LookupBranch = [tokens, 0, 0];
      const right: LookupBranch = [Math.min(tokens, 1 + Math.floor(tokens * random.float())), 0, follows];
      return random.float() < 0.5 ? [wrong, right] : [right];
    }),
  );
  return { ...texts, branches };
}

interface Case {
  choose: Texts;
  report?: Texts;
  stepUs?: number;
}

function input({ choose, report, stepUs }: Case, drafters?: readonly DrafterKind[]) {
  const { profile, calibration } = synthetic(1, 0);
  const parts = [["choose", choose] as const, ...(report === undefined ? [] : [["report", report] as const])];
  const at = (texts: Texts) => ({ at_context: AT, positions: texts.matched.flat().length });
  const contexts = parts.map(([part, texts]): LookupContext => {
    const { matched, followed, branches } = texts;
    return { ...at(texts), part, matched, followed, ...(branches === undefined ? {} : { branches }) };
  });
  const models: ModelCalibration[] = [
    { ...SMALL, contexts: parts.map(([part, texts]) => ({ ...at(texts), part, hits: texts.hits })) },
  ];
  const lookup = { max_ngram_tokens: MAX_NGRAM, draft_tokens: DRAFTED, contexts };
  const steps = [{ context_tokens: AT, us: stepUs ?? 1, passes: 8 }];
  return {
    profile: stepUs === undefined ? profile : { ...profile, models: [{ ...SMALL, steps }] },
    calibration: Calibration.parse({ ...calibration, lookup, ...(stepUs === undefined ? {} : { models }) }),
    choices: [...CHOICES],
    ...(drafters === undefined ? {} : { drafters }),
  };
}

const TAKES = { target: 150, int8: 60 };

const planOf = (given: ReturnType<typeof input>): Plan => {
  const plan = Plan.parse(planDocument(given, INPUTS));
  expect(consistencyFindings({ file: "plan.yaml", document: plan } as never)).toEqual([]);
  expect(segmentsBy("knapsack", given)).toEqual(plan.segments);
  return plan;
};
const kindsOf = ({ segments }: Plan) =>
  segments.map(({ speculate, drafter }) => (speculate ? (drafter?.kind ?? "self") : "none"));

/** Tokens per second of walking along the texts. @param other tokens of the model beside the lookup; 0: nobody's */
function walked(
  texts: Texts,
  { latency }: ReturnType<typeof openProblem>,
  { min, d, other, stepUs, places }: { min: number; d: number; other: number; stepUs: number; places?: Branches },
): number {
  let [us, tokens] = [0, 0];
  texts.matched.forEach((matched, text) => {
    for (let at = 0; at < matched.length; ) {
      let accepted = 0;
      if (matched[at] >= min) {
        accepted = Math.min(d, texts.followed[text][at]);
        let nodes = d;
        const further = places === undefined ? [] : (texts.branches?.[text][at].slice(0, places.count - 1) ?? []);
        for (const [tokens, shared, follows] of further.filter(([tokens]) => tokens >= min)) {
          const length = Math.min(d, places?.draft_tokens ?? 0);
          nodes += length > shared ? length - shared : 0;
          if (tokens >= min) accepted = Math.max(accepted, Math.min(length, follows));
        }
        us += (nodes > d ? latency.verifyTreeUs(AT, nodes) : latency.verifyUs(AT, d)) + latency.roundUs;
      } else if (other > 0) {
        while (accepted < other && texts.hits[text][at + accepted] === 1) accepted++;
        us += other * stepUs + latency.verifyUs(AT, other) + latency.roundUs;
      } else us += latency.stepUs(AT);
      tokens += accepted + 1;
      at += accepted + 1;
    }
  });
  return (1e6 * tokens) / us;
}

test.each(seeds(3).map((seed) => ({ seed })))(
  "the best lookup at a context is nearly the best of all by walking along the text: seed $seed",
  ({ seed }) => {
    const choose = textsOf(seed, { copies: 0.02 + 0.03 * seed, hits: 0 });
    const problem = openProblem(input({ choose }, ["lookup"]));
    const options = optionsAt(problem, AT);
    const best = options.reduce((a, b) => (b.tokensPerSecond > a.tokensPerSecond ? b : a));
    const speed = (min: number, d: number) => walked(choose, problem, { min, d, other: 0, stepUs: 0 });
    const all = [1, 2, 3, 4, 5, 6, 8].flatMap((min) =>
      Array.from({ length: problem.maxDraft }, (_, i) => speed(min, i + 1)),
    );
    const { drafter, draftTokens } = best;
    if (drafter.kind !== "lookup") throw new Error(drafter.kind);
    const own = speed(drafter.ngramTokens.min, draftTokens);
    // far positions lean on the pooled rate, which moves a speed by a few per cent and so hardly the choice
    expect(own).toBeGreaterThan(0.97 * Math.max(...all));
    expect(Math.abs(best.tokensPerSecond / own - 1)).toBeLessThan(0.06);
  },
);

describe("a lookup that goes on from several places", () => {
  const world = { copies: 0.15, hits: 0.2 };
  const texts = (seed: number) => branching(textsOf(seed, world), seed);
  /** @param timesChain of a tree's pass; undefined: trees were not timed */
  const given = (timesChain: number | undefined, kinds: readonly DrafterKind[] = ["lookup"]) => {
    const made = input({ choose: texts(1), report: texts(2) }, kinds);
    const { query_tokens, context_tokens } = made.profile.grid;
    const tree_passes = context_tokens.flatMap((n) =>
      query_tokens
        .filter((q) => q > 1)
        .map((q) => ({ context_tokens: n, query_tokens: q, times_chain: timesChain ?? 1, pairs: 9 })),
    );
    return timesChain === undefined ? made : { ...made, profile: { ...made.profile, tree_passes } };
  };
  const lookupOf = (plan: Plan) => {
    const segment = plan.segments.find(({ drafter }) => drafter?.kind === "lookup");
    if (segment?.drafter?.kind !== "lookup") throw new Error("no lookup is planned");
    return { segment, branches: segment.drafter.branches, min: segment.drafter.ngram_tokens.min };
  };

  test("is planned where it pays, and predicted to do what walking along the text kept back gives", () => {
    const inputs = given(1.02);
    const { segment, branches, min } = lookupOf(planOf(inputs));
    expect(branches?.count).toBeGreaterThanOrEqual(2);
    const problem = openProblem(inputs);
    const d = segment.draft_tokens as number;
    const own = { min, d, other: 0, stepUs: 0 };
    const speed = walked(texts(2), problem, branches === undefined ? own : { ...own, places: branches });
    expect(Math.abs((segment.predicted?.tokens_per_second ?? 0) / speed - 1)).toBeLessThan(0.06);
    expect(speed).toBeGreaterThan(1.01 * walked(texts(2), problem, own));
    expect(segment.predicted?.mean_nodes).toBeGreaterThan(d);
  });

  test.each([
    ["trees were not timed", given(undefined)],
    ["a tree costs half as much again as a chain", given(1.5)],
    ["the engine verifies chains alone", { ...given(1.02), constraints: { chains: true as const } }],
  ])(
    "is not planned where %s: the plan is that of a calibration that never looked at further places",
    (_what, inputs) => {
      const { branches: _, ...without } = texts(1);
      const { branches: _report, ...report } = texts(2);
      const plain = { ...inputs, calibration: input({ choose: without, report }, ["lookup"]).calibration };
      expect(lookupOf(planOf(inputs)).branches).toBeUndefined();
      expect(planOf(inputs).segments).toEqual(planOf(plain).segments);
    },
  );

  test("nor where no further place is ever right", () => {
    const useless = ({ branches = [], ...texts }: Texts): Texts => ({
      ...texts,
      branches: branches.map((text) => text.map((further) => further.map(([tokens]): LookupBranch => [tokens, 0, 0]))),
    });
    const inputs = given(1);
    const { calibration } = input({ choose: useless(texts(1)), report: useless(texts(2)) }, ["lookup"]);
    for (const { drafter } of planOf({ ...inputs, calibration }).segments)
      if (drafter?.kind === "lookup") expect(drafter.branches).toBeUndefined();
  });

  test("stands in front of another drafter too", () => {
    const inputs = { ...given(1.02, ["model", "hybrid"]) };
    const { calibration, profile } = input({ choose: texts(1), report: texts(2), stepUs: 100 });
    const plan = planOf({ ...inputs, calibration, profile: { ...inputs.profile, models: profile.models ?? [] } });
    const hybrid = plan.segments.find(({ drafter }) => drafter?.kind === "hybrid")?.drafter;
    if (hybrid?.kind !== "hybrid") throw new Error("no hybrid is planned");
    expect(hybrid.lookup.branches?.count).toBeGreaterThanOrEqual(2);
  });
});

describe("the plan", () => {
  const copying = { copies: 0.15, hits: 0.2 };
  const chatting = { copies: 0, hits: 0.85 };

  test("where nothing is copied is the plan without a lookup", () => {
    const given = input({ choose: textsOf(1, { copies: 0, hits: 0 }), report: textsOf(2, { copies: 0, hits: 0 }) });
    const { segments } = planDocument({ ...given, drafters: ["self"] }, INPUTS);
    expect(planDocument({ ...given, drafters: ["self", "lookup"] }, INPUTS).segments).toEqual(segments);
  });

  test("where much is copied looks up, and says how often it finds something", () => {
    const plan = planOf(input({ choose: textsOf(1, copying), report: textsOf(2, copying) }, ["lookup"]));
    expect(kindsOf(plan)).toContain("lookup");
    const { predicted } = plan.segments.find(({ speculate }) => speculate) as Segment;
    expect(predicted?.evidence).toBe("report");
    expect(predicted?.match_rate).toBeGreaterThan(0);
    expect(predicted?.match_rate).toBeLessThan(1);
    expect(predicted?.speedup).toBeGreaterThan(1);
  });

  test("changes with the text: a lookup for what is copied, another model for a chat, both where it is either", () => {
    const drafters = ["lookup", "model", "hybrid"] as const;
    const kinds = (world: World) =>
      kindsOf(planOf(input({ choose: textsOf(1, world), report: textsOf(2, world), stepUs: 100 }, drafters)));
    expect(kinds(chatting)).toContain("model");
    expect(kinds({ copies: 0.15, hits: 0 })).toContain("lookup");
    expect(kinds({ copies: 0.1, hits: 0.85 })).toContain("hybrid");
  });

  test("of a lookup beside another model predicts what walking along the text kept back gives", () => {
    const [world, stepUs] = [{ copies: 0.1, hits: 0.85 }, 100];
    const report = textsOf(2, world);
    const given = input({ choose: textsOf(1, world), report, stepUs }, ["model", "hybrid"]);
    const segment = planOf(given).segments.find(({ drafter }) => drafter?.kind === "hybrid") as Segment;
    const { drafter, draft_tokens: other = 0, predicted } = segment;
    if (drafter?.kind !== "hybrid" || predicted === undefined) throw new Error("no hybrid");
    const { min_match: min, draft_tokens: d = other } = drafter.lookup;
    const problem = openProblem(given);
    expect(predicted.at_context).toBe(AT);
    const speed = walked(report, problem, { min, d, other, stepUs });
    expect(Math.abs(predicted.tokens_per_second / speed - 1)).toBeLessThan(0.06);
  });

  test("for an engine without its kernel has the model in another, as if it had not been measured there", () => {
    const { profile, calibration, ...rest } = input(
      { choose: textsOf(1, chatting), report: textsOf(2, chatting), stepUs: 150 },
      ["lookup", "model", "hybrid"],
    );
    const [model] = calibration.models ?? [];
    const steps = (us: number) => [{ context_tokens: AT, us, passes: 8 }];
    const measuredIn = (...kernels: ("target" | "int8")[]) => ({
      ...{
        ...rest,
        profile: { ...profile, models: kernels.map((kernel) => ({ ...SMALL, kernel, steps: steps(TAKES[kernel]) })) },
      },
      calibration: { ...calibration, models: kernels.map((kernel) => ({ ...model, kernel })) },
    });
    const kernelsOf = ({ segments }: Plan) =>
      segments.flatMap(({ drafter }) => (mainDrafter(drafter).kind === "model" ? [mainDrafter(drafter)] : []));
    const any = planOf(measuredIn("target", "int8"));
    expect(kernelsOf(any)).toContainEqual(expect.objectContaining({ kernel: "int8" }));
    const limited = planOf({ ...measuredIn("target", "int8"), constraints: { model_kernels: ["target"] } } as never);
    expect(kernelsOf(limited)).toContainEqual(expect.objectContaining({ kernel: "target" }));
    expect(limited.segments).toEqual(planOf(measuredIn("target")).segments);
    expect(limited.constraints).toEqual({ model_kernels: ["target"] });
  });

  test("leaves a model that takes too long, and one that was not profiled, alone", () => {
    const world = { choose: textsOf(1, chatting), report: textsOf(2, chatting) };
    expect(kindsOf(planOf(input({ ...world, stepUs: 1e6 }, ["model"])))).toEqual(["none"]);
    expect(planDocument(input(world, ["self", "model"]), INPUTS).drafters).toBeUndefined();
  });

  test("refuses what text kept back predicts a loss for, and says so", () => {
    const report = textsOf(2, copying); // as much matches, and nothing of what follows is right
    report.followed = report.followed.map((text) => text.map(() => 0));
    const plan = planOf(input({ choose: textsOf(1, copying), report }, ["lookup"]));
    expect(kindsOf(plan)).toEqual(["none"]);
    expect(plan.segments.flatMap(({ refuted = [] }) => refuted)[0]?.drafter?.kind).toBe("lookup");
  });

  test("old calibrations, which know of neither, give what they gave", () => {
    const { profile, calibration } = synthetic(1, 0);
    const plan = planDocument({ profile, calibration, choices: [...CHOICES] }, INPUTS);
    expect(plan.drafters).toBeUndefined();
    expect(plan.segments).toEqual(
      planDocument({ profile, calibration, choices: [...CHOICES], drafters: ["self"] }, INPUTS).segments,
    );
  });
});
