/** The peers, and how each is opened: a command, and what it is told. Plans and exports are made where they are missing. */
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { DRAFT_TOKENS, exportFor, planFor } from "./prepare.mjs";

const script = (name) => fileURLToPath(new URL(`workers/${name}`, import.meta.url));

/** For onnxruntime-genai, whose target is in fp32: all of it in int8, which guesses well and takes a third of the time. */
const allInt8 = () => ({ default: "int8", head: "int8", skip: [], choices: {} });

/**
 * For llama.cpp, whose target is quantised already, so that only what is left out makes a draft cheaper: two layers behind
 * the middle. Of SmolLM2 they are 13 and 20, as in docs/engines/llama.cpp.md.
 */
const withoutTwoLayers = (layers) => ({
  ...{ default: "target", head: "target", choices: {} },
  skip: [13 / 30, 20 / 30].map((at) => Math.round(at * layers)).flatMap((layer) => [`${layer}.attn`, `${layer}.mlp`]),
});

/** as many tokens as draftplan's lookup drafts without a plan */
const LOOKUP_TOKENS = 8;
/** n-grams of three tokens, and the one that is looked for (docs/engines/onnxruntime-genai.md) */
const GENAI_LOOKUP = { max_draft_tokens: LOOKUP_TOKENS, min_adaptive_k: 0, ngram_size: 4, ngram_chained_lookup: true };

/** by the peer's word in --peers */
const PEERS = {
  draftplan: (settings) => [draftplan(settings, "fp32", settings.plan), draftplan(settings, "int8", settings.int8Plan)],
  "node-llama-cpp": ({ model, threads, capacity, folder }) => [
    {
      name: "node-llama-cpp",
      open: () => {
        if (!model.endsWith(".gguf")) throw new Error("it takes GGUF files alone");
        const draft = join(exportFor("llama.cpp", folder, model, withoutTwoLayers), "draft.gguf");
        return {
          command: [process.execPath, script("node-llama-cpp.mjs")],
          options: { model, threads, capacity, draftTokens: DRAFT_TOKENS, draft },
        };
      },
    },
  ],
  "onnxruntime-genai": ({ model, threads, python, folder }) => [
    {
      name: "onnxruntime-genai",
      open: () => ({
        command: [python, script("genai.py")],
        options: {
          ...{ threads, lookup: GENAI_LOOKUP },
          folder: exportFor("onnxruntime-genai", folder, model, allInt8),
        },
      }),
    },
  ],
  transformers: ({ model, threads, python, earlyExit }) => [
    {
      name: "transformers",
      open: () => ({
        command: [python, script("transformers_peer.py")],
        options: { model, threads, lookupTokens: LOOKUP_TOKENS, earlyExit },
      }),
    },
  ],
};

function draftplan(settings, target, planPath) {
  const { model, threads, capacity } = settings;
  const folder = join(settings.folder, `${settings.threads}-threads`);
  return {
    name: `draftplan ${target}`,
    open: () => ({
      command: [process.execPath, script("draftplan.mjs")],
      options: { model, threads, capacity, target, plan: planPath ?? planFor(folder, { ...settings, target }) },
    }),
  };
}

/** @throws for a word that is no peer */
export function peersOf(settings, names) {
  const { model, contexts, tokens } = settings;
  // plans and exports are this model's; drafts of engines write a few tokens beyond
  const folder = join(settings.folder, basename(model));
  const capacity = Math.max(...contexts) + tokens + 64;
  return names.flatMap((name) => {
    if (!Object.hasOwn(PEERS, name)) throw new Error(`--peers: ${name} is none of ${Object.keys(PEERS).join(", ")}`);
    return PEERS[name]({ ...settings, capacity, folder });
  });
}
