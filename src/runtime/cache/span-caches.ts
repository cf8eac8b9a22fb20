/**
 * Small caches that spans of attention read: keys and values of the text's first tokens, of the last ones before a round, and
 * behind them those that the round's own draft writes.
 *
 * The last W tokens lie in a ring: token p at place SINK_TOKENS + (p − SINK_TOKENS) mod W. Attention does not ask where a key
 * lies, since each was rotated to its own position when it was made. So from round to round only the tokens that were added to
 * the text are copied, some four rows a layer, instead of the whole span. What a draft writes lies behind the ring, in its own
 * cache alone: the context's cache is not touched, and no rollback is needed.
 */
import { storedHeadDim } from "../../model/graph/heads.js";
import type { ModelSpec } from "../../model/spec.js";
import { SINK_TOKENS, tokensRead } from "../../schema/choice.js";
import { MAX_DRAFT_TOKENS } from "../../schema/drafter.js";
import type { BoundInputs } from "../bindings.js";
import type { OrtApi, Pointer } from "../ort-api.js";
import { CACHE_PARTS, type CacheAllocator, type CachePart, type CacheTensor } from "./memory.js";

/** Tokens that a round may write: the longest draft, and the token that it goes on from. */
export const ROUND_TOKENS = MAX_DRAFT_TOKENS + 1;

/** Rows of a small cache: what its span reads of the longest context, and a round's own. */
export const spanCacheRows = (span: number, capacity: number): number => tokensRead(span, capacity) + ROUND_TOKENS;

/** Where keys and values of the context lie. */
export interface ContextCache {
  readonly capacity: number;
  tensors(layer: number): Readonly<Record<CachePart, CacheTensor>>;
}

class SpanCache {
  /** tokens that are in the ring: [from, to) of the text */
  private from = 0;
  private to = 0;
  private sinks = false;

  constructor(
    private readonly span: number,
    /** tokens that it has room for */
    private readonly rows: number,
    readonly tensors: Readonly<Record<CachePart, CacheTensor>>,
  ) {}

  /** The context's cache is written from this token on. */
  written(position: number): void {
    if (position < SINK_TOKENS) this.sinks = false;
    this.to = Math.min(this.to, position);
    this.from = Math.min(this.from, this.to);
  }

  /** Takes over what it does not have of the first tokens and of the last ones of a context of n. */
  refresh(context: ContextCache, layer: number, kvHeads: number, width: number, n: number): void {
    const source = context.tensors(layer);
    const copy = (from: number, to: number, place: number) => {
      for (const part of CACHE_PARTS) {
        const [all, some] = [source[part].view, this.tensors[part].view];
        if (all === null || some === null) throw new Error("spans over a cache in a device's memory");
        for (let head = 0; head < kvHeads; head++) {
          const row = head * context.capacity;
          some.set(all.subarray((row + from) * width, (row + to) * width), (head * this.rows + place) * width);
        }
      }
    };
    const sinks = Math.min(n, SINK_TOKENS);
    if (!this.sinks) copy(0, sinks, 0);
    this.sinks = sinks === SINK_TOKENS;
    const least = Math.max(sinks, n - this.span);
    const has = (p: number) => p >= this.from && p < this.to;
    for (let p = least; p < n; ) {
      if (has(p)) {
        p = Math.min(this.to, n);
        continue;
      }
      // up to what it has, or to the ring's end
      const place = SINK_TOKENS + ((p - SINK_TOKENS) % this.span);
      const ring = p + SINK_TOKENS + this.span - place;
      const end = Math.min(n, ring, this.from > p && this.from < this.to ? this.from : n);
      copy(p, end, place);
      p = end;
    }
    [this.from, this.to] = [least, Math.max(least, n)];
  }
}

/** All of one engine, each made when it is first asked for. */
export class SpanCaches {
  private readonly made = new Map<string, SpanCache>();

  constructor(
    private readonly api: Pick<OrtApi, "check">,
    private readonly spec: ModelSpec,
    private readonly context: ContextCache,
    private readonly allocator: CacheAllocator,
  ) {}

  private of(layer: number, span: number): SpanCache {
    const key = `${layer}@${span}`;
    let cache = this.made.get(key);
    if (cache === undefined) {
      const { allocator, spec } = this;
      const rows = spanCacheRows(span, this.context.capacity);
      const shape = [1, spec.kvHeads, rows, storedHeadDim(spec)];
      cache = new SpanCache(span, rows, { key: allocator.make(shape), value: allocator.make(shape) });
      this.made.set(key, cache);
    }
    return cache;
  }

  /** A pass of this binding reads the layer's span, and writes behind it. */
  bind(binding: Pointer, inputs: BoundInputs, layer: number, span: number): void {
    const { tensors } = this.of(layer, span);
    for (const part of CACHE_PARTS) {
      inputs.rebind(`past.${layer}.${part}`, tensors[part].tensor);
      this.api.check("BindOutput", binding, `present.${layer}.${part}`, tensors[part].tensor);
    }
  }

  /** The context's cache is written from this token on, by whatever pass. */
  written(position: number): void {
    for (const cache of this.made.values()) cache.written(position);
  }

  /** Of these layers' spans, as a round over a context of n tokens begins. */
  refresh(spans: readonly (number | null)[], n: number): void {
    spans.forEach((span, layer) => {
      if (span === null) return;
      this.of(layer, span).refresh(this.context, layer, this.spec.kvHeads, storedHeadDim(this.spec), n);
    });
  }
}
