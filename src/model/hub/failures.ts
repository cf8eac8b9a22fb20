/** What a hub, the network or the disk can answer, in the user's words. */

import { errnoOf } from "../../core/blocking.js";
import { DraftplanError } from "../../core/errors.js";
import { type HubReference, referenceText } from "./reference.js";

export interface Asked extends HubReference {
  endpoint: string;
}

/** The hub could not be asked, or was not able to answer: what is cached may stand in. */
export class Unreachable extends Error {}

export const unreachable = (asked: Asked, reason: string, cause?: unknown) =>
  new DraftplanError({
    code: "HUB_UNREACHABLE",
    at: referenceText(asked),
    what: `${reason}, and the cache does not hold the whole model`,
    remedy:
      "Check the network (HF_ENDPOINT names another hub, HF_HUB_OFFLINE must be unset) and give the command again: what was downloaded already is kept. Or download it elsewhere and set HF_HOME.",
    cause,
  });

/** Statuses that another try does not change. null: the hub's own trouble. */
export function refusal(
  asked: Asked,
  response: Response,
  file: string | null,
  hasToken: boolean,
): DraftplanError | null {
  const { status, headers } = response;
  const at = referenceText(asked);
  const code = headers.get("x-error-code");
  const page = `${asked.endpoint}/${asked.repository}`;
  const token = hasToken
    ? "The token in HF_TOKEN must belong to an account that may read it."
    : "Then set HF_TOKEN to a token of that account.";
  if (code === "GatedRepo" || status === 403)
    return new DraftplanError({
      code: "HUB_ACCESS",
      at,
      what: `the model is gated: its owner asks for an agreement first (${status})`,
      remedy: `Agree on ${page} with your account. ${token}`,
    });
  if (status === 401)
    return new DraftplanError({
      code: "HUB_ACCESS",
      at,
      what: `there is no such model, or it is private or gated, or the token is not valid (${status})`,
      remedy: `Check the name on ${page}; where it is gated or private, ask for access there. ${token}`,
    });
  if (status !== 404 && status !== 410) return null;
  const missing =
    file !== null
      ? `the hub has no file ${file} at this revision`
      : code === "RevisionNotFound"
        ? `the model has no revision ${asked.revision}`
        : "there is no such model on the hub, or no such revision of it";
  return new DraftplanError({
    code: "HUB_NOT_FOUND",
    at,
    what: `${missing} (${status})`,
    remedy: `Look it up on ${page}; a private model needs HF_TOKEN.`,
  });
}

export const invalidAnswer = (asked: Asked, what: string) =>
  new DraftplanError({
    code: "HUB_INVALID",
    at: referenceText(asked),
    what,
    remedy:
      "Give the command again; if it says the same, the hub or a proxy on the way (HF_ENDPOINT, HTTPS_PROXY) alters files.",
  });

/** @returns what the system said about the cache's folder, or the cause as it was */
export function cacheFailure(cause: unknown, folder: string): unknown {
  const errno = errnoOf(cause);
  if (errno === undefined || cause instanceof DraftplanError) return cause;
  const full = errno === "ENOSPC" || errno === "EDQUOT";
  return new DraftplanError({
    code: "FILE_UNWRITABLE",
    at: folder,
    what: full
      ? "the disk of the Hugging Face cache is full"
      : `the Hugging Face cache could not be written (${(cause as Error).message})`,
    remedy: `${full ? "Free space" : "Check its permissions"}, or set HF_HOME to a folder with room, and give the command again: what was downloaded already is kept.`,
    cause,
  });
}
