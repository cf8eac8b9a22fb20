/** Seeded mutations of documents: of their values, and of their text. */
import { parse, stringify } from "yaml";
import { uniform } from "../support/numbers.js";

type Random = () => number;
const pick = <T>(random: Random, list: readonly T[]): T => list[Math.floor(random() * list.length)];

const VALUES: readonly unknown[] = [
  ...[0, -1, 1, 2, 0.5, -0, 1e308, -1e308, 5e-324, 2 ** 53, 1e21, Number.NaN, Number.POSITIVE_INFINITY],
  ...[
    "",
    "skip",
    "int8",
    "target",
    "int4",
    "0.attn",
    "99.mlp",
    "__proto__",
    "constructor",
    "draftplan/plan",
    "x".repeat(5000),
  ],
  ...[
    null,
    true,
    [],
    {},
    [[]],
    [1, 1, 1],
    { a: { a: {} } },
    "../../../../etc",
    "f".repeat(64),
    "\u0000",
    "\ud800",
    "é\u202e",
  ],
];
const FACTORS = [0, 0.5, 0.999, 1.001, 2, 1e6, 1e-9, -1];
const SNIPPETS = [
  ...[
    "&a ",
    "*a",
    "!!binary ",
    "!!set ",
    "---\n",
    "...\n",
    ": ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "\t",
    "\n",
    "\r",
    "#",
    "|\n",
    ">\n",
    "? ",
  ],
  ...[
    "'",
    '"',
    "\u0000",
    "\ufeff",
    "<<: *a",
    "1e999",
    ".nan",
    "-.inf",
    "0x10",
    "0o7",
    "~",
    "99999999999999999999",
    "%YAML 9.9\n",
  ],
];

/** The text of a document with one to four faults in it. The same seed gives the same text. */
export function mutated(text: string, seed: number): string {
  const random = uniform(seed);
  if (random() < 0.4) return mutateText(text, random);
  const root: unknown = parse(text);
  for (let i = 0; i <= 3 * random(); i++) mutateValue(root, random);
  const written = stringify(root, { aliasDuplicateObjects: random() < 0.5 });
  return random() < 0.1 ? mutateText(written, random) : written;
}

function mutateText(text: string, random: Random): string {
  const at = Math.floor(random() * text.length);
  const end = at + Math.floor(random() ** 3 * 400);
  switch (Math.floor(random() * 6)) {
    case 0:
      return text.slice(0, at) + text.slice(end);
    case 1:
      return text.slice(0, end) + text.slice(at);
    case 2:
      return text.slice(0, at);
    case 3:
      return text.slice(0, at) + String.fromCharCode(Math.floor(random() * 300)) + text.slice(at + 1);
    case 4:
      return text.slice(0, at) + pick(random, SNIPPETS).repeat(random() < 0.1 ? 2000 : 1) + text.slice(at);
    default:
      return moveLine(text, random);
  }
}

function moveLine(text: string, random: Random): string {
  const lines = text.split("\n");
  const [line] = lines.splice(Math.floor(random() * lines.length), 1);
  lines.splice(Math.floor(random() * lines.length), 0, line);
  return lines.join("\n");
}

type Parent = Record<string, unknown> | unknown[];
const isParent = (value: unknown): value is Parent => typeof value === "object" && value !== null;

/** Walks down a random way and changes what it comes to. */
function mutateValue(root: unknown, random: Random): void {
  let parent = root;
  while (isParent(parent)) {
    const keys = Object.keys(parent);
    if (keys.length === 0) return;
    const key = pick(random, keys);
    const child: unknown = (parent as Record<string, unknown>)[key];
    if (isParent(child) && random() < 0.85) parent = child;
    else {
      changeEntry(parent, key, child, random);
      return;
    }
  }
}

function changeEntry(parent: Parent, key: string, value: unknown, random: Random): void {
  const entries = parent as Record<string, unknown>;
  if (typeof value === "number" && random() < 0.5) {
    entries[key] = value * pick(random, FACTORS);
    return;
  }
  const kind = random();
  if (kind < 0.5) entries[key] = pick(random, VALUES);
  else if (Array.isArray(parent)) {
    if (kind < 0.7) parent.splice(Number(key), 1);
    else if (kind < 0.9) parent.splice(Number(key), 0, value);
    else parent.reverse();
  } else if (kind < 0.7) delete entries[key];
  else if (kind < 0.85) entries[`${key}${pick(random, ["_", "s", ""])}`] = value;
  else entries[key] = entries[pick(random, Object.keys(entries))];
}
