/** Architectures by the names that files give them. */
import type { ArchitectureDefinition } from "./architecture.js";
import { ARCHITECTURE_LIST } from "./list.js";

export type Architecture = (typeof ARCHITECTURE_LIST)[number]["name"];

export const ARCHITECTURES: readonly Architecture[] = ARCHITECTURE_LIST.map(({ name }) => name);

/** `llama, mistral, qwen2 or qwen3` */
export const architecturesInWords = (): string =>
  `${ARCHITECTURES.slice(0, -1).join(", ")} or ${ARCHITECTURES[ARCHITECTURES.length - 1]}`;

/** An architecture of the list under its own name. */
type Known = ArchitectureDefinition<Architecture>;

/** @returns undefined where the list has none of which this is true */
export const findArchitecture = (matches: (definition: Known) => boolean): Known | undefined =>
  (ARCHITECTURE_LIST as readonly Known[]).find(matches);

export function architectureOf(name: Architecture): Known {
  const found = findArchitecture((definition) => definition.name === name);
  if (found === undefined) throw new Error(`there is no architecture ${name}`);
  return found;
}

/** What GGUF files of it call it, and begin their keys with. */
export const ggufName = ({ name, gguf }: ArchitectureDefinition): string => gguf?.architecture ?? name;
