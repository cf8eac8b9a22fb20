import type { Command } from "commander";

const FLAG = "--chat";

/**
 * The text of `--chat` may be left out, and then commander takes whatever begins with a dash for the next option. A text may
 * begin with one too (a list, a number), so what is none of the verb's options is joined to the flag.
 */
export function withChatText(argv: readonly string[], program: Command): string[] {
  const verb = program.commands.find((command) => command.name() === argv[0]);
  const flags = new Set(verb?.options.flatMap(({ short, long }) => [short, long]) ?? []);
  const at = flags.has(FLAG) ? argv.indexOf(FLAG) : -1;
  const text = at === -1 ? undefined : argv[at + 1];
  if (text === undefined || !/^-./s.test(text)) return [...argv];
  const name = text.split("=")[0];
  if (flags.has(name) || name === "--help" || name === "-h") return [...argv];
  return [...argv.slice(0, at), `${FLAG}=${text}`, ...argv.slice(at + 2)];
}
