/** Passes of one token and of several under a quantised target: no further apart than independent rounding explains. */
import { afterEach, describe, expect, test } from "vitest";
import { type LoadedModel, loadModel } from "../../src/runtime/load.js";
import type { TargetPrecision } from "../../src/schema/numerics.js";
import { TIE_MARGINS } from "../../src/schema/verification.js";
import { LONG } from "../support/long.js";
import { independentRounding, passNoise } from "../support/pass-noise.js";

/** `The Congress of the` */
const PROMPT = [0, 2819, 506, 268];
const TOKENS = 36;

describe("of the embedded model", () => {
  let model: LoadedModel;
  afterEach(() => model?.close());
  const noiseOf = async (targetPrecision: TargetPrecision, q: number) => {
    model = await loadModel("embedded", {
      provider: "cpu",
      threads: 1,
      capacity: 256,
      kernels: ["target"],
      targetPrecision,
    });
    return passNoise(model.engine, PROMPT, TOKENS, q);
  };

  const passes: [TargetPrecision, number][] = LONG
    ? [
        ["int8", 2],
        ["int4", 6],
      ]
    : [["int8", 6]];
  test.each(passes)("%s, passes of %d: logits and margins", async (precision, q) => {
    const { noise, spread, margins, tokens } = await noiseOf(precision, q);
    expect(tokens).toBe(TOKENS);
    expect(Math.max(...noise) / spread).toBeLessThan(independentRounding(model.spec.layers));
    expect(Math.max(...margins)).toBeLessThan(TIE_MARGINS[precision]);
  });

  test.skipIf(LONG)("fp32 is a thousand times nearer, and its margin would not do for int8", async () => {
    const { noise } = await noiseOf("fp32", 6);
    model.close();
    const quantised = await noiseOf("int8", 6);
    expect(Math.max(...quantised.noise)).toBeGreaterThan(1000 * Math.max(...noise));
    expect(Math.max(...quantised.noise)).toBeGreaterThan(TIE_MARGINS.fp32);
  });
});
