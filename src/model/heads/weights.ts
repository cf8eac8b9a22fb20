/** The weights of heads as their graph reads them (graph.ts), from their own file and, where they share them, the model's. */
import type { Kernel } from "../../schema/choice.js";
import { matrix, stack, vector } from "../graph/weights.js";
import { storedFloats } from "../kernels/floats.js";
import type { WeightPart } from "../kernels/kernel.js";
import type { WeightSource } from "../spec.js";
import { guessedTokens } from "./fit.js";
import { type HeadsForm, matrixNames } from "./graph.js";
import { drafted, type HeadsCheckpoint } from "./spec.js";

export function* headsWeights(
  heads: HeadsCheckpoint,
  model: WeightSource,
  { lmHead, dialect: numerics }: Pick<HeadsForm, "lmHead" | "dialect">,
): Generator<WeightPart> {
  const { spec } = heads;
  const { hiddenSize } = spec;
  const form = (kernel: Kernel) => ({ kernels: [kernel], numerics });
  if (!spec.prefix)
    yield vector(form("target"), matrixNames.norm, hiddenSize, () => model.tensor("model.norm.weight", [hiddenSize]));
  if (spec.kind === "medusa") yield* medusaFirsts(heads, form("target"));
  else yield* hydraFirsts(heads, model, form(lmHead));
  for (let head = 0; head < spec.heads; head++)
    for (let block = 1; block < spec.blocks; block++) {
      const name = matrixNames.block(head, block);
      const from = `block.${head}.${block}`;
      yield* matrix(form("target"), name, [hiddenSize, hiddenSize], () =>
        heads.tensor(`${from}.weight`, [hiddenSize, hiddenSize]),
      );
      if (spec.blockBias)
        yield vector(form("target"), `${name}.bias`, hiddenSize, () => heads.tensor(`${from}.bias`, [hiddenSize]));
    }
  yield* lmHeads(heads, model, form(lmHead));
}

type Form = Parameters<typeof matrix>[0];

function* medusaFirsts({ spec, tensor }: HeadsCheckpoint, form: Form): Generator<WeightPart> {
  const { heads, hiddenSize, blockBias } = spec;
  const each = (part: string, shape: readonly number[]) => () =>
    stack(Array.from({ length: heads }, (_, head) => tensor(`block.${head}.0.${part}`, shape)));
  yield* matrix(form, matrixNames.firsts, [heads * hiddenSize, hiddenSize], each("weight", [hiddenSize, hiddenSize]));
  if (blockBias) yield vector(form, `${matrixNames.firsts}.bias`, heads * hiddenSize, each("bias", [hiddenSize]));
}

/** The residual product lies over the block's own. */
function* hydraFirsts({ spec, tensor }: HeadsCheckpoint, model: WeightSource, form: Form): Generator<WeightPart> {
  const { kind, heads, hiddenSize } = spec;
  const { vocabSize } = model.spec;
  yield storedFloats(form.numerics.float, matrixNames.embedding, [vocabSize, hiddenSize], () =>
    model.tensor("model.embed_tokens.weight", [vocabSize, hiddenSize]),
  );
  for (let head = 0; head < heads; head++) {
    const inner = hiddenSize * (1 + drafted(kind, head));
    const both = (part: string, shape: readonly number[]) => () =>
      stack([tensor(`block.${head}.0.residual.${part}`, shape), tensor(`block.${head}.0.${part}`, shape)]);
    const name = matrixNames.first(head);
    yield* matrix(form, name, [2 * hiddenSize, inner], both("weight", [hiddenSize, inner]));
    yield vector(form, `${name}.bias`, 2 * hiddenSize, both("bias", [hiddenSize]));
  }
}

function* lmHeads(heads: HeadsCheckpoint, model: WeightSource, form: Form): Generator<WeightPart> {
  const { spec, tensor } = heads;
  const { hiddenSize, tokenMap } = spec;
  const tokens = guessedTokens(spec, model.spec);
  const rows = spec.lmHeadRows ?? model.spec.vocabSize;
  const shape = [rows, hiddenSize] as const;
  const cut = (values: Float32Array, inner: number) =>
    tokenMap !== null && rows > tokens ? chosenRows(values, tokenMap, inner) : values;
  const matrixOf = (name: string, read: () => Float32Array) =>
    matrix(form, name, [tokens, hiddenSize], () => cut(read(), hiddenSize));
  switch (spec.lmHead) {
    case "model": {
      const { tiedEmbeddings } = model.spec;
      const name = tiedEmbeddings ? "model.embed_tokens.weight" : "lm_head.weight";
      yield* matrixOf(matrixNames.sharedLmHead, () => model.tensor(name, shape));
      break;
    }
    case "one":
      yield* matrixOf(matrixNames.sharedLmHead, () => tensor("lm_head.weight", shape));
      break;
    case "each":
      for (let head = 0; head < spec.heads; head++) {
        const name = matrixNames.lmHead(head);
        yield* matrixOf(name, () => tensor(`lm_head.${head}.weight`, shape));
        if (spec.lmHeadBias)
          yield vector(form, `${name}.bias`, tokens, () => cut(tensor(`lm_head.${head}.bias`, [rows]), 1));
      }
  }
}

/** Rows of a matrix [.., inner] in the order of a token map, as vLLM cuts an LM head that knows all tokens (medusa.py). */
function chosenRows(values: Float32Array, tokenMap: Int32Array, inner: number): Float32Array {
  const chosen = new Float32Array(tokenMap.length * inner);
  tokenMap.forEach((id, row) => chosen.set(values.subarray(id * inner, (id + 1) * inner), row * inner));
  return chosen;
}
