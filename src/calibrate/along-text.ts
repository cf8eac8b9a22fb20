/**
 * How well a lookup and other models guess the target's own text, position by position. Neither needs the target's states:
 * the lookup reads the text, and another model runs over it once, its likeliest token compared at every place, since a token
 * is only drafted where all before it were the text's own.
 */

import { NgramIndex } from "../core/ngram-index.js";
import type { Progress } from "../core/progress.js";
import { prefill } from "../decode/loop.js";
import { argmax, type Engine } from "../runtime/engine.js";
import { MAX_LOGIT_ROWS } from "../runtime/limits.js";
import { type Kernel, uniformChoices } from "../schema/choice.js";
import { MAX_BRANCHES, MAX_DRAFT_TOKENS } from "../schema/drafter.js";
import {
  type LookupBranch,
  type LookupCalibration,
  type LookupContext,
  MAX_TEXT_POSITIONS,
  type ModelCalibration,
  type ModelContext,
} from "../schema/text-calibration.js";
import { confidenceOfLogits } from "../stats/confidence.js";
import { ConfidenceCounts, tableOf } from "./confidence.js";
import { type Continuation, kindsKey } from "./continuation.js";

/** Longest n-gram looked up while measuring: longer matches are as good. */
const LOOKUP_NGRAM_TOKENS = 8;

type Part = LookupContext["part"];

/** A model that was opened to be measured, in each of these kernels. */
export interface MeasuredModel {
  name: string;
  path: string;
  weightsSha256: string;
  engine: Engine;
  kernels: readonly Kernel[];
}

export interface MeasuredAlong {
  lookup: boolean;
  models: readonly MeasuredModel[];
}

/** What a lookup knows of a continuation, at each position. */
export interface LookedAlong {
  /** the longest match, and the tokens that follow as they did where it last stood */
  matched: number[];
  followed: number[];
  /** the further places that a lookup might go on from as well */
  branches: LookupBranch[][];
}

export function lookupAlong({ prompt, ids }: Continuation): LookedAlong {
  const index = new NgramIndex(LOOKUP_NGRAM_TOKENS);
  index.extend(prompt);
  const along: LookedAlong = { matched: [], followed: [], branches: [] };
  for (let at = 0; at < ids.length - 1; at++) {
    index.extend([ids[at]]);
    const next = ids.slice(at + 1, at + 1 + MAX_DRAFT_TOKENS);
    const follows = (proposed: readonly number[]) => {
      const wrong = next.findIndex((token, i) => token !== proposed[i]);
      return wrong === -1 ? next.length : wrong;
    };
    const [first, ...further] = index.branches(MAX_BRANCHES, MAX_DRAFT_TOKENS);
    along.matched.push(index.match().tokens);
    along.followed.push(first === undefined ? 0 : follows(first.continuation));
    along.branches.push(
      further.map(({ tokens, shared, continuation }): LookupBranch => [tokens, shared, follows(continuation)]),
    );
  }
  return along;
}

/**
 * 1 where the model's likeliest token is the text's next one.
 * @param confidence counts each by how sure the model was
 * @returns null where its context does not hold the text
 */
export async function hitsAlong(
  engine: Engine,
  kernel: Kernel,
  { prompt, ids }: Continuation,
  progress: Progress,
  confidence = new ConfidenceCounts(),
): Promise<number[] | null> {
  const { layers, vocabSize } = engine.spec;
  const input = ids.slice(0, -1);
  if (prompt.length + input.length > engine.capacity) return null;
  if ([...prompt, ...input].some((id) => id >= vocabSize)) return null;
  const choices = uniformChoices(layers, kernel);
  await prefill(engine, prompt, choices, progress);
  const hits: number[] = [];
  for (let from = 0; from < input.length; from += MAX_LOGIT_ROWS) {
    const piece = input.slice(from, from + MAX_LOGIT_ROWS);
    const { logits } = engine.run({
      ...{ position: prompt.length + from, input: piece, choices, logitRows: piece.length },
    });
    for (let row = 0; row < piece.length; row++) {
      const hit = argmax(logits, row, vocabSize) === ids[from + row + 1] ? 1 : 0;
      hits.push(hit);
      confidence.add(confidenceOfLogits(logits, row, vocabSize), hit);
    }
    await progress.tick();
  }
  return hits;
}

interface PartTexts {
  looked: LookedAlong[];
  /** [models and kernels][texts] */
  hits: number[][][];
  /** [models and kernels] */
  confidence: ConfidenceCounts[];
  /** [texts] of what kind each is */
  kinds: (number | undefined)[];
  positions: number;
}

/** Lookup and models measured along continuations, as these are made. */
export class TextEvidence {
  private readonly parts = new Map<string, PartTexts>();
  private readonly models: { model: MeasuredModel; kernel: Kernel }[];

  constructor(private readonly measured: MeasuredAlong) {
    this.models = measured.models.flatMap((model) => model.kernels.map((kernel) => ({ model, kernel })));
  }

  /** Takes one more continuation, whoever's cache holds what. Past what a document keeps it takes none. */
  async take(at: number, part: Part, continuation: Continuation, progress: Progress): Promise<void> {
    const { lookup } = this.measured;
    const positions = continuation.ids.length - 1;
    const texts = this.part(at, part);
    if (positions < 1 || !(lookup || this.models.length > 0)) return;
    if (texts.positions + positions > MAX_TEXT_POSITIONS) return;
    const hits: number[][] = [];
    for (const [i, { model, kernel }] of this.models.entries()) {
      const found = await hitsAlong(model.engine, kernel, continuation, progress, texts.confidence[i]);
      hits.push(found ?? new Array<number>(positions).fill(0)); // where it cannot follow it drafts nothing
    }
    if (lookup) texts.looked.push(lookupAlong(continuation));
    for (const [i, found] of hits.entries()) texts.hits[i].push(found);
    texts.kinds.push(continuation.kind);
    texts.positions += positions;
  }

  /** What a calibration says of them. */
  keys(): { lookup?: LookupCalibration; models?: ModelCalibration[] } {
    const made = [...this.parts].filter(([, { positions }]) => positions > 0);
    if (made.length === 0) return {};
    const at = (key: string) => {
      const [part, context] = key.split(" ");
      return { at_context: Number(context), part: part as Part };
    };
    const contexts = made.map(
      ([key, { looked, positions, kinds }]): LookupContext => ({
        ...{ ...at(key), positions, ...kindsKey(kinds) },
        matched: looked.map(({ matched }) => matched),
        followed: looked.map(({ followed }) => followed),
        branches: looked.map(({ branches }) => branches),
      }),
    );
    const models = this.models.map(
      ({ model: { name, path, weightsSha256 }, kernel }, i): ModelCalibration => ({
        ...{ name, weights_sha256: weightsSha256, path, kernel },
        contexts: made.map(
          ([key, { hits, confidence, positions, kinds }]): ModelContext => ({
            ...{ ...at(key), positions, ...kindsKey(kinds), hits: hits[i] },
            ...tableOf(confidence[i]),
          }),
        ),
      }),
    );
    return {
      ...(this.measured.lookup
        ? { lookup: { max_ngram_tokens: LOOKUP_NGRAM_TOKENS, draft_tokens: MAX_DRAFT_TOKENS, contexts } }
        : {}),
      ...(models.length === 0 ? {} : { models }),
    };
  }

  private part(at: number, part: Part): PartTexts {
    const key = `${part} ${at}`;
    const found = this.parts.get(key) ?? {
      ...{ looked: [], kinds: [], positions: 0 },
      hits: this.models.map(() => []),
      confidence: this.models.map(() => new ConfidenceCounts()),
    };
    this.parts.set(key, found);
    return found;
  }
}
