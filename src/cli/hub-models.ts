/** `hf:OWNER/NAME` wherever a verb takes MODEL: downloaded, or found in the cache, before the verb begins. */
import type { Command } from "commander";
import type { RunVerb } from "./verb.js";

/** Options whose value is MODEL. */
const OPTIONS = ["model", "modelConfig"];
/** Options whose value may be `model:MODEL`, alone or in a list. */
const DRAFTERS = ["drafter", "drafters"];
const PREFIX = "hf:";
const AS_DRAFTER = `model:${PREFIX}`;

/**
 * Verbs see folders: all that is said of a model's path holds for a snapshot's. Texts are left alone, such as a prompt
 * that begins with `hf:`.
 */
export function withHubModels(program: Command, run: RunVerb): void {
  program.hook("preAction", async (_program, verb) => {
    const isModel = verb.registeredArguments.map((argument) => /^model\b/.test(argument.name()));
    const isHub = (value: unknown, name: string): boolean =>
      [value].flat().some((each) => typeof each === "string" && each.startsWith(name));
    const asked =
      isModel.some((model, i) => model && isHub(verb.processedArgs[i], PREFIX)) ||
      OPTIONS.some((name) => isHub(verb.getOptionValue(name), PREFIX)) ||
      DRAFTERS.some((name) => isHub(verb.getOptionValue(name), AS_DRAFTER));
    if (!asked) return; // help and small verbs load nothing for it
    await run(verb.opts(), async ({ progress }) => {
      const { resolveModel } = await import("../model/hub/resolve.js");
      const local = (value: unknown): unknown => (typeof value === "string" ? resolveModel(value, progress) : value);
      const drafter = async (value: unknown): Promise<unknown> =>
        isHub(value, AS_DRAFTER) ? `model:${await local((value as string).slice("model:".length))}` : value;
      for (const [i, model] of isModel.entries()) if (model) verb.processedArgs[i] = await local(verb.processedArgs[i]);
      for (const name of OPTIONS)
        if (isHub(verb.getOptionValue(name), PREFIX)) verb.setOptionValue(name, await local(verb.getOptionValue(name)));
      for (const name of DRAFTERS) {
        const value: unknown = verb.getOptionValue(name);
        if (!isHub(value, AS_DRAFTER)) continue;
        verb.setOptionValue(name, Array.isArray(value) ? await Promise.all(value.map(drafter)) : await drafter(value));
      }
    });
  });
}
