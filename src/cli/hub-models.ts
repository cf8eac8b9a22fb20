/** `hf:OWNER/NAME` wherever a verb takes MODEL: downloaded, or found in the cache, before the verb begins. */
import type { Command } from "commander";
import type { RunVerb } from "./verb.js";

const PREFIX = "hf:";
/** Options whose value is MODEL, and those whose value may be `model:MODEL`, alone or in a list. */
const OPTIONS: readonly (readonly [before: string, names: readonly string[]])[] = [
  ["", ["model", "modelConfig"]],
  ["model:", ["drafter", "drafters"]],
];

/** Where a model may be named, alone or in a list, behind `before`. */
interface Place {
  before: string;
  value: unknown;
  set(value: unknown): void;
}

/**
 * Verbs see folders: all that is said of a model's path holds for a snapshot's. Texts are left alone, such as a prompt
 * that begins with `hf:`.
 */
export function withHubModels(program: Command, run: RunVerb): void {
  program.hook("preAction", async (_program, verb) => {
    const asked = placesOf(verb).filter(({ before, value }) => [value].flat().some((each) => isHub(each, before)));
    if (asked.length === 0) return; // help and small verbs load nothing for it
    await run(verb.opts(), async ({ progress }) => {
      const { resolveModel } = await import("../model/hub/resolve.js");
      for (const { before, value, set } of asked) {
        const local = async (each: unknown): Promise<unknown> =>
          isHub(each, before) ? `${before}${await resolveModel(each.slice(before.length), progress)}` : each;
        set(Array.isArray(value) ? await Promise.all(value.map(local)) : await local(value));
      }
    });
  });
}

function placesOf(verb: Command): Place[] {
  const values = verb.processedArgs;
  const named = verb.registeredArguments.flatMap((argument, i): Place[] =>
    /^model\b/.test(argument.name()) ? [{ before: "", value: values[i], set: (value) => (values[i] = value) }] : [],
  );
  const options = OPTIONS.flatMap(([before, names]) =>
    names.map(
      (name): Place => ({ before, value: verb.getOptionValue(name), set: (value) => verb.setOptionValue(name, value) }),
    ),
  );
  return [...named, ...options];
}

const isHub = (value: unknown, before: string): value is string =>
  typeof value === "string" && value.startsWith(`${before}${PREFIX}`);
