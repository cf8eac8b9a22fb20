// A generation that is only counted: a text decides for every draft and position whether the draft's token is the
// target's, and latencies say what that takes. Used by bench/adapt.mjs and by the tests.

/** 32 bits of a hash of whole numbers (murmur3's finaliser), as a number in [0, 1). */
export function uniform(...parts) {
  let h = 0x9e3779b9;
  for (const part of parts) {
    h = Math.imul(h ^ part, 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    h ^= h >>> 16;
  }
  return (h >>> 0) / 2 ** 32;
}

/** Standard normal, of the same numbers. */
export const gaussian = (...parts) =>
  Math.sqrt(-2 * Math.log(1 - uniform(...parts, 1))) * Math.cos(2 * Math.PI * uniform(...parts, 2));

const textNumber = (text) => [...text].reduce((h, c) => (Math.imul(h, 31) + c.charCodeAt(0)) | 0, 7);

/**
 * A text on which a draft's hazard at every token is factor(t) · e^δ · h, δ the draft's own. One number a token decides
 * for all drafts, so a token that is hard for one is hard for the others.
 * @param factor       (t) times the calibration's hazard
 * @param ownSpread    standard deviation of δ
 * @param clusters     tokens that share a mood: the hazard is times 0.3 or 1.7 for so many tokens; 0: none
 */
export function makeText({ seed, factor = () => 1, ownSpread = 0.15, clusters = 0 }) {
  const own = new Map();
  const deviation = (key) => {
    if (!own.has(key)) own.set(key, Math.exp(ownSpread * gaussian(seed, textNumber(key)) - ownSpread ** 2 / 2));
    return own.get(key);
  };
  const mood = (t) => (clusters === 0 ? 1 : uniform(seed, 5, Math.floor(t / clusters)) < 0.5 ? 0.3 : 1.7);
  return (key, hazard, t) => uniform(seed, 3, t) < Math.exp(-hazard * factor(t) * mood(t) * deviation(key));
}

/** Time that moves by what is simulated, and by some µs whenever a policy looks. */
export function tickingClock(lookUs) {
  let now = 0;
  return {
    nowUs: () => {
      now += lookUs;
      return now;
    },
    peekUs: () => now,
    advance: (us) => {
      now += us;
    },
  };
}

/**
 * Runs a policy over a text; as decode() does, but for the model.
 * @param draftOf     drafter -> {key, hazards} of the draft the policy asked for
 * @param latency     true latencies, as Adaptation's
 * @param noise       standard deviation of a pass's ln(time)
 * @returns µs of all rounds, and the rounds
 */
export function simulate({ policy, clock, text, draftOf, latency, tokens, prompt = 64, noise = 0.05, seed = 0 }) {
  const rounds = [];
  let emitted = 1;
  while (emitted < tokens) {
    const context = prompt + emitted - 1;
    const from = clock.peekUs();
    const plan = policy(context);
    const count = plan === null ? 0 : Math.min(plan.draftTokens, tokens - emitted - 1);
    const draft = count === 0 ? null : draftOf(plan.drafter);
    let accepted = 0;
    while (accepted < count && text(draft.key, draft.hazards[accepted], emitted + accepted)) accepted++;
    const noisy = (us, kind) => us * Math.exp(noise * gaussian(seed, emitted, kind));
    if (count > 0) clock.advance(noisy(plan.drafter.costUs(latency, context, count), 1));
    const between = clock.peekUs();
    clock.advance(noisy(plan === null ? latency.stepUs(context) : latency.verifyUs(context, count), 2));
    const verified = clock.peekUs();
    if (plan !== null) clock.advance(latency.roundUs);
    const kept = Math.min(accepted + 1, tokens - emitted);
    const round = { context, nodes: count, drafted: count, accepted, emitted: kept, draftUs: between - from };
    rounds.push({ ...round, verifyUs: verified - between, totalUs: clock.peekUs() - from });
    policy.observe?.(rounds[rounds.length - 1]);
    emitted += kept;
  }
  return { us: rounds.reduce((sum, { totalUs }) => sum + totalUs, 0), rounds };
}

/** A device and drafts like those of SmolLM2-135M on two cores with AVX-512: steps in µs, hazards of all positions. */
export function madeProblem() {
  // a drafter of which only the price matters
  const draft = (key, us, hazard, spread) => {
    const choices = { blocks: [key], head: "target" };
    const costUs = (prices, n, d) => d * prices.draftUs(choices, n);
    return { key, us, choices, drafter: { key, draft: () => ({ tokens: [], parents: [] }), costUs }, hazard, spread };
  };
  const drafts = [
    draft("int4", 5600, 0.13, 0.25),
    draft("mixed", 7200, 0.045, 0.3),
    draft("int8", 8300, 0.02, 0.4),
    draft("int8, two skipped", 7900, 0.034, 0.3),
    draft("six skipped", 17500, 0.16, 0.25),
    draft("int8, more skipped", 6900, 0.085, 0.3),
  ].map((made) => ({ ...made, hazards: new Array(16).fill(made.hazard) }));
  const growth = (n) => 1 + n / 8000;
  const latency = {
    draftUs: (choices, n) => drafts.find((made) => made.choices === choices).us * growth(n),
    verifyUs: (n, d) => (21000 + 650 * d) * growth(n),
    stepUs: (n) => 21050 * growth(n),
    roundUs: 60,
  };
  return { drafts, latency };
}
