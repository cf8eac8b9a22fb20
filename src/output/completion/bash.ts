/**
 * For bash from 3.2 on, which is macOS's: no associative arrays. Two things are bash's own: words are split at `=` and `:`
 * too (COMP_WORDBREAKS), unless the user says otherwise, and what stands in COMPREPLY replaces the last part alone.
 */
import { nameOf, type OptionValue, type Place, quoted, valueBranches } from "./tree.js";

export function bashCompletion(places: readonly Place[]): string {
  const cases = (lines: (place: Place) => string[]): string => places.flatMap(lines).join("\n");
  return `# bash completion of draftplan. Load it: source <(draftplan completion bash)
_draftplan_options() {
  case "$1" in
${cases((place) => [`    ${quoted(nameOf(place))}) echo ${quoted(place.options.flatMap(({ flags }) => flags).join(" "))} ;;`])}
  esac
}
# what may stand where an argument does: words, and * for a file
_draftplan_arguments() {
  case "$1" in
${cases((place) => [`    ${quoted(nameOf(place))}) echo ${quoted(wordsOf(place))} ;;`])}
  esac
}
# what may stand behind an option: word or list, then as above; nothing where it takes no value
_draftplan_value() {
  case "$1" in
${cases((place) => valueBranches(place, valueText))}
  esac
}
# bash's own completion knows quotes and ~; where it cannot be asked for, or words stand beside files, compgen has to do
_draftplan_files() {
  if [ "\${#COMPREPLY[@]}" -eq 0 ] && compopt -o default 2>/dev/null; then return; fi
  compopt -o filenames 2>/dev/null
  local found
  while IFS= read -r found; do COMPREPLY+=("$found"); done < <(compgen -f -- "$1")
}
# $1 what is typed, $2 what goes before every answer, $3 words and * for files
_draftplan_answer() {
  local found files= words=
  set -f
  for found in $3; do
    if [ "$found" = '*' ]; then files=1; else words="$words $found"; fi
  done
  set +f
  while IFS= read -r found; do
    case "$found" in *:) compopt -o nospace 2>/dev/null ;; esac
    COMPREPLY+=("$2$found")
  done < <(compgen -W "$words" -- "$1")
  if [ -n "$files" ] && [ -z "$2" ]; then _draftplan_files "$1"; fi
}
_draftplan() {
  COMPREPLY=()
  local cur="\${COMP_WORDS[COMP_CWORD]}" at=$COMP_CWORD path= option= value= before=
  # the verb stands first, a verb of it second
  if [ "$at" -gt 1 ]; then
    path="\${COMP_WORDS[1]}"
    if [ "$at" -gt 2 ] && [ -n "$(_draftplan_options "$path \${COMP_WORDS[2]}")" ]; then path="$path \${COMP_WORDS[2]}"; fi
  fi
  # model:PATH, in three parts or in one
  if [ "$cur" = : ] || [ "\${COMP_WORDS[at-1]}" = : ]; then
    if [ "$cur" = : ]; then cur=; fi
    _draftplan_files "$cur"
    return
  fi
  # --option=value, in three parts or in one
  if [ "$cur" = = ]; then
    option="\${COMP_WORDS[at-1]}" cur=
  elif [ "\${COMP_WORDS[at-1]}" = = ]; then
    option="\${COMP_WORDS[at-2]}"
  else
    case "$cur" in
      --*=*) option="\${cur%%=*}" before="\${cur%%=*}=" cur="\${cur#*=}" ;;
      -*) ;;
      *) option="\${COMP_WORDS[at-1]}" ;;
    esac
  fi
  if [ -n "$option" ]; then value="$(_draftplan_value "$path $option")"; fi
  case "$value" in
    'list '*)
      case "$cur" in
        *,*) before="$before\${cur%,*}," cur="\${cur##*,}" ;;
      esac
      compopt -o nospace 2>/dev/null
      ;;
  esac
  if [ -n "$value" ]; then
    case "$cur:\${value#* } " in
      *:*"\${cur%%:*}: "*)
        local found prefix="$before\${cur%%:*}:"
        compopt -o filenames 2>/dev/null
        while IFS= read -r found; do COMPREPLY+=("$prefix$found"); done < <(compgen -f -- "\${cur#*:}")
        ;;
      *) _draftplan_answer "$cur" "$before" "\${value#* }" ;;
    esac
    return
  fi
  case "$cur" in
    -*) _draftplan_answer "$cur" '' "$(_draftplan_options "$path")" ;;
    *) _draftplan_answer "$cur" '' "$(_draftplan_arguments "$path")" ;;
  esac
}
complete -F _draftplan draftplan
`;
}

const wordsOf = ({ path, verbs, words, filesToo }: Place): string => {
  // verbs of a verb stand right behind it, and nowhere later; bash is asked for both at the same place
  const names = verbs.map(({ name }) => name);
  return [...(path.length === 0 ? names : [...names, ...words]), ...(filesToo ? ["*"] : [])].join(" ");
};

const valueText = ({ form, words, filesToo }: OptionValue): string =>
  `echo ${quoted([form, ...words, ...(filesToo ? ["*"] : [])].join(" "))}`;
