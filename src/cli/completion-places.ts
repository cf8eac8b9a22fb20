/** What can be completed, read from commander's own definitions: a verb or an option that is added is completed too. */
import type { Argument, Command, Option } from "commander";
import type { CompletedOption, OptionValue, Place } from "../output/completion/tree.js";

/** @returns the command line's beginning, then every verb, each followed by the verbs of it */
export function completionPlaces(program: Command, path: readonly string[] = []): Place[] {
  const help = program.createHelp();
  const verbs = help.visibleCommands(program);
  const values = program.registeredArguments.map(argumentValue);
  const own: Place = {
    path,
    verbs: verbs.map((verb) => ({ name: verb.name(), description: help.subcommandDescription(verb) })),
    options: help.visibleOptions(program).map(completedOption),
    words: [...new Set(values.flatMap(({ words }) => words))],
    filesToo: values.some(({ filesToo }) => filesToo),
  };
  const below = verbs.flatMap((verb) => {
    const places = completionPlaces(verb, [...path, verb.name()]);
    // commander makes the verb help itself, and says nowhere that verbs stand behind it
    return verb.name() === "help"
      ? [{ ...places[0], words: verbs.map((other) => other.name()), filesToo: false }]
      : places;
  });
  return [own, ...below];
}

function completedOption(option: Option): CompletedOption {
  const flags = [option.short, option.long].filter((flag) => flag !== undefined);
  return { flags, description: option.description, value: optionValue(option) };
}

function optionValue(option: Option): OptionValue | null {
  if (!option.required && !option.optional) return null;
  const placeholder = /[<[](.+?)(?:\.\.\.)?[>\]]/.exec(option.flags)?.[1] ?? "";
  return {
    form: placeholder === "list" ? "list" : "word",
    ...standing(placeholder, option.argChoices),
    optional: option.optional,
  };
}

const argumentValue = (argument: Argument) => standing(argument.name(), argument.argChoices);

/** Files are where no choices are. A model is a file, or the one that travels with draftplan. */
const standing = (placeholder: string, choices: readonly string[] | undefined) => ({
  words: choices ?? (/^model\b/.test(placeholder) ? ["embedded"] : []),
  filesToo: choices === undefined,
});
