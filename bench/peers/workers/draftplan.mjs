/** draftplan's own decoder, from its build: one model in one precision, plain, with its plan, and with a lookup. */
import { fileURLToPath, pathToFileURL } from "node:url";
import { answering } from "./answering.mjs";

const DIST = pathToFileURL(fileURLToPath(new URL("../../../dist/", import.meta.url))).href;
const library = (path) => import(DIST + path);

/** what `--drafter lookup` does without a plan (docs/drafters.md) */
const LOOKUP = { draft_tokens: 8, drafter: { kind: "lookup", ngram_tokens: { min: 3, max: 8 } } };

/** int8 is made of what the file holds; where that is quantised already, a second time */
const PRECISION = { fp32: "fp32", int8: "int8, of the file's weights" };

await answering(async ({ model: path, threads, capacity, target, plan: planPath }) => {
  const { draftplanVersion } = await library("core/version.js");
  const { decode, prefill } = await library("decode/loop.js");
  const { planPolicy, requireSameModel } = await library("decode/policy.js");
  const { acceptanceOf } = await library("decode/statistics.js");
  const { planKernels } = await library("pipeline/choices.js");
  const { systemClock } = await library("runtime/device.js");
  const { loadModel } = await library("runtime/load.js");
  const { targetChoices } = await library("schema/choice.js");
  const { readDocumentOf } = await library("schema/document.js");

  const plan = readDocumentOf("draftplan/plan", planPath).document;
  const kernels = planKernels([plan]);
  const model = await loadModel(path, { provider: "cpu", threads, capacity, kernels, targetPrecision: target });
  const { engine, spec, ref } = model;
  const digests = { architectureSha256: ref.architecture_sha256, weightsSha256: ref.weights_sha256 };
  requireSameModel(plan, { spec, ...digests }, planPath);
  const everywhere = { context_tokens: { from: 0, to: capacity }, speculate: true };
  const lookup = { model: ref, segments: [{ ...everywhere, ...LOOKUP }] };
  const policies = {
    plain: null,
    plan: planPolicy(plan, spec.layers, planPath),
    lookup: planPolicy(lookup, spec.layers, "the lookup by default"),
  };

  const answers = {
    decode: async ({ way, prompt, tokens }) => {
      const policy = policies[way];
      const made = await decode(engine, prompt, { maxTokens: tokens, endTokens: [], policy, clock: systemClock });
      // the first token comes with the prompt's pass
      const times = { promptMs: made.promptUs / 1e3, decodeMs: made.decodeUs / 1e3, timedTokens: tokens - 1 };
      if (policy === null) return { ids: made.ids, ...times };
      const tokensPerRound = (made.ids.length - 1) / made.rounds.length;
      return { ids: made.ids, ...times, acceptance: acceptanceOf(made.rounds).acceptance, tokensPerRound };
    },
    /** how far apart the target holds two tokens behind a text */
    gap: async ({ text, pair: [a, b] }) => {
      const { logits } = await prefill(engine, text, targetChoices(spec.layers));
      return { gap: Math.abs(logits[a] - logits[b]) };
    },
  };
  return {
    ready: {
      version: draftplanVersion(),
      ways: Object.keys(policies).map((way) => ({ way, precision: PRECISION[target] })),
    },
    answer: (request) => answers[request.what](request),
    close: () => model.close(),
  };
});
