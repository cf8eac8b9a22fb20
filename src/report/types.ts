/** What a report is made of. Documents come read and checked; nothing here reads a file or a clock. */
import type { Choice, HeadKernel } from "../schema/choice.js";
import type { Device, ModelRef } from "../schema/common.js";
import type { AnyDocument, DocumentOf, Kind, Loaded } from "../schema/document.js";
import type { Profile } from "../schema/profile.js";
import type { Verification } from "../schema/verification.js";
import type { Html } from "./html.js";

/** Costs of single parts at any profiled context n and query length q, µs; may throw where a profile does not tell. */
export interface PartCosts {
  fixedUs(n: number, q: number): number;
  headUs(kernel: HeadKernel, n: number, q: number): number;
  blockUs(index: number, choice: Choice, n: number, q: number): number;
  /** a whole pass of the target over d + 1 tokens; between profiled query lengths not the sum of its parts */
  verifyUs(n: number, draftTokens: number): number;
}

export interface ReportInput {
  documents: readonly Loaded<AnyDocument>[];
  /** when the report is made, ISO 8601 */
  created: string;
  /**
   * How latencies are read off a profile: solving does that, and a report may not know it.
   * @param toContext drawn on to there, where the profile ends before it
   */
  openCosts: (profile: Profile, toContext?: number) => PartCosts;
  /** how verifications are followed over time, and changes among them found: checking does that */
  followTrends?: (verifications: readonly FollowedVerification[]) => readonly FollowedTrend[];
}

export interface FollowedVerification {
  file: string;
  sha256: string;
  verification: Verification;
}

/** Verifications of one model on one device over time. */
export interface FollowedTrend {
  model: ModelRef;
  device: Omit<Device, "runtime">;
  /** name of the plan's file; null where every verification has another */
  plan: string | null;
  /** oldest first */
  dated: readonly FollowedVerification[];
  changes: readonly {
    quantity: "speedup" | "acceptance";
    /** places within `dated`, on both sides of the change */
    last: number;
    first: number;
    before: number;
    after: number;
    /** of speedup */
    changePercent: number | null;
    /** what else is not the same on both sides */
    alsoChanged: readonly string[];
  }[];
  /** quantities with fewer verifications than a change can be told from */
  tooFew: readonly ("speedup" | "acceptance")[];
}

/** A document with its place on the page. */
export interface Shown<K extends Kind = Kind> {
  document: DocumentOf<K>;
  sha256: string;
  path: string;
  /** anchor of its part of the page */
  id: string;
}

/** All documents, by kind, in the order given. */
export interface Documents {
  all: readonly Shown[];
  verifications: readonly Shown<"draftplan/verification">[];
  comparisons: readonly Shown<"draftplan/comparison">[];
  plans: readonly Shown<"draftplan/plan">[];
  calibrations: readonly Shown<"draftplan/calibration">[];
  profiles: readonly Shown<"draftplan/profile">[];
  openCosts: ReportInput["openCosts"];
  trends: readonly FollowedTrend[];
}

/** A part of the page with a heading of the second level, and what the table of contents lists below it. */
export interface Section {
  id: string;
  title: string;
  body: Html;
  entries: readonly { id: string; title: string }[];
}
