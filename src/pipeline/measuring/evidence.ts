/**
 * What is known of whole drafts on the text that plans are chosen on: measured on a few prompts at first, and the drafts that
 * matter on more and more, until a plan's own are known well enough. Losses of single blocks need no such care: they only
 * say which drafts to look at.
 */
import { ROUND_TOKENS } from "../../calibrate/calibrate.js";
import type { Continuation } from "../../calibrate/continuation.js";
import type { DraftEvidence } from "../../calibrate/whole-drafts.js";
import type { Calibration } from "../../schema/calibration.js";
import { type ChoiceSet, choiceKey, expandDraft } from "../../schema/choice.js";
import { contextFor, measuredSpeed, nearestContext, type Problem, unconfirmedDrafts } from "../../solve/index.js";
import { choosing, type Measuring, measureAlong, type Precision, problemOf } from "./measuring.js";

/** One draft's evidence at one context, and on how many of the context's texts. */
interface Known {
  set: ChoiceSet;
  evidence: DraftEvidence;
  texts: number;
}

/** Drafts of each set of choices, the fastest by what is measured, that are followed on to more prompts. */
const CONTENDERS = 3;
/** Prompts between two looks at which drafts matter: one of each kind of text at least, and several kinds' worth at most. */
const FEWEST_PROMPTS = 6;
const MOST_PROMPTS = 24;

export class ChoosingEvidence {
  /** by context */
  private readonly texts = new Map<number, Continuation[]>();
  /** by context and draft */
  private readonly known = new Map<string, Known>();
  /** contexts whose text is at its end */
  private readonly exhausted = new Set<number>();

  constructor(private readonly measuring: Measuring) {
    for (const [at, made] of measuring.text.continuations) this.texts.set(at, [...made]);
  }

  /** Measures drafts on the texts of a context that there are so far. @returns their records */
  async measure(at: number, sets: readonly ChoiceSet[]): Promise<Calibration["measured"]> {
    const texts = this.textsAt(at);
    const missing = sets.filter((set) => (this.known.get(keyOf(at, set))?.texts ?? 0) < texts.length);
    // drafts that were followed less far go through what they have not seen
    for (const from of new Set(missing.map((set) => this.known.get(keyOf(at, set))?.texts ?? 0))) {
      const alike = missing.filter((set) => (this.known.get(keyOf(at, set))?.texts ?? 0) === from);
      await this.follow(at, alike, texts.slice(from), false);
    }
    return this.records(at, sets);
  }

  /**
   * Follows the drafts that plans rest on, and those nearly as good, on to more prompts, until the error is small enough.
   * @returns the calibration with their records as they are now
   */
  async sharpen(calibration: Calibration, precision: Precision): Promise<Calibration> {
    const { text } = this.measuring;
    let grown = calibration;
    const timeIsUp = () => precision.clock.nowUs() >= precision.chooseUntilUs;
    while (text.more !== undefined && !timeIsUp()) {
      const problems = this.problems(grown);
      const unsure = await this.leastSure(problems, precision.error);
      if (unsure === null) break;
      const { at, error } = unsure;
      const sets = contenders(problems, at, unsure.sets);
      grown = replaced(grown, await this.measure(at, sets));
      const texts = this.textsAt(at);
      const wanted = Math.ceil(texts.length * ((error / precision.error) ** 2 - 1));
      for (let i = 0; i < Math.min(MOST_PROMPTS, Math.max(FEWEST_PROMPTS, wanted)) && !timeIsUp(); i++) {
        const more = await text.more(at, this.measuring.progress);
        if (more === null) {
          this.exhausted.add(at);
          break;
        }
        texts.push(more);
        await this.follow(at, sets, [more], true);
      }
      grown = replaced(grown, this.records(at, sets));
    }
    return grown;
  }

  /** Standard error of a draft's tokens in rounds of d; null where it was not measured here. */
  errorOf(at: number, set: ChoiceSet, d: number): number | null {
    return this.known.get(keyOf(at, set))?.evidence.error(d) ?? null;
  }

  private textsAt(at: number): Continuation[] {
    const texts = this.texts.get(at) ?? [];
    this.texts.set(at, texts);
    return texts;
  }

  private async follow(at: number, sets: readonly ChoiceSet[], texts: readonly Continuation[], isCached: boolean) {
    const found = await measureAlong(this.measuring, texts, sets, isCached);
    for (const [i, set] of sets.entries()) {
      const known = this.known.get(keyOf(at, set));
      if (known === undefined)
        this.known.set(keyOf(at, set), { set, evidence: found[i].evidence, texts: texts.length });
      else {
        known.evidence.take(found[i].evidence);
        known.texts += texts.length;
      }
    }
  }

  private records(at: number, sets: readonly ChoiceSet[]): Calibration["measured"] {
    const isOwn = this.measuring.own !== undefined;
    return sets.map((set) =>
      choosing(at, set, (this.known.get(keyOf(at, set)) as Known).evidence.curve(ROUND_TOKENS), isOwn),
    );
  }

  private problems(calibration: Calibration): Problem[] {
    return this.measuring.variants.map((choices) => problemOf(this.measuring, calibration, choices));
  }

  /** Where a plan's own draft is known the least, with the plans' drafts there; null where all are known well enough. */
  private async leastSure(problems: readonly Problem[], enough: number) {
    const errors = new Map<number, { at: number; error: number; sets: ChoiceSet[] }>();
    for (const problem of problems)
      for (const { set, draftTokens, contexts } of unconfirmedDrafts(problem))
        for (const { losses } of contexts) {
          const at = losses.at_context;
          if (this.exhausted.has(at) || this.textsAt(at).length < 2) continue;
          await this.measure(at, [set]);
          const error = this.errorOf(at, set, draftTokens) ?? 1;
          const before = errors.get(at) ?? { at, error: 0, sets: [] };
          errors.set(at, { at, error: Math.max(before.error, error), sets: [...before.sets, set] });
        }
    const unsure = [...errors.values()].filter(({ error }) => error > enough);
    return unsure.length === 0 ? null : unsure.reduce((a, b) => (b.error > a.error ? b : a));
  }
}

const keyOf = (at: number, set: ChoiceSet): string => `${at} ${choiceKey(set)}`;

/** The plans' drafts at a calibrated context and the fastest others, each once. */
function contenders(problems: readonly Problem[], at: number, plans: readonly ChoiceSet[]): ChoiceSet[] {
  const fastest = problems.flatMap((problem) => {
    const n = nearestContext(problem, at);
    if (n === null) return [];
    const measured = contextFor(problem, n).measured.filter(({ part }) => part === "choose");
    return measured
      .map(({ set, curve }) => ({ set, speed: measuredSpeed(problem, n, { set, curve }) }))
      .sort((a, b) => b.speed - a.speed)
      .slice(0, CONTENDERS)
      .map(({ set }) => set);
  });
  return [...new Map([...plans, ...fastest].map((set) => [choiceKey(set), set])).values()];
}

/** The calibration with these records in the place of those of the same draft, context and part. */
export function replaced(calibration: Calibration, records: Calibration["measured"]): Calibration {
  const { layers } = calibration.model;
  const key = ({ at_context, part, draft, draft_cache }: Calibration["measured"][number]) =>
    `${part} ${draft_cache ?? "target"} ${keyOf(at_context, expandDraft(draft, layers, "calibration"))}`;
  const renewed = new Map(records.map((record) => [key(record), record]));
  const measured = calibration.measured.map((record) => {
    const found = renewed.get(key(record));
    renewed.delete(key(record));
    return found ?? record;
  });
  return { ...calibration, measured: [...measured, ...renewed.values()] };
}
