/**
 * How the passes of a generation compare with the latencies they were expected to take. Only ratios between kinds of
 * passes decide anything: a machine that is slower in all alike changes no choice.
 */

/** A round's word fades to 1/e over so many rounds of its kind. */
const MEMORY_ROUNDS = 32;
/** How many rounds the profile's own latency counts for. */
const PRIOR_ROUNDS = 6;
/** One pass that an interruption made long says nothing beyond this. */
const MOST = Math.log(1.5);

class Ratio {
  private logs = 0;
  private rounds = 0;

  observe(measuredUs: number, expectedUs: number): void {
    if (!(measuredUs > 0 && expectedUs > 0)) return;
    const fade = 1 - 1 / MEMORY_ROUNDS;
    const log = Math.log(measuredUs / expectedUs);
    this.logs = fade * this.logs + Math.min(MOST, Math.max(-MOST, log));
    this.rounds = fade * this.rounds + 1;
  }

  /** logarithm of the ratio, drawn towards `prior` */
  log(prior: number): number {
    return (this.logs + PRIOR_ROUNDS * prior) / (this.rounds + PRIOR_ROUNDS);
  }
}

export class Pace {
  private readonly verify = new Ratio();
  private readonly plain = new Ratio();
  private readonly anyDraft = new Ratio();
  private readonly drafts = new Map<string, Ratio>();

  observeVerify(measuredUs: number, expectedUs: number): void {
    this.verify.observe(measuredUs, expectedUs);
  }

  observePlain(measuredUs: number, expectedUs: number): void {
    this.plain.observe(measuredUs, expectedUs);
  }

  observeDraft(key: string, measuredUs: number, expectedUs: number): void {
    const ratio = this.drafts.get(key) ?? new Ratio();
    this.drafts.set(key, ratio);
    ratio.observe(measuredUs, expectedUs);
    this.anyDraft.observe(measuredUs, expectedUs);
  }

  get verifyFactor(): number {
    return Math.exp(this.verify.log(0));
  }

  /** A plain step is a verification of nothing. */
  get plainFactor(): number {
    return Math.exp(this.plain.log(this.verify.log(0)));
  }

  draftFactor(key: string): number {
    const shared = this.anyDraft.log(this.verify.log(0));
    return Math.exp(this.drafts.get(key)?.log(shared) ?? shared);
  }
}
