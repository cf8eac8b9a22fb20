/**
 * Siblings of a draft's last token, by counting alone: nothing is timed, so a busy machine does not matter.
 *
 *     node bench/siblings.mjs MODEL --texts FILE [--row 0.05] [--tree 1.02] [--prompts 12]
 *
 * FILE is what bench/lookup-trees.mjs --texts wrote: the model's own continuations. For drafts of the model's own blocks (all
 * int8, and without some blocks): how often the target's token is the draft's second, third, … likeliest where it is not its
 * own, and the best draft without and with siblings by costs given as shares of a plain step: of a draft step of each draft,
 * --row of each further row of a verification, --tree times the pass of a tree beside a chain's.
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { measureDrafts } from "../dist/calibrate/whole-drafts.js";
import { silentProgress } from "../dist/core/progress.js";
import { loadModel } from "../dist/runtime/load.js";
import { uniformChoices } from "../dist/schema/choice.js";

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    texts: { type: "string" },
    prompts: { type: "string", default: "12" },
    row: { type: "string", default: "0.05" },
    tree: { type: "string", default: "1.02" },
  },
});
const [source = "embedded"] = positionals;
const [row, tree, count] = [values.row, values.tree, values.prompts].map(Number);
const LONGEST = 8;
const kinds = Object.values(JSON.parse(readFileSync(values.texts, "utf8")));
const texts = Array.from({ length: count }, (_, i) => kinds[i % kinds.length][Math.floor(i / kinds.length)]).filter(
  (text) => text !== undefined && text.ids.length > LONGEST,
);
const model = await loadModel(source, { provider: "cpu", threads: 1, capacity: 1400 });
const { layers } = model.engine.spec;

/** int8, without so many blocks spread over the model's middle */
function without(blocks) {
  const whole = uniformChoices(layers, "int8");
  const skipped = new Set(
    Array.from({ length: blocks }, (_, i) => 2 * Math.round(((i + 1) * layers) / (blocks + 1)) - 1),
  );
  return { ...whole, blocks: whole.blocks.map((choice, b) => (skipped.has(b) ? "skip" : choice)) };
}

const blocks = [0, 0.15, 0.3].map((share) => Math.round(share * layers));
const found = await measureDrafts(model.engine, texts, blocks.map(without), LONGEST, silentProgress);
model.close();
const lengths = Array.from({ length: LONGEST }, (_, i) => i + 1);
const best = (all) => all.reduce((a, b) => (b.tokens_a_step > a.tokens_a_step ? b : a));
const results = found.map(({ curve, siblings, tokens }, i) => {
  const steps = [0.15, 0.4].map((step) => {
    const speed = (d, s) => {
      const rate = siblings[d - 1].slice(0, s).reduce((sum, share) => sum + share, 0);
      const yielded = curve.slice(0, d + 1).reduce((sum, a) => sum + a, 0) + rate * curve[d - 1];
      const verify = (1 + row * (d + s)) * (s > 0 ? tree : 1);
      return { d, siblings: s, tokens_a_round: yielded, tokens_a_step: yielded / (d * step + verify) };
    };
    const chain = best(lengths.map((d) => speed(d, 0)));
    const beside = best(lengths.flatMap((d) => [1, 2, 3, 4, 5, 6, 7].map((s) => speed(d, s))));
    return { step, chain, beside, gain: beside.tokens_a_step / chain.tokens_a_step };
  });
  return { skipped: blocks[i], positions: tokens, accepted: curve[1], second_and_on: siblings[0], steps };
});
console.log(JSON.stringify({ model: source, row, tree, results }, null, 1));
