/** What a generation is asked for, and what it gives. */
import type { AdaptiveSummary } from "../../decode/adaptive/policy.js";
import type { Round } from "../../decode/loop.js";
import type { FinishReason } from "../../decode/output.js";
import type { ChoiceSet } from "../../schema/choice.js";
import type { Loaded } from "../../schema/document.js";
import type { Plan } from "../../schema/plan.js";
import type { DrafterChoice } from "../drafting.js";
import type { SamplingRequest } from "../sampling.js";

/** What is gone on with. A text of `-` is read from standard input. */
export type PromptSource =
  | { kind: "text"; text: string }
  /** what a user says, put into the model's chat template */
  | { kind: "chat"; text: string; system?: string | undefined }
  /** a JSON array of token ids; no tokenizer is needed */
  | { kind: "ids"; file: string };

/** Who drafts, how tokens are drawn, and where an output ends: of one prompt, and of every turn of a conversation. */
export interface DraftingRequest {
  /** null: plain decoding */
  plan: Loaded<Plan> | null;
  /** who drafts; null: as the plan says */
  drafter: DrafterChoice | null;
  /** begin with the plan, and change drafter and length as the text turns out */
  adapt: boolean;
  /** new tokens at most; undefined: 256, or what the context has room for */
  maxTokens?: number | undefined;
  /** undefined: greedily, once */
  sampling?: SamplingRequest | undefined;
  /** texts that end the output and are not part of it; undefined: none */
  stops?: readonly string[] | undefined;
}

export interface GenerateRequest extends DraftingRequest {
  prompt: PromptSource;
}

/** Where text goes as it comes. */
export interface TextSink {
  write(text: string): void;
  /** the last of a continuation, also where decoding is interrupted */
  end(text: string): void;
}

/** What was run of one draft and length. */
export interface AdaptedUse {
  /** null: plain steps */
  drafter: string | null;
  /** of a draft of the model's own blocks; null for any other */
  choices: ChoiceSet | null;
  draftTokens: number;
  /** the plan's own choice there */
  planned: boolean;
  rounds: number;
  tokens: number;
}

export interface AdaptedSummary extends Omit<AdaptiveSummary, "arms"> {
  /** in the order of their first use */
  arms: AdaptedUse[];
}

export interface Continuation {
  ids: number[];
  /** null where the prompt was given as ids: no text is read or written then */
  text: string | null;
  finish: FinishReason;
  /** what was run, for statistics */
  allRounds: readonly Round[];
  /** null: greedily */
  seed: number | null;
  /** time behind the prompt's pass */
  decodeUs: number;
  /** null where the prompt's pass gave all there is */
  tokensPerSecond: number | null;
  /** rounds that drafted; null without a plan, as what follows */
  rounds: number | null;
  drafted: number | null;
  accepted: number | null;
}

/** The first continuation, and all of them where a number of them was asked for. */
export interface Generation extends Continuation {
  promptTokens: number;
  /** who drafted, as `--drafter` has it */
  drafter: string;
  continuations: Continuation[] | null;
  /** over all continuations; null where the plan was not adapted */
  adapted: AdaptedSummary | null;
}
