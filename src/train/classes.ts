/**
 * The tokens that a step of training tells apart. A large vocabulary makes a step dear, since its cost is the LM head's, and
 * nearly all of it is spent on tokens that the target never writes. So the loss is estimated (Jean et al. 2015,
 * arXiv:1412.2007, section 3): every token of the text trained on is a class, and for the others stands a sample, drawn anew
 * at every step and weighed by how many it stands for. Held-back text is judged with the whole vocabulary.
 */
import type { Random } from "../stats/random.js";
import type { OwnText } from "./examples.js";

/** others drawn at a step */
const SAMPLE = 2048;
/** share of the vocabulary from which on a sample saves too little to be worth its noise */
const MOST_SHARE = 0.5;

/** Where a step's classes are put. */
export interface ClassRows {
  /**
   * @param from    of the class that `tokens` begin at
   * @param offsets added to their logits
   */
  choose(from: number, tokens: Int32Array, offset: number): void;
}

export class Classes {
  /** of the step's classes the first: those of the text, by rising id */
  private readonly own: Int32Array;
  /** the tokens that are not among them */
  private readonly others: Int32Array;
  /** [vocabSize] class of a token of the text, −1 of another */
  private readonly classOf: Int32Array;
  /** of every step */
  readonly count: number;

  private constructor(own: Int32Array, vocabSize: number, sample: number) {
    this.own = own;
    this.classOf = new Int32Array(vocabSize).fill(-1);
    own.forEach((token, index) => {
      this.classOf[token] = index;
    });
    this.others = Int32Array.from({ length: vocabSize }, (_, token) => token).filter(
      (token) => this.classOf[token] === -1,
    );
    this.count = own.length + sample;
  }

  /** @returns null where the whole vocabulary is to be told apart: it is small, or the text has much of it */
  static of(texts: readonly OwnText[], vocabSize: number, sample = SAMPLE): Classes | null {
    const tokens = new Set<number>();
    for (const { ids } of texts) for (const id of ids) tokens.add(id);
    if (tokens.size + sample > MOST_SHARE * vocabSize) return null;
    return new Classes(Int32Array.from(tokens).sort(), vocabSize, sample);
  }

  /** The classes that are the same at every step. */
  fix(rows: ClassRows): void {
    rows.choose(0, this.own, 0);
  }

  /**
   * Draws the step's other classes, and writes targets as classes.
   * @param targets tokens of the text
   */
  draw(rows: ClassRows, random: Random, targets: BigInt64Array): void {
    const { others } = this;
    const sample = this.count - this.own.length;
    const drawn = Array.from({ length: sample }, (_, i) => i + random.index(others.length - i));
    drawn.forEach((j, i) => {
      [others[i], others[j]] = [others[j], others[i]];
    });
    rows.choose(this.own.length, others.subarray(0, sample), Math.log(others.length / sample));
    // back in their order, so that a draw depends on its own random numbers alone
    for (let i = sample - 1; i >= 0; i--) [others[i], others[drawn[i]]] = [others[drawn[i]], others[i]];
    for (let i = 0; i < targets.length; i++) targets[i] = BigInt(this.classOf[Number(targets[i])]);
  }
}
