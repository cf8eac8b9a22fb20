/** For fish from 3.0 on. It splits `--option=value` and shows what each word is by itself. */
import { beforePaths, type CompletedOption, nameOf, type OptionValue, type Place, quoted } from "./tree.js";

export function fishCompletion(places: readonly Place[]): string {
  const nested = places.filter(({ path }) => path.length === 2).map((place) => quoted(nameOf(place)));
  return `# fish completion of draftplan. Load it: draftplan completion fish | source
# the verb stands first, a verb of it second
function __draftplan_at
  set -l typed (commandline -opc)
  set -l place ''
  if set -q typed[2]
    set place $typed[2]
    if set -q typed[3]; and contains -- "$typed[2] $typed[3]" ${nested.join(" ")}
      set place "$typed[2] $typed[3]"
    end
  end
  test "$place" = "$argv[1]"
end
# right behind the verb, where a verb of it may stand
function __draftplan_first
  test (count (commandline -opc)) -eq 2; and __draftplan_at $argv[1]
end
# words between commas: each behind those that are there already
function __draftplan_list
  set -l typed (string replace -r '^--?[a-z-]+=' '' -- (commandline -ct))
  set -l before (string match -r '^.*,' -- $typed)
  for word in $argv
    echo "$before$word"
  end
end
# model:PATH, the only word of a value or the last of a list
function __draftplan_paths
  set -l typed (string replace -r '^--?[a-z-]+=' '' -- (commandline -ct))
  for name in $argv
    set -l parts (string match -r "^((?:.*,)?$name)(.*)\\$" -- $typed)
    or continue
    for path in (__fish_complete_path $parts[3])
      echo "$parts[2]$path"
    end
  end
end
complete -c draftplan -e
${places.flatMap(placeLines).join("\n")}
`;
}

function placeLines(place: Place): string[] {
  const at = `-n ${quoted(`__draftplan_at "${nameOf(place)}"`)}`;
  const here = `complete -c draftplan ${at}`;
  const behind =
    place.path.length === 0 ? here : `complete -c draftplan -n ${quoted(`__draftplan_first "${nameOf(place)}"`)}`;
  return [
    `${here} ${place.filesToo ? "-F" : "-f"}`,
    ...place.verbs.map(({ name, description }) => `${behind} -a ${quoted(name)} -d ${quoted(description)}`),
    ...(place.words.length === 0 ? [] : [`${here} -a ${quoted(place.words.join(" "))}`]),
    ...place.options.map((option) => `${here} ${optionText(option)}`),
  ];
}

function optionText({ flags, description, value }: CompletedOption): string {
  const names = flags.map((flag) => (flag.startsWith("--") ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`));
  return [...names, ...(value === null ? ["-f"] : valueParts(value)), "-d", quoted(description)].join(" ");
}

function valueParts({ form, words, filesToo, optional }: OptionValue): string[] {
  const parts = [...(optional ? [] : ["-r"]), filesToo ? "-F" : "-f"];
  if (words.length === 0) return parts;
  const all = words.join(" ");
  const paths = beforePaths(words);
  const made = [
    form === "list" ? `(__draftplan_list ${all})` : all,
    ...(paths.length === 0 ? [] : [`(__draftplan_paths ${paths.join(" ")})`]),
  ];
  return [...parts, "-a", quoted(made.join(" "))];
}
