/** Drafts that end early, by listing every run of confidences one by one. Imports nothing from src. */

export interface ListedRule {
  /** longest draft */
  most: number;
  /** whether to go on behind these bins */
  goesOn(bins: readonly number[]): boolean;
}

export interface ListedDraft {
  /** [positions][bins] */
  shares: readonly (readonly number[])[];
  /** [bins] */
  acceptance: readonly number[];
}

/** Every run of bins that a rule ends, with its chance. */
export function runsOf(rule: ListedRule, { shares }: ListedDraft): { bins: number[]; chance: number }[] {
  const ended: { bins: number[]; chance: number }[] = [];
  const follow = (bins: readonly number[], chance: number) => {
    for (let bin = 0; bin < shares[0].length; bin++) {
      const next = [...bins, bin];
      const reached = chance * shares[bins.length][bin];
      if (next.length === rule.most || !rule.goesOn(next)) ended.push({ bins: next, chance: reached });
      else follow(next, reached);
    }
  };
  follow([], 1);
  return ended;
}

/** [most] share of rounds of each length; [most + 1] share with i tokens drafted and accepted. */
export function listed(rule: ListedRule, draft: ListedDraft): { lengths: number[]; curve: number[] } {
  const lengths = new Array<number>(rule.most).fill(0);
  const curve = new Array<number>(rule.most + 1).fill(0);
  for (const { bins, chance } of runsOf(rule, draft)) {
    lengths[bins.length - 1] += chance;
    let stands = 1;
    for (let i = 0; i <= bins.length; i++) {
      curve[i] += chance * stands;
      if (i < bins.length) stands *= draft.acceptance[bins[i]];
    }
  }
  return { lengths, curve };
}

/** Tokens a µs of a rule, run by run. */
export function listedSpeed(
  rule: ListedRule,
  draft: ListedDraft,
  costs: { tokenUs: number; verifyUs(d: number): number; roundUs: number },
): number {
  let [tokens, us] = [0, 0];
  for (const { bins, chance } of runsOf(rule, draft)) {
    let [yielded, stands] = [1, 1];
    for (const bin of bins) {
      stands *= draft.acceptance[bin];
      yielded += stands;
    }
    tokens += chance * yielded;
    us += chance * (bins.length * costs.tokenUs + costs.verifyUs(bins.length) + costs.roundUs);
  }
  return tokens / us;
}

/** The greatest tokens a µs over every rule there is: each set of runs behind which to go on. */
export function bestListed(
  draft: ListedDraft,
  costs: { tokenUs: number; verifyUs(d: number): number; roundUs: number },
  most: number,
): number {
  const bins = draft.shares[0].length;
  const places: string[] = [];
  const collect = (run: readonly number[]) => {
    if (run.length >= most) return;
    if (run.length > 0) places.push(run.join());
    for (let bin = 0; bin < bins; bin++) collect([...run, bin]);
  };
  collect([]);
  let best = 0;
  for (let mask = 0; mask < 2 ** places.length; mask++) {
    const on = new Set(places.filter((_, i) => (mask >> i) & 1));
    best = Math.max(best, listedSpeed({ most, goesOn: (run) => on.has(run.join()) }, draft, costs));
  }
  return best;
}
