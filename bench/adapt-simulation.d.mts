import type { AdaptiveDraft, AdaptiveLatency } from "../src/decode/adaptive/adaptation.js";
import type { Drafter } from "../src/decode/drafters/drafter.js";
import type { DraftPolicy, Round } from "../src/decode/loop.js";
import type { Clock } from "../src/runtime/engine.js";
import type { ChoiceSet } from "../src/schema/choice.js";

export interface MadeDraft extends AdaptiveDraft {
  choices: ChoiceSet;
  us: number;
  hazard: number;
}
/** Whether a draft of this hazard gets token t right. */
export type MadeText = (key: string, hazard: number, t: number) => boolean;
export interface SimulatedClock extends Clock {
  advance(us: number): void;
  peekUs(): number;
}
export function uniform(...parts: number[]): number;
export function gaussian(...parts: number[]): number;
export function makeText(options: {
  seed: number;
  factor?: (t: number) => number;
  ownSpread?: number;
  clusters?: number;
}): MadeText;
export function tickingClock(lookUs: number): SimulatedClock;
export function simulate(options: {
  policy: DraftPolicy;
  clock: SimulatedClock;
  text: MadeText;
  draftOf: (drafter: Drafter) => MadeDraft;
  latency: AdaptiveLatency;
  tokens: number;
  prompt?: number;
  noise?: number;
  seed?: number;
}): { us: number; rounds: Round[] };
export function madeProblem(): { drafts: MadeDraft[]; latency: AdaptiveLatency };
