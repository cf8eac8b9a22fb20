/**
 * Chat templates are programs that come with a model, so they run under bounds: of time, of `range`, of output.
 * What they see is what transformers' `apply_chat_template` gives them (utils/chat_template_utils.py).
 *
 * Compared with Python's jinja2 on 31 expressions, @huggingface/jinja 0.5.11 differs in: a printed boolean ("true", not
 * "True") or none ("", not "None"), a printed list, `dict()`, and an iteration ended by `continue` or `break` loses what
 * it had printed.
 */
import { chatTemplateInvalid, messageOf } from "./failures.js";
import { withinTimeLimit } from "./time-limit.js";
import type { ChatMessage } from "./types.js";
import { type JinjaEnvironment, type JinjaProgram, jinja } from "./untyped.js";

/** A template takes about a millisecond; a busy machine gets patience. */
const TIME_LIMIT_MS = 2000;
const MAX_TEMPLATE_CHARS = 1 << 20;
const MAX_RENDERED_CHARS = 1 << 24;
const MAX_RANGE = 1 << 16;

export interface ChatTemplateSource {
  /** the file, for errors */
  file: string;
  chatTemplate: string;
  specialTokens: Readonly<Record<string, string>>;
  now: () => Date;
}

export type ChatRenderer = (messages: readonly ChatMessage[], addGenerationPrompt: boolean) => string;

/** The template is parsed when it is first used: a broken one must not keep a plain prompt from running. */
export function createChatRenderer({ file, chatTemplate, specialTokens, now }: ChatTemplateSource): ChatRenderer {
  let program: JinjaProgram | undefined;
  const render: ChatRenderer = (messages, addGenerationPrompt) => {
    program ??= jinja.parse(jinja.tokenize(chatTemplate, { trim_blocks: true, lstrip_blocks: true }));
    const environment = globals(now);
    const variables = {
      ...specialTokens,
      messages,
      tools: null,
      documents: null,
      add_generation_prompt: addGenerationPrompt,
    };
    for (const [name, value] of Object.entries(variables)) environment.set(name, value);
    const { value } = new jinja.Interpreter(environment).run(program);
    if (typeof value !== "string") throw new Error("the template yields no text");
    if (value.length > MAX_RENDERED_CHARS)
      throw new Error(`the rendered chat has ${value.length} characters, more than ${MAX_RENDERED_CHARS}`);
    return value;
  };
  return (messages, addGenerationPrompt) => {
    if (chatTemplate.length > MAX_TEMPLATE_CHARS)
      throw chatTemplateInvalid(file, `longer than ${MAX_TEMPLATE_CHARS} characters`);
    try {
      return withinTimeLimit(TIME_LIMIT_MS, () => render(messages, addGenerationPrompt));
    } catch (thrown) {
      throw chatTemplateInvalid(file, messageOf(thrown), thrown);
    }
  };
}

/** The library's own globals, except: `range` is bounded and `strftime_now` reads the given clock in English. */
function globals(now: () => Date): JinjaEnvironment {
  const environment = new jinja.Environment();
  const constants = { true: true, false: false, none: null, True: true, False: false, None: null };
  for (const [name, value] of Object.entries(constants)) environment.set(name, value);
  environment.set("raise_exception", (message: unknown) => {
    throw new Error(`the template refuses this conversation: ${String(message)}`);
  });
  environment.set("range", boundedRange);
  environment.set("strftime_now", (format: unknown) => strftime(now(), String(format)));
  return environment;
}

function boundedRange(first: number, end?: number, step = 1): number[] {
  const [from, to] = end === undefined ? [0, first] : [first, end];
  const length = Math.max(0, Math.ceil((to - from) / step));
  if (step === 0 || !(length <= MAX_RANGE))
    throw new Error(`range() of ${length} values; at most ${MAX_RANGE} are allowed`);
  return Array.from({ length }, (_, i) => from + i * step);
}

const MONTHS = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
];
const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

const two = (n: number): string => String(n).padStart(2, "0");

/**
 * Python's strftime in the C locale, local time, for what dates in chat templates use.
 * The jinja library's own follows the machine's locale, and so would the prompt.
 */
function strftime(date: Date, format: string): string {
  const parts: Record<string, string> = {
    Y: String(date.getFullYear()),
    y: two(date.getFullYear() % 100),
    m: two(date.getMonth() + 1),
    d: two(date.getDate()),
    e: String(date.getDate()).padStart(2, " "),
    B: MONTHS[date.getMonth()],
    b: MONTHS[date.getMonth()].slice(0, 3),
    A: DAYS[date.getDay()],
    a: DAYS[date.getDay()].slice(0, 3),
    H: two(date.getHours()),
    I: two(date.getHours() % 12 === 0 ? 12 : date.getHours() % 12),
    M: two(date.getMinutes()),
    S: two(date.getSeconds()),
    p: date.getHours() < 12 ? "AM" : "PM",
    "%": "%",
  };
  return format.replace(/%(-?)(.)/g, (directive, unpadded: string, letter: string) => {
    const text = parts[letter];
    if (text === undefined) throw new Error(`strftime_now does not know ${directive}`);
    return unpadded === "-" ? text.replace(/^[0 ](?=.)/, "") : text;
  });
}
