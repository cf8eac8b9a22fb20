/** For zsh from 5.0 on. It hands over words unsplit, and shows what each is. */
import {
  beforePaths,
  type CompletedOption,
  type Described,
  nameOf,
  type OptionValue,
  type Place,
  quoted,
  valueBranches,
} from "./tree.js";

export function zshCompletion(places: readonly Place[]): string {
  return `#compdef draftplan
# zsh completion of draftplan. Load it: source <(draftplan completion zsh), after compinit
_draftplan_words() {
  local -a verbs options words
  local files=
  case "$1" in
${places.map(placeCase).join("\n")}
  esac
  if [[ "$PREFIX" == -* ]]; then
    _describe -o option options
    return
  fi
  # verbs of a verb stand right behind it
  if (( \${#verbs} && CURRENT == $2 )); then _describe verb verbs; fi
  if (( \${#words} )); then compadd -- $words; fi
  if [[ -n $files ]]; then _files; fi
}
# $1 the place and the option; fails where the option takes no value
_draftplan_value() {
  local -a words paths
  local files= list=
  case "$1" in
${places.flatMap((place) => valueBranches(place, valueText)).join("\n")}
    *) return 1 ;;
  esac
  if [[ -n $list ]]; then compset -P '*,'; fi
  local name
  for name in $paths; do
    if [[ "$PREFIX" == $name* ]]; then
      compset -P "$name"
      _files
      return 0
    fi
  done
  if (( \${#words} )); then
    if [[ -n $list ]]; then compadd -S '' -- $words; else compadd -- $words; fi
  fi
  if (( \${#paths} )); then compadd -S '' -- $paths; fi
  if [[ -n $files ]]; then _files; fi
  return 0
}
_draftplan() {
  local place= at=2 option=
  if (( CURRENT > 2 )); then
    place="\${words[2]}" at=3
    case "$place \${words[3]}" in
      ${places
        .filter(({ path }) => path.length === 2)
        .map((place) => quoted(nameOf(place)))
        .join("|")}) if (( CURRENT > 3 )); then place="$place \${words[3]}" at=4; fi ;;
    esac
  fi
  if [[ "$PREFIX" == --*=* ]]; then
    option="\${PREFIX%%=*}"
    compset -P '*='
    _draftplan_value "$place $option"
    return
  fi
  if [[ "$PREFIX" != -* ]] && _draftplan_value "$place \${words[CURRENT-1]}"; then return; fi
  _draftplan_words "$place" $at
}
if [[ "\${funcstack[1]}" == _draftplan ]]; then _draftplan "$@"; else compdef _draftplan draftplan; fi
`;
}

/** `_describe` splits a name from what is said of it at the first colon. */
const described = (name: string, description: string): string =>
  quoted(`${name.replaceAll(":", "\\:")}:${description}`);

const optionLines = (options: readonly CompletedOption[]): string =>
  options.flatMap(({ flags, description }) => flags.map((flag) => described(flag, description))).join(" ");

const verbLines = (verbs: readonly Described[]): string =>
  verbs.map(({ name, description }) => described(name, description)).join(" ");

const placeCase = (place: Place): string =>
  `    ${quoted(nameOf(place))}) verbs=(${verbLines(place.verbs)}) options=(${optionLines(place.options)}) words=(${place.words.map(quoted).join(" ")}) files=${place.filesToo ? "1" : ""} ;;`;

function valueText({ form, words, filesToo }: OptionValue): string {
  const paths = beforePaths(words);
  const whole = words.filter((word) => !paths.includes(word));
  return `words=(${whole.map(quoted).join(" ")}) paths=(${paths.map(quoted).join(" ")}) files=${filesToo ? "1" : ""} list=${form === "list" ? "1" : ""}`;
}
