/**
 * What a line of a prompt file may be: draftplan's own forms, and those in which prompts are published. HumanEval's are
 * `task_id` and `prompt`; MT-Bench's and Spec-Bench's `question_id` and `turns`; OpenAI's are a chat's `messages`, or a line of
 * a batch, whose `body` is the request to /v1/chat/completions, /v1/completions or /v1/responses.
 */
import { z } from "zod";
import type { ChatMessage } from "../../tokenizer/types.js";

export type PromptLine = { prompt: string } | { chat: readonly ChatMessage[] } | { ids: readonly unknown[] };

export interface ReadLine {
  line: PromptLine;
  /** what of the line is no part of the prompt, though it is text: told in a warning */
  leftOut?: "later turns were" | "the answer at the end was";
}

export const FORMS =
  '{"prompt": "text"}, {"chat": "text"}, {"chat": [{"role": "user", "content": "text"}]} or {"ids": [1, 2, 3]}, or a line of HumanEval, MT-Bench, Spec-Bench or of OpenAI\'s chats and batches';

const Message = z.strictObject({ role: z.string(), content: z.string() });
const Prompt = z.strictObject({ prompt: z.string() });
const Chat = z.strictObject({ chat: z.union([z.string(), z.array(Message).min(1)]) });
const Ids = z.strictObject({ ids: z.array(z.unknown()) });

/** Which keys tell a form, and how it is read; published forms keep keys of their own, such as a solution. */
const PUBLISHED: readonly { keys: readonly string[]; read(data: Record<string, unknown>): ReadLine }[] = [
  { keys: ["task_id", "prompt"], read: ({ prompt }) => ({ line: textOf(prompt, "prompt") }) },
  { keys: ["question_id", "turns"], read: ({ turns }) => readTurns(turns) },
  { keys: ["custom_id", "body"], read: ({ body }) => readRequest(record(body, "body"), "body.") },
  { keys: ["messages"], read: (data) => readRequest(data, "") },
];

/** @throws PromptFormError for what is none of these */
export function readForm(data: unknown): ReadLine {
  const given = record(data, "the line");
  const published = PUBLISHED.find(({ keys }) => keys.every((key) => key in given));
  if (published !== undefined) return published.read(given);
  const own = [Prompt, Chat, Ids].find((form) => Object.keys(form.shape).some((key) => key in given));
  if (own === undefined)
    throw new PromptFormError(`no known key among ${Object.keys(given).slice(0, 5).map(quoted).join(", ") || "none"}`);
  const result = own.safeParse(given);
  if (!result.success) throw new PromptFormError(issueText(result.error.issues[0]));
  if ("chat" in result.data)
    return { line: { chat: typeof result.data.chat === "string" ? asUser(result.data.chat) : result.data.chat } };
  return { line: result.data };
}

/** What is wrong with a line, in a few words. */
export class PromptFormError extends Error {}

const quoted = (key: string): string => JSON.stringify(key.slice(0, 40));
const asUser = (content: string): ChatMessage[] => [{ role: "user", content }];

function issueText(issue: z.core.$ZodIssue): string {
  if (issue.code === "unrecognized_keys") return `unknown key ${issue.keys.slice(0, 5).map(quoted).join(", ")}`;
  const where = issue.path.map((part, i) =>
    typeof part === "number" ? `[${part}]` : `${i === 0 ? "" : "."}${String(part)}`,
  );
  const first =
    issue.code === "invalid_union" ? "neither text nor a list of messages with role and content" : issue.message;
  return `${where.join("")}: ${first}`;
}

function record(data: unknown, at: string): Record<string, unknown> {
  if (typeof data === "object" && data !== null && !Array.isArray(data)) return data as Record<string, unknown>;
  throw new PromptFormError(`${at} is no JSON object`);
}

function textOf(value: unknown, at: string): { prompt: string } {
  if (typeof value === "string") return { prompt: value };
  throw new PromptFormError(`${at} is no text`);
}

/** A benchmark's further turns answer what the model said to the first; the first is the prompt. */
function readTurns(turns: unknown): ReadLine {
  const [first] = Array.isArray(turns) ? turns : [];
  if (typeof first !== "string") throw new PromptFormError("turns is no list of texts");
  const line = { chat: asUser(first) };
  return (turns as unknown[]).length === 1 ? { line } : { line, leftOut: "later turns were" };
}

/** @param at what stands before the keys in a message */
function readRequest(body: Record<string, unknown>, at: string): ReadLine {
  const { messages, input, instructions, prompt } = body;
  if (messages !== undefined) return readMessages(messages, `${at}messages`, []);
  const system = typeof instructions === "string" ? [{ role: "system", content: instructions }] : [];
  if (typeof input === "string") return { line: { chat: [...system, ...asUser(input)] } };
  if (input !== undefined) return readMessages(input, `${at}input`, system);
  if (Array.isArray(prompt) && typeof prompt[0] === "number") return { line: { ids: prompt } };
  return { line: textOf(prompt, `${at}prompt`) };
}

function readMessages(given: unknown, at: string, before: readonly ChatMessage[]): ReadLine {
  if (!Array.isArray(given) || given.length === 0) throw new PromptFormError(`${at} is no list of messages`);
  const messages = [...before, ...given.map((message, i) => readMessage(message, `${at}[${i}]`))];
  // data for training ends with the answer that is wanted
  const end = messages.findLastIndex(({ role }) => role !== "assistant") + 1;
  if (end === 0) throw new PromptFormError(`${at} holds nothing but answers`);
  const line = { chat: messages.slice(0, end) };
  return end === messages.length ? { line } : { line, leftOut: "the answer at the end was" };
}

function readMessage(given: unknown, at: string): ChatMessage {
  const { role, content, tool_calls: calls } = record(given, at);
  if (typeof role !== "string") throw new PromptFormError(`${at}.role is no text`);
  if (calls !== undefined && calls !== null) throw new PromptFormError(`${at}.tool_calls: calls of tools are not read`);
  if (typeof content === "string") return { role, content };
  if (!Array.isArray(content)) throw new PromptFormError(`${at}.content is no text`);
  return { role, content: content.map((part, i) => partText(part, `${at}.content[${i}]`)).join("") };
}

/** `{"type": "text", "text": …}`, called input_text and output_text in responses */
function partText(part: unknown, at: string): string {
  const { type, text } = record(part, at);
  if (typeof text === "string" && /^(input_|output_)?text$/.test(String(type))) return text;
  throw new PromptFormError(`${at}: a part of type ${quoted(String(type))} is no text`);
}
