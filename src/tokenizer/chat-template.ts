/**
 * Chat templates are programs that come with a model, so they run under bounds: of time, of `range`, of output.
 * What they see is what transformers' `apply_chat_template` gives them (utils/chat_template_utils.py).
 * They run over Python's values, since that is what they were written for and what they print (jinja/).
 */
import { chatTemplateInvalid, messageOf } from "./failures.js";
import { FUNCTIONS, renderTemplate } from "./jinja/interpreter.js";
import { type Node, parseTemplate } from "./jinja/syntax.js";
import { Callable, fromJson, numberOf, text, type Value } from "./jinja/values.js";
import { withinTimeLimit } from "./time-limit.js";
import type { ChatMessage } from "./types.js";

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
  let program: Node | undefined;
  const render: ChatRenderer = (messages, addGenerationPrompt) => {
    program ??= parseTemplate(chatTemplate);
    const value = renderTemplate(program, {
      ...globals(now),
      ...(specialTokens as Record<string, string>),
      messages: fromJson(messages),
      tools: null,
      documents: null,
      add_generation_prompt: addGenerationPrompt,
    });
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

/** Python's constants and what transformers adds; `range` is bounded, and `strftime_now` reads the given clock in English. */
function globals(now: () => Date): Record<string, Value> {
  const refuse = ([message = ""]: readonly Value[]): never => {
    throw new Error(`the template refuses this conversation: ${text(message)}`);
  };
  return {
    ...{ true: true, false: false, none: null, True: true, False: false, None: null },
    ...FUNCTIONS,
    raise_exception: new Callable("raise_exception", refuse),
    range: new Callable("range", boundedRange),
    strftime_now: new Callable("strftime_now", ([format = ""]) => strftime(now(), text(format))),
  };
}

function boundedRange(bounds: readonly Value[]): number[] {
  const [first, end, step = 1] = bounds.map((bound) => {
    const number = numberOf(bound);
    if (number === null || !Number.isInteger(number)) throw new Error("range() takes whole numbers");
    return number;
  });
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
