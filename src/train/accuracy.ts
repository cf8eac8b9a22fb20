/** How well heads guess: by rank, and by the tokens that a round of drafting with them yields. */

export interface HeadAccuracy {
  /** share of positions where the target's token is the head's first guess */
  top1: number;
  /** among its first ten */
  top10: number;
  /** nats */
  loss: number;
}

export interface Accuracy {
  positions: number;
  heads: HeadAccuracy[];
  /** the heads' mean losses, summed: what is trained */
  loss: number;
  /**
   * tokens of a round with a chain of every head's first guess, the bonus token counted: each text is gone through round
   * after round, as decoding would, and tokens are divided by rounds
   */
  tokensPerRound: number;
}

/** Of one text, [positions, heads]. */
export interface Judged {
  losses: Float32Array;
  ranks: Float32Array;
}

const TOP = 10;

export function accuracyOf(texts: readonly Judged[], heads: number): Accuracy {
  const sums = Array.from({ length: heads }, () => ({ top1: 0, top10: 0, loss: 0 }));
  let positions = 0;
  let [tokens, rounds] = [0, 0];
  for (const { losses, ranks } of texts) {
    const rows = ranks.length / heads;
    positions += rows;
    for (let i = 0; i < ranks.length; i++) {
      const sum = sums[i % heads];
      sum.loss += losses[i];
      if (ranks[i] < 1) sum.top1 += 1;
      if (ranks[i] < TOP) sum.top10 += 1;
    }
    for (let at = 0; at < rows; rounds += 1) {
      let accepted = 0;
      while (accepted < heads && ranks[at * heads + accepted] < 1) accepted += 1;
      tokens += accepted + 1;
      at += accepted + 1;
    }
  }
  const means = sums.map(({ top1, top10, loss }) => ({
    top1: top1 / positions,
    top10: top10 / positions,
    loss: loss / positions,
  }));
  return {
    positions,
    heads: means,
    loss: means.reduce((sum, { loss }) => sum + loss, 0),
    tokensPerRound: tokens / rounds,
  };
}
