/**
 * The layouts that heads are published in: what a folder's configuration says, and what its tensors are called. Names were
 * read in the modules that write and load them: FasterDecoding/Medusa (medusa/model/medusa_model.py and
 * medusa_model_legacy.py), vLLM (vllm/model_executor/models/medusa.py, transformers_utils/configs/medusa.py) and
 * zankner/Hydra (hydra/model/hydra_model.py, hydra_heads/mlp_head.py and prefix_mlp_head.py).
 */
import { z } from "zod";
import { headsUnsupported } from "./failures.js";
import { HEADS_LAYOUTS, type HeadsKind, type HeadsLayout } from "./spec.js";

const count = z.int().min(1).max(64);

/** Keys of all layouts; whose they are is decided by what is there. */
export const HeadsConfig = z.looseObject({
  model_type: z.string().nullish(),
  architectures: z.array(z.string()).nullish(),
  base_model_name_or_path: z.string().nullish(),
  hidden_size: z.int().positive().nullish(),
  vocab_size: z.int().positive().nullish(),
  // Medusa
  medusa_num_heads: count.nullish(),
  medusa_num_layers: count.nullish(),
  num_heads: count.nullish(),
  num_hidden_layers: z.int().positive().nullish(),
  original_lm_head: z.boolean().nullish(),
  truncated_vocab_size: z.int().positive().nullish(),
  medusa_fc_bias: z.boolean().nullish(),
  // Hydra
  hydra_num_heads: count.nullish(),
  hydra_num_layers: count.nullish(),
  hydra_head_arch: z.string().nullish(),
  grounded_heads: z.boolean().nullish(),
  hidden_state_offset: z.int().nullish(),
  // others', for their names
  speculators_model_type: z.string().nullish(),
  speculators_config: z.unknown().optional(),
  draft_vocab_size: z.unknown().optional(),
});
export type HeadsConfig = z.infer<typeof HeadsConfig>;

/** What a layout makes of a configuration and of the names in the weight file. */
export interface Layout {
  kind: HeadsKind;
  layout: HeadsLayout;
  /** as the configuration says; null: it does not */
  heads: number | null;
  /** whether the weight file's own number of heads goes before the configuration's, where it has more */
  fileCounts: boolean;
  blocks: number;
  /** null: as the file has it */
  blockBias: boolean | null;
  /** one LM head serves all heads, so far as the file has any */
  sharedLmHead: boolean;
  /** whether heads without any LM head in the file use the model's; otherwise they miss one */
  mayLackLmHead: boolean;
  prefix: boolean;
  vocabSize: number | null;
  /** tokens to guess among, where that is fewer than the vocabulary has */
  draftVocab: number | null;
  /** a tensor's name here (spec.ts, `token_map` besides); null: of no use; undefined: nothing of this layout is called so */
  translate(stored: string): string | null | undefined;
}

/** @throws HEADS_UNSUPPORTED for every other kind, by its name; CONFIG_INVALID */
export function layoutOf(config: HeadsConfig, names: readonly string[], at: string): Layout {
  refuseOthers(config, names, at);
  if (config.hydra_num_heads != null || config.hydra_head_arch != null) return hydra(config, at);
  const isMedusa =
    config.model_type === "medusa" || config.architectures?.[0] === "MedusaModel" || config.medusa_num_heads != null;
  if (isMedusa)
    return names.some((name) => /^(medusa_heads?\.)?blocks\./.test(name)) ? vllm(config) : fasterDecoding(config);
  const named = config.model_type ?? config.architectures?.[0];
  throw headsUnsupported(
    at,
    named == null
      ? "nothing here says that these are heads"
      : `${JSON.stringify(named.slice(0, 100))} is no kind of heads that draftplan reads`,
  );
}

/** Drafters that people may take for heads. */
function refuseOthers(config: HeadsConfig, names: readonly string[], at: string): void {
  const refuse = (what: string): never => {
    throw headsUnsupported(at, what);
  };
  if (config.speculators_model_type != null || config.speculators_config !== undefined)
    refuse(`speculators' ${config.speculators_model_type ?? "format"}: it is not read`);
  const said = [config.model_type ?? "", ...(config.architectures ?? [])].join(" ");
  const known: [RegExp, string][] = [
    [/eagle-?3|Eagle3/i, "EAGLE-3"],
    [/eagle/i, "EAGLE"],
    [/mlp_speculator|MLPSpeculator/i, "an MLP speculator"],
    [/dflash/i, "DFlash"],
    [/mtp/i, "multi-token prediction (MTP)"],
  ];
  for (const [pattern, name] of known) if (pattern.test(said)) refuse(`${name}: draftplan does not read it`);
  const has = (pattern: RegExp) => names.some((name) => pattern.test(name));
  if (has(/(^|\.)(midlayer\.|d2t$|t2d$)/) || config.draft_vocab_size !== undefined)
    refuse("EAGLE-3, by its tensors (midlayer, d2t): draftplan does not read it");
  if (has(/^fc\.weight$/) && has(/^layers\.\d+\./))
    refuse("EAGLE, by its tensors (fc and layers): draftplan does not read it");
}

/** Tensors of one list of modules, `<head>.<block>`: blocks are `linear`, and behind the last of them an LM head. */
function fasterDecoding(config: HeadsConfig): Layout {
  const blocks = config.medusa_num_layers ?? config.num_hidden_layers ?? 1;
  return {
    ...medusa(config, blocks),
    layout: HEADS_LAYOUTS.fasterDecoding,
    // Vicuna's published configurations say 2 and their files hold 5; the reference puts in 5 (medusa_model.py).
    fileCounts: true,
    blockBias: null,
    sharedLmHead: false,
    mayLackLmHead: true, // those of medusa_model_legacy.py go through the base model's
    translate(stored) {
      const name = stored.replace(/^medusa_heads?\./, "");
      const [, head, block, part] = /^(\d+)\.(\d+)\.(linear\.weight|linear\.bias|weight)$/.exec(name) ?? [];
      if (part === undefined) return undefined;
      if (part === "weight") return Number(block) === blocks ? `lm_head.${Number(head)}.weight` : undefined;
      return `block.${Number(head)}.${Number(block)}.${part.slice("linear.".length)}`;
    },
  };
}

function vllm(config: HeadsConfig): Layout {
  const shared = config.original_lm_head ?? false;
  return {
    ...medusa(config, config.num_hidden_layers ?? config.medusa_num_layers ?? 1),
    layout: HEADS_LAYOUTS.vllm,
    fileCounts: false,
    blockBias: config.medusa_fc_bias ?? false,
    sharedLmHead: shared,
    mayLackLmHead: shared,
    translate(stored) {
      const name = stored.replace(/^medusa_heads\./, "");
      if (name === "token_map") return name;
      if (name === "lm_head.weight") return shared ? name : undefined;
      const [, lmHead] = /^lm_heads\.(\d+)\.weight$/.exec(name) ?? [];
      if (lmHead !== undefined) {
        if (!shared) return `lm_head.${Number(lmHead)}.weight`;
        return Number(lmHead) === 0 ? "lm_head.weight" : null;
      }
      const [, head, block, kind] = /^blocks\.(\d+)\.layers\.(\d+)\.(weight|bias)$/.exec(name) ?? [];
      return kind === undefined ? undefined : `block.${Number(head)}.${Number(block)}.${kind}`;
    },
  };
}

/** What both layouts of Medusa's have in common; vLLM takes either's keys (configs/medusa.py). */
function medusa(config: HeadsConfig, blocks: number) {
  const { vocab_size: vocabSize, truncated_vocab_size: truncated } = config;
  return {
    kind: "medusa" as const,
    heads: config.num_heads ?? config.medusa_num_heads ?? null,
    blocks,
    prefix: false,
    vocabSize: vocabSize ?? null,
    draftVocab: truncated != null && truncated !== vocabSize ? truncated : null,
  };
}

function hydra(config: HeadsConfig, at: string): Layout {
  const arch = config.hydra_head_arch ?? "mlp";
  if (arch !== "mlp" && arch !== "prefix-mlp")
    throw headsUnsupported(
      at,
      `Hydra heads of hydra_head_arch ${JSON.stringify(arch.slice(0, 100))}: only "mlp" and "prefix-mlp" are read`,
    );
  if (config.grounded_heads !== true)
    throw headsUnsupported(
      at,
      "grounded_heads is not true: these heads are not told the tokens before theirs, so they are not Hydra's",
    );
  if ((config.hidden_state_offset ?? 0) !== 0)
    throw headsUnsupported(
      at,
      `hidden_state_offset is ${config.hidden_state_offset}: only the last hidden states (0) are handed to heads`,
    );
  const blocks = config.hydra_num_layers ?? 1;
  const prefix = arch === "prefix-mlp";
  // Before each module there is a dropout in the prefix form, which takes a number of its own.
  const place = (index: number) => (prefix ? (index % 2 === 1 ? (index - 1) / 2 : undefined) : index);
  return {
    ...{ kind: "hydra", layout: HEADS_LAYOUTS.hydra, heads: config.hydra_num_heads ?? null, fileCounts: false },
    ...{ blocks, blockBias: true, sharedLmHead: false, mayLackLmHead: true, prefix },
    vocabSize: config.vocab_size ?? null,
    draftVocab: null,
    translate(stored) {
      if (/^input_embed_fn\.|^prefix_embeding_layer\.embed_tokens\.|rotary_emb\.inv_freq$/.test(stored)) return null;
      const inPrefix = /^prefix_embeding_layer\.(layers\.0\..+|norm\.weight)$/.exec(stored);
      if (inPrefix !== null) return prefix ? `prefix.model.${inPrefix[1]}` : undefined;
      const [, head, index, part, kind] =
        /^hydra_mlp\.(\d+)\.(\d+)\.(linear|res_connection)\.(weight|bias)$/.exec(stored) ?? [];
      if (kind !== undefined) {
        const block = place(Number(index));
        const residual = part === "res_connection" ? ".residual" : "";
        return block === undefined ? undefined : `block.${Number(head)}.${block}${residual}.${kind}`;
      }
      const lmHead = (
        prefix ? /^hydra_lm_head\.(\d+)\.1\.(weight|bias)$/ : /^hydra_lm_head\.(\d+)\.(weight|bias)$/
      ).exec(stored);
      return lmHead === null ? undefined : `lm_head.${Number(lmHead[1])}.${lmHead[2]}`;
    },
  };
}
