/** The tiny models whose programs the quick suite runs: one of each architecture, with and without what it may have. */
export const QUICK_PROGRAMS: readonly string[] = [
  "llama, every bias",
  "llama, one key/value head, sizes that fill no block of 32",
  "mistral, window shorter than the text",
  "qwen2",
  "qwen3, heads of 12",
  "norms around blocks, caps, GELU, a window and positions of its own in one layer of two",
];
