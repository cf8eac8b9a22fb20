/** Keys and values of tokens, taken out of a cache in this process's memory, and put back. */

/** As they lie in the cache. */
export interface SavedRows {
  position: number;
  count: number;
  bytes: number;
  /** of each layer keys, then values; the cache's own business */
  parts: readonly NodeJS.TypedArray[];
}

export interface CacheRows {
  /** Keys and values of `count` tokens from `position`, copied. */
  save(position: number, count: number): SavedRows;
  /** Puts them where they were, in the cache that they are from; what lies elsewhere stays. */
  restore(saved: SavedRows): void;
}
