/** Default places of documents: profiles/ for profiles and calibrations, plans/ for plans and verifications. */
import { join } from "node:path";

/** A model's name as part of a file's name. */
export const slug = (name: string): string =>
  name
    .toLowerCase()
    .replace(/[^a-z0-9.]+/g, "-")
    .replace(/^[-.]+|[-.]+$/g, "")
    .slice(0, 60) || "model";

export type PathKind = "profile" | "calibration" | "plan" | "verification";

export const defaultPath = (kind: PathKind, modelName: string): string =>
  join(kind === "profile" || kind === "calibration" ? "profiles" : "plans", `${slug(modelName)}.${kind}.yaml`);
