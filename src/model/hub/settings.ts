/** Where the Hugging Face cache lies and which hub is asked: the variables that Hugging Face's own tools read. */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { DraftplanError } from "../../core/errors.js";
import { homeFolder, xdgCacheHome } from "../../core/user-folders.js";

export interface HubSettings {
  /** holds models--OWNER--NAME folders */
  cache: string;
  /** without a slash at its end */
  endpoint: string;
  token: string | null;
  /** nothing is asked, what is cached is used */
  offline: boolean;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** @throws OPTION_INVALID for an HF_ENDPOINT that is no address */
export function hubSettings(environment: Environment = process.env): HubSettings {
  const home = folder(environment.HF_HOME) ?? join(xdgCacheHome(environment), "huggingface");
  const cache = folder(environment.HF_HUB_CACHE) ?? folder(environment.HUGGINGFACE_HUB_CACHE) ?? join(home, "hub");
  return {
    cache,
    endpoint: endpointOf(environment.HF_ENDPOINT),
    token: tokenOf(environment, home),
    offline: isOn(environment.HF_HUB_OFFLINE) || isOn(environment.TRANSFORMERS_OFFLINE),
  };
}

function folder(value: string | undefined): string | undefined {
  if (!value) return undefined;
  return resolve(value.replace(/^~(?=$|[/\\])/, homeFolder()));
}

const isOn = (value: string | undefined): boolean => /^(1|on|yes|true)$/i.test(value ?? "");

function endpointOf(value: string | undefined): string {
  const given = value || "https://huggingface.co";
  try {
    const { protocol } = new URL(given);
    if (protocol === "http:" || protocol === "https:") return given.replace(/\/+$/, "");
  } catch {
    // said below
  }
  throw new DraftplanError({
    code: "OPTION_INVALID",
    at: "HF_ENDPOINT",
    what: `${JSON.stringify(given.slice(0, 200))} is no address of a hub`,
    remedy: "Set it to an address such as https://huggingface.co, or leave it unset.",
  });
}

function tokenOf(environment: Environment, home: string): string | null {
  const given = environment.HF_TOKEN || environment.HUGGING_FACE_HUB_TOKEN || "";
  const token = (given || storedToken(folder(environment.HF_TOKEN_PATH) ?? join(home, "token"), environment)).trim();
  // it becomes a header, where anything else would be an error without a place
  return /^[\x21-\x7e]+$/.test(token) ? token : null;
}

/** What `hf auth login` has left. */
function storedToken(path: string, environment: Environment): string {
  if (isOn(environment.HF_HUB_DISABLE_IMPLICIT_TOKEN)) return "";
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
