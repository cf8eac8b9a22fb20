/** Default places of documents: profiles/ for profiles and calibrations, plans/ for plans and verifications. */
import { join } from "node:path";
import { seenFrom } from "../core/folders.js";
import { modelSeenFrom } from "../model/hub/cached.js";
import { dialectFor } from "../runtime/providers.js";
import type { Device, InputRef } from "../schema/common.js";
import type { DrafterRef, SingleRef } from "../schema/drafter.js";
import { DEFAULT_PRECISION } from "../schema/numerics.js";

/** A model's name as part of a file's name. */
const slug = (name: string): string => {
  // OWNER/NAME of the hub as it is, with a dash
  if (/^\w[\w.-]*\/\w[\w.-]*$/.test(name)) return name.replace("/", "-");
  const plain = name
    .toLowerCase()
    .replace(/[^a-z0-9.]+/g, "-")
    .replace(/^[-.]+|[-.]+$/g, "")
    .slice(0, 60);
  return plain || "model";
};

export type PathKind = "profile" | "calibration" | "plan" | "verification" | "comparison";

export const defaultPath = (kind: PathKind, modelName: string): string =>
  join(kind === "profile" || kind === "calibration" ? "profiles" : "plans", `${slug(modelName)}.${kind}.yaml`);

/** The model's name for files about it: with its precision where that is not the provider's own. */
export const servedName = (name: string, { provider, target }: Pick<Device, "provider" | "target">): string => {
  const precision = target ?? DEFAULT_PRECISION;
  return precision === dialectFor(provider).targetPrecision ? name : `${name}-${precision}`;
};

/** A drafter with the folder of its heads, or its model's path, as seen from a document that lies there. */
export function drafterSeenFrom(drafter: DrafterRef, document: string): DrafterRef {
  const moved = <One extends SingleRef>(one: One): One => {
    if (one.kind === "model") return { ...one, path: modelSeenFrom(document, one.path) };
    return one.kind === "heads" ? { ...one, path: seenFrom(document, one.path) } : one;
  };
  return drafter.kind === "hybrid" ? { ...drafter, otherwise: moved(drafter.otherwise) } : moved(drafter);
}

/** An input of a document, its path as seen from the folder the document lies in: both can move together. */
export const inputRef = ({ path, sha256 }: { path: string; sha256: string }, document: string): InputRef => ({
  path: seenFrom(document, path),
  sha256,
});
