/**
 * How the passes of a generation compare with the latencies they were expected to take. Only ratios between kinds of
 * passes decide anything: a machine that is slower in all alike changes no choice.
 */

/** A round's word fades to 1/e over so many rounds of its kind. */
const MEMORY_ROUNDS = 32;
/** How many rounds the profile's own latency counts for. */
const PRIOR_ROUNDS = 6;
/** A pass counts as at most 1.5 times as slow or as fast as expected: an interruption says nothing about the next one. */
const MOST_LOG = Math.log(1.5);

/** Measured by expected latency of one kind of passes; rounds long past count less. */
class FadingRatio {
  private logs = 0;
  private rounds = 0;

  observe(measuredUs: number, expectedUs: number): void {
    if (!(measuredUs > 0 && expectedUs > 0)) return;
    const fade = 1 - 1 / MEMORY_ROUNDS;
    const log = Math.log(measuredUs / expectedUs);
    this.logs = fade * this.logs + Math.min(MOST_LOG, Math.max(-MOST_LOG, log));
    this.rounds = fade * this.rounds + 1;
  }

  /** logarithm of the ratio, drawn towards `prior` */
  log(prior: number): number {
    return (this.logs + PRIOR_ROUNDS * prior) / (this.rounds + PRIOR_ROUNDS);
  }
}

/** Factors on the profile's latencies, learnt while decoding. All latencies are µs. */
export class LatencyCorrection {
  private readonly verify = new FadingRatio();
  private readonly plain = new FadingRatio();
  private readonly anyDraft = new FadingRatio();
  private readonly drafts = new Map<string, FadingRatio>();

  observeVerify(measuredUs: number, expectedUs: number): void {
    this.verify.observe(measuredUs, expectedUs);
  }

  observePlain(measuredUs: number, expectedUs: number): void {
    this.plain.observe(measuredUs, expectedUs);
  }

  observeDraft(key: string, measuredUs: number, expectedUs: number): void {
    const ratio = this.drafts.get(key) ?? new FadingRatio();
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
