/**
 * Heads that draft, as a folder holds them: what they compute, whatever their files call it. Which layouts are read, and
 * what each calls its tensors, is in docs/heads.md.
 *
 * Every head begins with the target's last hidden state behind its final norm, x [H]. Medusa's (arXiv:2401.10774, section
 * 2.2.1) is a few residual blocks x + SiLU(W x + b), then an LM head. Hydra's (arXiv:2402.05109, section 4) are the same
 * behind a first block that also takes the embeddings of the tokens drafted so far, E = [x, e_0, …, e_k]:
 * R E + r + SiLU(W E + b). Hydra++ puts one decoder layer over the states of the whole text before them, the prefix layer.
 */

export type HeadsKind = "medusa" | "hydra";

export const HEADS_LAYOUTS = { fasterDecoding: "FasterDecoding", vllm: "vLLM", hydra: "Hydra" } as const;
export type HeadsLayout = (typeof HEADS_LAYOUTS)[keyof typeof HEADS_LAYOUTS];

export interface HeadsSpec {
  kind: HeadsKind;
  layout: HeadsLayout;
  heads: number;
  /** residual blocks of a head, one after the other */
  blocks: number;
  hiddenSize: number;
  /** whether W x has a bias */
  blockBias: boolean;
  /** whose LM head turns a head's state into logits: the model's, one that the file has for all of them, or each its own */
  lmHead: "model" | "one" | "each";
  /** tokens that the file's LM heads know; null with the model's */
  lmHeadRows: number | null;
  lmHeadBias: boolean;
  /** the vocabulary's size, where the configuration says it */
  vocabSize: number | null;
  /** [draft vocabulary] token ids, where heads guess among some tokens only; null: among all */
  tokenMap: Int32Array | null;
  /** a decoder layer of Hydra's over the states of the whole text */
  prefix: boolean;
  /** what they were trained for, as the configuration calls it; null where it does not */
  baseModel: string | null;
}

/**
 * Names of a checkpoint's tensors here: `block.<head>.<block>.weight|bias`, for Hydra's first block also
 * `block.<head>.0.residual.weight|bias`; `lm_head.weight` or `lm_head.<head>.weight|bias`; the prefix layer as a model of
 * one layer, `prefix.model.layers.0.…` and `prefix.model.norm.weight`. Linear weights are [out, in], row-major.
 */
export interface HeadsCheckpoint {
  /** the folder, as it was given */
  source: string;
  spec: HeadsSpec;
  /** SHA-256 of the weight file (of several: of their list), hex */
  sha256: string;
  /** the types its tensors are stored in, with counts */
  storedTypes: Record<string, number>;
  /** Whether a tensor is there and readable, by its place alone. @throws TENSOR_MISSING, TENSOR_SHAPE, TENSOR_TYPE_UNSUPPORTED */
  check(name: string, shape: readonly number[]): void;
  /** Reads one tensor as fp32. @throws TENSOR_MISSING, TENSOR_SHAPE, CHECKPOINT_CORRUPT where a number is none */
  tensor(name: string, shape: readonly number[]): Float32Array;
  /** Closes the files; reading afterwards throws. */
  close(): void;
}

/** Tokens that a head's first block takes beside the hidden state: Hydra's head k the pending one and k drafted ones. */
export const drafted = (kind: HeadsKind, head: number): number => (kind === "hydra" ? head + 1 : 0);

/** Shapes of every tensor that such heads have, the prefix layer's left out: those are the model's to say. */
export function headTensors(spec: HeadsSpec): Map<string, readonly number[]> {
  const { kind, heads, blocks, hiddenSize, blockBias, lmHead, lmHeadRows, lmHeadBias } = spec;
  const tensors = new Map<string, readonly number[]>();
  const linear = (name: string, out: number, inner: number, bias: boolean) => {
    tensors.set(`${name}.weight`, [out, inner]);
    if (bias) tensors.set(`${name}.bias`, [out]);
  };
  for (let head = 0; head < heads; head++) {
    for (let block = 0; block < blocks; block++) {
      const inner = block === 0 ? hiddenSize * (1 + drafted(kind, head)) : hiddenSize;
      linear(`block.${head}.${block}`, hiddenSize, inner, blockBias);
      if (kind === "hydra" && block === 0) linear(`block.${head}.0.residual`, hiddenSize, inner, true);
    }
    if (lmHead === "each") linear(`lm_head.${head}`, lmHeadRows as number, hiddenSize, lmHeadBias);
  }
  if (lmHead === "one") linear("lm_head", lmHeadRows as number, hiddenSize, false);
  return tensors;
}
