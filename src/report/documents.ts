/** The documents of one page: by kind, each with its anchor. */
import type { AnyDocument, Kind, Loaded } from "../schema/document.js";
import type { Documents, ReportInput, Shown } from "./types.js";

export const DOCUMENT_KIND_NAMES: Record<Kind, { one: string; many: string }> = {
  "draftplan/verification": { one: "verification", many: "Verifications" },
  "draftplan/comparison": { one: "comparison", many: "Comparisons" },
  "draftplan/targets": { one: "targets", many: "Targets" },
  "draftplan/export": { one: "export", many: "Exports" },
  "draftplan/plan": { one: "plan", many: "Plans" },
  "draftplan/calibration": { one: "calibration", many: "Calibrations" },
  "draftplan/profile": { one: "profile", many: "Profiles" },
};

/** Anchors are counted, never made of names: names come from files. */
export function arrange({ documents, openCosts, followTrends }: ReportInput): Documents {
  const counts = new Map<Kind, number>();
  const all = documents.map(({ document, sha256, path }: Loaded<AnyDocument>): Shown => {
    const count = (counts.get(document.kind) ?? 0) + 1;
    counts.set(document.kind, count);
    return { document, sha256, path, id: `${DOCUMENT_KIND_NAMES[document.kind].one}-${count}` };
  });
  const of = <K extends Kind>(kind: K) => all.filter((shown): shown is Shown<K> => shown.document.kind === kind);
  const verifications = of("draftplan/verification");
  return {
    all,
    verifications,
    comparisons: of("draftplan/comparison"),
    plans: of("draftplan/plan"),
    calibrations: of("draftplan/calibration"),
    profiles: of("draftplan/profile"),
    openCosts,
    trends:
      followTrends?.(
        verifications.map(({ path, sha256, document }) => ({ file: path, sha256, verification: document })),
      ) ?? [],
  };
}
