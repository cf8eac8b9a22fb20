/** Solving again, remembered: many plans of one folder come from the same few inputs. */
import { DraftplanError } from "../core/errors.js";
import type { Calibration } from "../schema/calibration.js";
import type { Constraints } from "../schema/constraints.js";
import type { Predicted, Segment } from "../schema/plan.js";
import type { Profile } from "../schema/profile.js";
import type { Checked } from "./documents.js";

/** How a plan says that it was solved. */
export interface SolvedBy {
  choices: readonly string[];
  method: string;
  constraints: Constraints | undefined;
  /** absent: the model's own blocks alone */
  drafters?: readonly string[] | undefined;
  /** context that costs were drawn on to */
  extrapolateTo: number | undefined;
  /** drafts have a cache of their own */
  standalone?: boolean | undefined;
  /** tokens that share the draft's reading of a prompt */
  answerTokens?: number | undefined;
}

/** What the costs of a draft as it stands depend on. */
export type PricedBy = Pick<SolvedBy, "extrapolateTo" | "standalone" | "answerTokens">;

/** What a check needs of the solver; src/commands passes it in. */
export interface Solver {
  /** methods that solving again knows */
  methods: readonly string[];
  /** @throws DraftplanError where the inputs give no plan */
  solve(profile: Profile, calibration: Calibration, by: SolvedBy): Segment[];
  /** the prediction for a draft as it stands. @throws DraftplanError where the inputs give none */
  predict(profile: Profile, calibration: Calibration, segment: Segment, by: PricedBy): Partial<Predicted>;
}

export type Solved = { segments: readonly Segment[] } | { refusal: string };

export interface RememberingSolver {
  methods: readonly string[];
  solve(profile: Checked<Profile>, calibration: Checked<Calibration>, by: SolvedBy): Solved;
  predict(
    profile: Checked<Profile>,
    calibration: Checked<Calibration>,
    segment: Segment,
    by: PricedBy,
  ): Partial<Predicted> | null;
}

export function remembering(solver: Solver): RememberingSolver {
  const known = new Map<string, Solved>();
  return {
    methods: solver.methods,
    solve(profile, calibration, by) {
      const key = JSON.stringify([profile.contentSha256(), calibration.contentSha256(), by]);
      let solved = known.get(key);
      if (solved === undefined) {
        solved = attempt(() => solver.solve(profile.document, calibration.document, by));
        known.set(key, solved);
      }
      return solved;
    },
    predict(profile, calibration, segment, by) {
      try {
        return solver.predict(profile.document, calibration.document, segment, by);
      } catch (error) {
        if (error instanceof DraftplanError) return null; // solving again says why
        throw error;
      }
    },
  };
}

function attempt(solve: () => Segment[]): Solved {
  try {
    return { segments: solve() };
  } catch (error) {
    if (error instanceof DraftplanError) return { refusal: `${error.at}: ${error.what}` };
    throw error;
  }
}
