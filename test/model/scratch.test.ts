import { test } from "vitest";
import { openCheckpoint } from "../../src/model/open.js";
import { expectedTensors } from "../../src/model/tensors.js";
import { readGgufTokenizerMetadata } from "../../src/model/gguf-tokenizer.js";
test("x", async () => {
  for (const p of ["embedded", "/work/shared/models/SmolLM2-135M-Instruct.Q4_1.gguf", ...["llama","mistral","qwen2","qwen3"].map(a=>`/work/shared/goldens/tiny-${a}`)]) {
    let t = performance.now();
    const c = await openCheckpoint(p);
    console.log(c.spec, c.weightsSha256, c.architectureSha256, c.storedTypes, performance.now() - t);
    t = performance.now(); let n = 0;
    for (const [name, shape] of expectedTensors(c.spec)) n += c.tensor(name, shape).length;
    console.log(n, performance.now() - t, "ms");
    c.close();
  }
  let t = performance.now();
  const m = readGgufTokenizerMetadata("/work/shared/models/SmolLM2-135M-Instruct.Q4_1.gguf");
  console.log({ ...m, tokens: m.tokens.slice(0, 5), tokenTypes: m.tokenTypes.slice(0, 5), merges: m.merges.slice(0, 5) }, performance.now() - t);
});
