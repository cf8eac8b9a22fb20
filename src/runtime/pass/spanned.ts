/**
 * Passes in which attention reads spans: a binding of its own beside the engine's, over the same inputs and outputs, in which
 * layers with a span have a small cache for the context's and lengths of their own. Between rounds nothing is bound anew.
 */
import { windowOf } from "../../model/layers.js";
import type { ModelSpec } from "../../model/spec.js";
import {
  blockKind,
  blockLayer,
  type Choice,
  type ChoiceSet,
  kernelOf,
  type LayerSpans,
  layerSpans,
  SINK_TOKENS,
  tokensRead,
} from "../../schema/choice.js";
import type { MakeTensor } from "../bindings.js";
import type { KvCache } from "../cache/kv-cache.js";
import { ROUND_TOKENS, type SpanCaches } from "../cache/span-caches.js";
import { Lengths, type PassBinding } from "./binding.js";

/**
 * The spans that make a difference: where a layer's own window is hardly wider than its span, or narrower, it reads what it
 * always reads. The operator's window counts places in the cache, and among the places of a span none is ever outside it.
 */
export function spansWithin(spec: ModelSpec, spans: LayerSpans | null): LayerSpans | null {
  if (spans === null) return null;
  const fits = (span: number, layer: number) =>
    SINK_TOKENS + span + ROUND_TOKENS <= (windowOf(spec, layer) ?? Infinity);
  const kept = spans.map((span, layer) => (span !== null && fits(span, layer) ? span : null));
  return kept.every((span) => span === null) ? null : kept;
}

/**
 * Choices as a program has them, whose attentions each have or have not a small cache of their own: a span that makes no
 * difference is left out. The same choices always become the same object.
 */
export function withinWindows(
  spec: ModelSpec,
  named: (choices: ChoiceSet) => ChoiceSet,
): (choices: ChoiceSet) => ChoiceSet {
  const known = new WeakMap<ChoiceSet, ChoiceSet>();
  const narrowed = (choices: ChoiceSet): ChoiceSet => {
    const spans = layerSpans(choices);
    if (spans === null) return choices;
    const kept = spansWithin(spec, spans);
    const blocks = choices.blocks.map((choice, i): Choice => {
      const isWhole = blockKind(i) === "attn" && (kept?.[blockLayer(i)] ?? null) === null;
      return isWhole ? (kernelOf(choice) ?? "skip") : choice;
    });
    return { ...choices, blocks };
  };
  return (choices) => {
    let own = known.get(choices);
    if (own === undefined) {
      own = narrowed(named(choices));
      known.set(choices, own);
    }
    return own;
  };
}

export interface SpannedPass {
  /** tokens of the context when the round began */
  round: number;
  position: number;
  q: number;
}

export class SpannedPasses {
  /** of layers that read the whole context */
  private readonly whole: Lengths;
  /** by span */
  private readonly lengths = new Map<number, Lengths>();
  /** [layers] as it is bound now */
  private readonly bound: (number | null)[];
  private readonly spansInUse = new Set<number>();

  constructor(
    private readonly pass: PassBinding,
    private readonly cache: KvCache,
    private readonly caches: SpanCaches,
    private readonly lengthNames: (layer: number) => readonly [last: string, total: string],
    private readonly make: MakeTensor,
    layers: number,
  ) {
    this.bound = new Array<number | null>(layers).fill(null);
    this.whole = new Lengths(make);
    cache.bindTo(pass);
    for (let layer = 0; layer < layers; layer++) this.whole.bind(pass.inputs, lengthNames(layer));
  }

  /**
   * Makes the next pass of this binding read these spans.
   * @throws RangeError where the round is longer than a span's cache has room for
   */
  prepare(spans: LayerSpans, { round, position, q }: SpannedPass): void {
    const own = position - round;
    if (own < 0 || own + q > ROUND_TOKENS)
      throw new RangeError(`tokens ${own} to ${own + q} of a round: spans are for rounds of ${ROUND_TOKENS}`);
    this.bind(spans);
    this.caches.refresh(spans, round);
    this.whole.set(position, q);
    for (const span of this.spansInUse) this.lengths.get(span)?.set(tokensRead(span, round) + own, q);
  }

  private bind(spans: LayerSpans): void {
    const { inputs, binding } = this.pass;
    let changed = false;
    spans.forEach((span, layer) => {
      if (span === this.bound[layer]) return;
      changed = true;
      this.bound[layer] = span;
      if (span === null) this.cache.bindLayer(this.pass, layer);
      else this.caches.bind(binding, inputs, layer, span);
      this.lengthsOf(span).bind(inputs, this.lengthNames(layer));
    });
    if (!changed) return;
    this.spansInUse.clear();
    for (const span of spans) if (span !== null) this.spansInUse.add(span);
  }

  private lengthsOf(span: number | null): Lengths {
    if (span === null) return this.whole;
    const lengths = this.lengths.get(span) ?? new Lengths(this.make);
    this.lengths.set(span, lengths);
    return lengths;
  }
}
