/** How far passes of several tokens differ from passes of one, along a target's own greedy text. */
import { argmax, type Engine } from "../../src/runtime/engine.js";
import { targetChoices } from "../../src/schema/choice.js";

export interface PassNoise {
  /** tokens of the text */
  tokens: number;
  /** [tokens] root mean square over the vocabulary of the difference of logits, their common shift taken away */
  noise: number[];
  /** standard deviation of a row's logits, the mean over rows */
  spread: number;
  /** [tokens] by how much single passes prefer their own maximum to that of the longer pass; 0 where they agree */
  margins: number[];
  /** [tokens] distance of the two greatest logits of single passes */
  gaps: number[];
}

const spreadOf = (values: Float32Array): number => {
  const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
  return Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length);
};

/**
 * @param prompt shorter than a pass
 * @param q      tokens of the longer passes
 */
export function passNoise(engine: Engine, prompt: readonly number[], tokens: number, q: number): PassNoise {
  const choices = targetChoices(engine.spec.layers);
  const { vocabSize } = engine.spec;
  const rows: Float32Array[] = [engine.run({ position: 0, input: prompt, choices, logitRows: 1 }).logits.slice()];
  const ids: number[] = [];
  while (ids.length < tokens) {
    ids.push(argmax(rows[ids.length], 0, vocabSize));
    const position = prompt.length + ids.length - 1;
    rows.push(engine.run({ position, input: ids.slice(-1), choices, logitRows: 1 }).logits.slice());
  }
  const found: PassNoise = { tokens: 0, noise: [], spread: 0, margins: [], gaps: [] };
  engine.run({ position: 0, input: prompt, choices, logitRows: 0 });
  for (let from = 0; from + q <= tokens; from += q) {
    const input = ids.slice(from, from + q);
    const { logits } = engine.run({ position: prompt.length + from, input, choices, logitRows: q });
    for (let row = 0; row < q; row++) {
      const single = rows[from + row + 1];
      const longer = logits.subarray(row * vocabSize, (row + 1) * vocabSize);
      const best = argmax(single, 0, vocabSize);
      found.noise.push(spreadOf(single.map((x, i) => longer[i] - x)));
      found.spread += spreadOf(single);
      found.margins.push(single[best] - single[argmax(longer, 0, vocabSize)]);
      found.gaps.push(single[best] - single.reduce((most, x, i) => (i === best ? most : Math.max(most, x)), -Infinity));
    }
  }
  found.tokens = found.noise.length;
  found.spread /= found.tokens;
  return found;
}

/**
 * The noise of two passes that round their activations independently, as a share of the logits' spread: docs/method.md, "The tie
 * margin of a quantised target". 0.016 is what one block adds of its own, √2 makes it a difference of two.
 */
export function independentRounding(layers: number): number {
  let harmonic = 0;
  for (let block = 1; block <= 2 * layers; block++) harmonic += 1 / block;
  return 0.016 * Math.SQRT2 * Math.sqrt(harmonic);
}
