/**
 * What a draft tree yields along a text, from the ranks that the text's own tokens have under drafting heads.
 *
 * At a position of the text the ranks r_1, r_2, … of its next tokens under heads 1, 2, … say which node of a tree would be
 * accepted last: the deepest one whose path they begin with. Rounds follow one another along the text, as in decoding: a
 * round begins behind the last one's first miss, and misses come in clusters, so a mean over every position sees too much
 * of what is easy. Whole self drafts are weighed in the same way (calibrate/acceptance-curve.ts); as the tree is given, no
 * other length need be told from its rounds, and a_i is simply the share of rounds that accepted i tokens.
 */

export interface RanksAlongTexts {
  /** ranks of the next tokens up to the first that is not listed, and how many positions have exactly these */
  readonly paths: readonly { readonly ranks: readonly number[]; readonly positions: number }[];
  /** [texts][positions] which of the paths a position has, in the order of the text */
  readonly texts: readonly (readonly number[])[];
}

/** Rounds of one tree along texts. */
export interface TreeRounds {
  rounds: number;
  /** tokens they yield, the target's own counted */
  tokens: number;
  /** [depth + 1] share of rounds that accepted i tokens or more; a_0 = 1 */
  curve: number[];
  /** [depth] rounds that came to depth i: all before it were accepted. A depth that few came to is little known */
  reached: number[];
  /** [texts] the rounds of each, for the error of the tokens of a round */
  byText: { rounds: number; tokens: number }[];
}

/**
 * Drafts with the tree along every text, each round from where the one before it ended.
 * @param tree [nodes] ranks along each node's path, every prefix of a path among them
 * @returns without any position: no rounds, and a curve that says nothing is accepted
 */
export function treeRounds({ paths, texts }: RanksAlongTexts, tree: readonly (readonly number[])[]): TreeRounds {
  const nodes = new Set(tree.map((path) => path.join()));
  const depth = tree.reduce((deepest, path) => Math.max(deepest, path.length), 0);
  const acceptedOf = paths.map(({ ranks }) => {
    let accepted = 0;
    while (accepted < ranks.length && nodes.has(ranks.slice(0, accepted + 1).join())) accepted++;
    return accepted;
  });
  const atLeast = new Array<number>(depth + 1).fill(0); // [i] rounds that accepted i tokens or more
  const byText = texts.map((text) => {
    const count = { rounds: 0, tokens: 0 };
    for (let at = 0; at < text.length; ) {
      const accepted = acceptedOf[text[at]];
      for (let i = 0; i <= accepted; i++) atLeast[i]++;
      count.rounds++;
      count.tokens += accepted + 1;
      at += accepted + 1;
    }
    return count;
  });
  const rounds = atLeast[0];
  return {
    rounds,
    tokens: byText.reduce((sum, count) => sum + count.tokens, 0),
    curve: atLeast.map((count, i) => (i === 0 ? 1 : rounds === 0 ? 0 : count / rounds)),
    reached: atLeast.slice(0, depth),
    byText,
  };
}
