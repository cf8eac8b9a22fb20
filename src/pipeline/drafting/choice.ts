/** What `--drafter` says. */
import { DraftplanError } from "../../core/errors.js";

export type DrafterChoice =
  | { kind: "plan" | "none" | "self" | "lookup" | "hybrid" }
  /** a folder of trained heads, or another model */
  | { kind: "heads" | "model"; path: string };

const WORDS = ["plan", "none", "self", "lookup", "hybrid"] as const;
const WITH_PATH = ["heads", "model"] as const;

/** @throws OPTION_INVALID for a word that is no drafter */
export function parseDrafter(text: string): DrafterChoice {
  const word = WORDS.find((name) => name === text);
  if (word !== undefined) return { kind: word };
  const kind = WITH_PATH.find((name) => text.startsWith(`${name}:`));
  const path = text.slice(text.indexOf(":") + 1);
  if (kind !== undefined && path !== "") return { kind, path };
  throw new DraftplanError({
    code: "OPTION_INVALID",
    at: "--drafter",
    what: `'${text.slice(0, 60)}' is no drafter`,
    remedy: "Use one of: plan, none, self, lookup, model:PATH, heads:PATH, hybrid",
  });
}

/** As the command line has it. */
export const drafterName = (choice: DrafterChoice): string =>
  "path" in choice ? `${choice.kind}:${choice.path}` : choice.kind;
