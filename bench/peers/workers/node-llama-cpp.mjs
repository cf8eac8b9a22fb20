/** node-llama-cpp on a GGUF file as it is: plain, with its lookup in the input, and with a draft model. */
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { answering, tokenTimes } from "./answering.mjs";

await answering(async ({ model: path, draft: draftPath, threads, capacity, draftTokens }) => {
  const { DraftSequenceTokenPredictor, getLlama, InputLookupTokenPredictor, LlamaLogLevel } = await import(
    "node-llama-cpp"
  );
  const llama = await getLlama({ gpu: false, build: "never", maxThreads: threads, logLevel: LlamaLogLevel.error });
  const target = await llama.loadModel({ modelPath: path });
  const settings = { contextSize: capacity, threads: { ideal: threads, min: threads } };
  const sequenceOf = async (model, options) => (await model.createContext(settings)).getSequence(options);

  const sequences = { plain: await sequenceOf(target) };
  sequences["lookup in the input"] = await sequenceOf(target, { tokenPredictor: new InputLookupTokenPredictor() });
  const drafting = await sequenceOf(await llama.loadModel({ modelPath: draftPath }));
  const tokenPredictor = new DraftSequenceTokenPredictor(drafting, { minTokens: 0, maxTokens: draftTokens });
  sequences["draft model"] = await sequenceOf(target, { tokenPredictor });
  const precision = `${precisionOf(basename(path))}, as in the file`;
  return {
    ready: {
      // its package.json is not among its exports
      version: JSON.parse(readFileSync(new URL("../package.json", import.meta.resolve("node-llama-cpp")), "utf8"))
        .version,
      ways: Object.keys(sequences).map((way) => ({ way, precision })),
    },
    async answer({ way, prompt, tokens }) {
      const sequence = sequences[way];
      await sequence.clearHistory();
      const before = { ...sequence.tokenPredictions };
      const { seen, times } = tokenTimes();
      const ids = [];
      for await (const token of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
        seen();
        ids.push(token);
        if (ids.length === tokens) break;
      }
      if (way === "plain") return { ids, ...times() };
      const { validated, refuted } = sequence.tokenPredictions;
      const [stood, fell] = [validated - before.validated, refuted - before.refuted];
      return { ids, ...times(), acceptance: stood + fell === 0 ? null : stood / (stood + fell) };
    },
    close: () => llama.dispose(),
  };
});

/** As such files are named. */
function precisionOf(name) {
  return /\b(I?Q\d\w*|F16|BF16|F32)\b/i.exec(name)?.[1] ?? "GGUF";
}
