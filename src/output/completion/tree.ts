/** What can be typed after `draftplan`: the same for every shell. */

/** A place in the command line: no verb yet, behind a verb, or behind a verb of a verb. */
export interface Place {
  /** `[]`, `["solve"]`, `["profile", "import"]` */
  path: readonly string[];
  verbs: readonly Described[];
  options: readonly CompletedOption[];
  /** for arguments: words that may stand there; without `filesToo` no other may */
  words: readonly string[];
  filesToo: boolean;
}

export interface Described {
  name: string;
  description: string;
}

export interface CompletedOption {
  /** `["-o", "--output"]` */
  flags: readonly string[];
  description: string;
  /** null: a flag alone */
  value: OptionValue | null;
}

export interface OptionValue {
  /** `a` whole value is one of the words, a `list` has them between commas; files stand where there are no words */
  form: "word" | "list";
  /** those that end in a colon are followed by a path */
  words: readonly string[];
  filesToo: boolean;
  /** the value may be left out */
  optional: boolean;
}

export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

/** A word as all three shells read it: in single quotes, of which it has none itself. */
export const quoted = (text: string): string => `'${text.replaceAll("'", "’")}'`;

/** How a place is named in scripts: `solve`, `profile import`, and nothing for the first. */
export const nameOf = ({ path }: Place): string => path.join(" ");

/** For bash and zsh: a branch of `case` for every option that takes a value. @param write what is done in it */
export const valueBranches = (place: Place, write: (value: OptionValue) => string): string[] =>
  place.options.flatMap(({ flags, value }) => {
    const names = flags.map((flag) => quoted(`${nameOf(place)} ${flag}`));
    return value === null ? [] : [`    ${names.join("|")}) ${write(value)} ;;`];
  });

/** The words that an option's value, or an argument, begins with a path behind: `model:`. */
export const beforePaths = (words: readonly string[]): string[] => words.filter((word) => word.endsWith(":"));
