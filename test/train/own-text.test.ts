/** What heads are trained on: each state is the one that the token beside it was, or would have been, chosen at. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { continuePrompts } from "../../src/calibrate/continuation.js";
import { silentProgress } from "../../src/core/progress.js";
import { openCheckpoint } from "../../src/model/open.js";
import { collectOwnText, type PromptOfPart } from "../../src/pipeline/train/own-text.js";
import { argmax } from "../../src/runtime/engine.js";
import { loadModel } from "../../src/runtime/load.js";
import { openSideBySide } from "../../src/runtime/side-by-side/open.js";
import { targetChoices } from "../../src/schema/choice.js";
import { seededRandom } from "../../src/stats/random.js";
import { WorkFolder } from "../../src/train/work-folder.js";
import { temporaryFolder, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";

const folder = temporaryFolder();

test.each([
  ["one after another", null],
  ["three at once", 3],
])(
  "states stand beside the tokens they choose, of text that was read and of the target's own, %s",
  async (name, places) => {
    const path = join(folder, `model, ${name}`);
    mkdirSync(path);
    writeTinyCheckpoint(path, { context: 256, vocab: 64, eosTokenIds: [] });
    const model = await loadModel(path, { provider: "cpu", threads: 1, capacity: 256, kernels: ["target", "int8"] });
    const checkpoint = await openCheckpoint(path);
    const { vocabSize, hiddenSize, layers } = model.spec;
    const head = checkpoint.tensor(model.spec.tiedEmbeddings ? "model.embed_tokens.weight" : "lm_head.weight", [
      vocabSize,
      hiddenSize,
    ]);
    const norm = checkpoint.tensor("model.norm.weight", [hiddenSize]);
    const random = seededRandom(1);
    const some = (count: number) => Array.from({ length: count }, () => random.index(vocabSize));
    const pieces = [some(60), some(64)];
    const prompts: PromptOfPart[] = [
      ...pieces.map((ids) => ({ part: "read" as const, ids })),
      ...Array.from({ length: 12 }, (_, i) => ({
        part: i % 3 < 2 ? ("train" as const) : ("held back" as const),
        ids: some(9),
      })),
    ];
    const work = new WorkFolder(join(folder, `work, ${name}`), {}, hiddenSize, 0, () => {});
    const { modelPath, dialect, spec } = model;
    const texts =
      places === null ? null : openSideBySide(modelPath, spec, { threads: 1, dialect, capacity: 256, places });
    try {
      const options = { prompts, work, texts, norm, heads: 2, untilUs: 1, progress: silentProgress };
      await collectOwnText(model.engine, { nowUs: () => 0 }, options);
      const chosen = ({ states }: { states: Float32Array }, row: number) => {
        const logits = Float32Array.from({ length: vocabSize }, (_, token) => {
          let sum = 0;
          for (let i = 0; i < hiddenSize; i++) sum += head[token * hiddenSize + i] * states[row * hiddenSize + i];
          return sum;
        });
        return argmax(logits, 0, vocabSize);
      };
      work.of("read").forEach((text, piece) => {
        expect([...text.ids]).toEqual(pieces[piece].slice(1));
        const input = pieces[piece].slice(0, -1);
        const rows = input.length;
        const { logits } = model.engine.run({ position: 0, input, choices: targetChoices(layers), logitRows: rows });
        for (let row = 0; row < rows; row++) expect(chosen(text, row)).toBe(argmax(logits, row, vocabSize));
      });
      expect(work.of("read")).toHaveLength(2);
      for (const part of ["train", "held back"] as const)
        for (const text of work.of(part))
          expect(Array.from(text.ids, (_, row) => chosen(text, row))).toEqual([...text.ids]);
      expect(work.of("train").map(({ ids }) => ids.length)).toEqual(new Array(8).fill(128));
      // the prompts' own texts, in their order
      const plain = await continuePrompts(
        model.engine,
        { nowUs: () => 0 },
        prompts.slice(2).map(({ ids }) => ids),
        127,
        silentProgress,
      );
      expect(work.texts.slice(2).map(({ ids }) => [...ids])).toEqual(plain.map(({ ids }) => ids));
    } finally {
      texts?.close();
      model.close();
      checkpoint.close();
    }
  },
);
