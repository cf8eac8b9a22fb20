/**
 * What a lookup would have drafted, round after round, whoever drafts: that costs nothing, since it only reads the text. So
 * a text that begins to repeat itself shows at once, and no round has to be spent on trying.
 */
import { NgramIndex } from "../../core/ngram-index.js";
import { type Drafter, NOTHING } from "../drafters/drafter.js";

/** What a lookup saw of one round. */
export interface Looked {
  /** tokens of the longest n-gram at the text's end, before the round, that stood before; 0: none did */
  matched: number;
  /** tokens of the round that it would have proposed, up to the first that it would not */
  right: number;
  /** whether the next one after those would have been rejected; false: the round, or the proposal, ended there */
  rejected: boolean;
}

/** Hears the text as a drafter does, and never drafts. */
export class LookupWatch implements Drafter {
  readonly key = "lookup, watched";
  private index: NgramIndex;
  private proposed: readonly number[] = [];
  private looked: Looked | null = null;

  /** @param draftTokens of the longest draft that is to be judged */
  constructor(
    private readonly maxNgram: number,
    private readonly draftTokens: number,
  ) {
    this.index = new NgramIndex(maxNgram);
  }

  /** Of the last tokens that were added; null before any were. */
  get last(): Looked | null {
    return this.looked;
  }

  begin(text: readonly number[]): void {
    this.index = new NgramIndex(this.maxNgram);
    this.looked = null;
    this.read(text);
  }

  extend(tokens: readonly number[]): void {
    const { proposed } = this;
    const most = Math.min(tokens.length, proposed.length);
    let right = 0;
    while (right < most && tokens[right] === proposed[right]) right++;
    this.looked = { matched: this.index.match().tokens, right, rejected: right < most };
    this.read(tokens);
  }

  draft(): typeof NOTHING {
    return NOTHING;
  }

  costUs(): number {
    return 0;
  }

  private read(tokens: readonly number[]): void {
    this.index.extend(tokens);
    this.proposed = this.index.continuation(this.draftTokens);
  }
}
