/**
 * Lookups that go on from several places at once, by counting alone: nothing is timed, so a busy machine does not matter.
 *
 *     node bench/lookup-trees.mjs MODEL [--tokens 200] [--prompts 8] [--texts FILE] [--row 0.05] [--tree 1.02]
 *
 * The model continues prompts of three kinds: copies (a passage and the request to write it again), chats and code, each cut
 * from bench/held-back. With --texts what it wrote is kept in a file, or read from there, so that counting again costs
 * nothing. For every kind and for all of them: the best lookup of one place, and the best of several, by costs given as
 * shares of a plain step: --row of each further row of a verification, --tree times the pass of a tree beside a chain's.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { lookupAlong } from "../dist/calibrate/along-text.js";
import { lookupDrafter } from "../dist/decode/drafters/lookup.js";
import { decode } from "../dist/decode/loop.js";
import { systemClock } from "../dist/runtime/device.js";
import { loadModel } from "../dist/runtime/load.js";
import { lookupOf } from "../dist/solve/drafting/drafters.js";
import { knownLookup } from "../dist/solve/drafting/evidence.js";
import { openTokenizer } from "../dist/tokenizer/open.js";

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    tokens: { type: "string", default: "200" },
    prompts: { type: "string", default: "8" },
    texts: { type: "string" },
    row: { type: "string", default: "0.05" },
    tree: { type: "string", default: "1.02" },
  },
});
const [source = "embedded"] = positionals;
const [tokens, count, row, tree] = [values.tokens, values.prompts, values.row, values.tree].map(Number);

const read = (name) => readFileSync(new URL(`held-back/${name}.txt`, import.meta.url), "utf8");
/** The i-th piece of so many characters, beginning anew where the text ends. */
const piece = (text, i, length) => {
  const from = (i * length) % Math.max(1, text.length - length);
  return text.slice(from, from + length);
};
const REQUESTS = [
  ["code", "Rename the first variable in this code and print all of it again"],
  ["prose", "Correct the spelling of this text and print the whole text again"],
  ["table", "Print this table again, with its rows in the same order"],
  ["list", "Print this list again and add one line"],
];

async function writeTexts() {
  const model = await loadModel(source, { provider: "cpu", threads: 1, capacity: 1400 });
  const tokenizer = await openTokenizer(source);
  const ask = (content) =>
    tokenizer.encode(
      tokenizer.chatTemplate === undefined
        ? content
        : `<|im_start|>user\n${content}<|im_end|>\n<|im_start|>assistant\n`,
    );
  const numbers = Array.from({ length: count }, (_, i) => i);
  const prompts = {
    copies: numbers.map((i) => {
      const [name, request] = REQUESTS[i % REQUESTS.length];
      return ask(`${request}:\n\n${piece(read(name), i, 900)}\n`);
    }),
    chats: numbers.map((i) => tokenizer.encode(piece(read("chat"), i, 600))),
    code: numbers.map((i) => tokenizer.encode(piece(read("code"), i, 1000))),
  };
  const made = {};
  for (const [kind, all] of Object.entries(prompts)) {
    made[kind] = [];
    for (const prompt of all) {
      const drafter = lookupDrafter({ min: 3, max: 8 }); // the text is the model's own, only sooner
      const policy = () => ({ drafter, draftTokens: 6 });
      const options = { clock: systemClock, policy, maxTokens: tokens + 1, endTokens: model.engine.spec.eosTokenIds };
      const { ids } = await decode(model.engine, prompt, options);
      made[kind].push({ prompt, ids });
    }
  }
  model.close();
  return made;
}

const isKept = values.texts !== undefined && existsSync(values.texts);
const made = isKept ? JSON.parse(readFileSync(values.texts, "utf8")) : await writeTexts();
if (values.texts !== undefined && !isKept) writeFileSync(values.texts, JSON.stringify(made));

/** The texts of one kind as a calibration has them. */
function contextOf(texts) {
  const along = texts.filter(({ ids }) => ids.length > 1).map(lookupAlong);
  return {
    ...{ at_context: 0, part: "choose", positions: along.reduce((sum, { matched }) => sum + matched.length, 0) },
    matched: along.map(({ matched }) => matched),
    followed: along.map(({ followed }) => followed),
    branches: along.map(({ branches }) => branches),
  };
}

/** What a lookup comes to along the texts: a plain step is one unit of time. */
function walked(lookup, min, draftTokens, branches) {
  const known = knownLookup({ lookup, models: new Map() }, lookupOf({ min, max: 8 }, branches), draftTokens);
  const shares = known.trees ?? [{ nodes: draftTokens, isTree: false, share: 1 }];
  const verify = (nodes, isTree) => (1 + row * nodes) * (isTree ? tree : 1);
  const looked = shares.reduce((sum, { nodes, isTree, share }) => sum + share * verify(nodes, isTree), 0);
  const tokensARound = known.curve.reduce((sum, a) => sum + a, 0);
  return {
    ...{ min, draft_tokens: draftTokens, branches, match: known.match, tokens_a_round: tokensARound },
    mean_nodes: known.match * shares.reduce((sum, { nodes, share }) => sum + share * nodes, 0),
    tokens_a_step: tokensARound / (known.match * looked + 1 - known.match),
  };
}

const LENGTHS = [1, 2, 3, 4, 6, 8, 12, 16];
const MATCHES = [1, 2, 3, 4];
const best = (all) => all.reduce((a, b) => (b.tokens_a_step > a.tokens_a_step ? b : a));
const results = Object.entries({ ...made, all: Object.values(made).flat() }).flatMap(([kind, texts]) => {
  const lookup = contextOf(texts);
  if (lookup.positions === 0) return [];
  const over = (...branches) =>
    best(
      branches.flatMap((one) =>
        MATCHES.flatMap((min) =>
          LENGTHS.filter((d) => (one?.draft_tokens ?? 0) <= d).map((d) => walked(lookup, min, d, one)),
        ),
      ),
    );
  const several = [2, 3, 4, 8].map((places) =>
    over(...[1, 2, 4, 8].map((draft_tokens) => ({ count: places, draft_tokens }))),
  );
  const one = over(undefined);
  return {
    kind,
    texts: texts.length,
    positions: lookup.positions,
    one,
    gain: best(several).tokens_a_step / one.tokens_a_step,
    several,
  };
});
console.log(JSON.stringify({ model: source, row, tree, results }, null, 1));
