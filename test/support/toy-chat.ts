/** A tokenizer of one letter a token, and chat templates that are plain functions. */
import type { ChatMessage, Tokenizer } from "../../src/tokenizer/types.js";

const LETTERS = "abcdefghijklmnop";

/** What goes between messages: tokens of their own that no answer of fewer letters has. */
export const [ASKED, ANSWERED, CLOSED, SAID_BEFORE] = ["m", "n", "o", "p"];

export type Template = (messages: readonly ChatMessage[]) => string;

/** Every message behind its role's letter. */
export const plainTemplate: Template = (messages) =>
  messages.map(({ role, content }) => `${markOf(role)}${content}${CLOSED}`).join("") + ANSWERED;

const markOf = (role: string) => (role === "user" ? ASKED : role === "assistant" ? ANSWERED : SAID_BEFORE);

/** Answers before the last are cut to their first two letters, as templates do that leave thoughts out. */
export const forgetfulTemplate: Template = (messages) =>
  plainTemplate(
    messages.map((message) =>
      message.role === "assistant" ? { ...message, content: message.content.slice(0, 2) } : message,
    ),
  );

/** The number of messages comes first: nothing of an earlier turn can be kept. */
export const countingTemplate: Template = (messages) => `${LETTERS[messages.length % 12]}${plainTemplate(messages)}`;

/** @param joined two letters that become the second one's token where they stand beside each other in rendered text */
export function toyTokenizer(template: Template, joined?: string): Tokenizer {
  const encode = (text: string) => {
    const spelled = joined === undefined ? text : text.replaceAll(joined, joined[1]);
    return [...spelled].map((letter) => {
      const id = LETTERS.indexOf(letter);
      if (id === -1) throw new Error(`${letter} is no letter of these`);
      return id;
    });
  };
  return {
    encode,
    encodeRendered: encode,
    decode: (ids) => ids.map((id) => LETTERS[id]).join(""),
    renderChat: (messages) => template(messages),
    hasChatTemplate: true,
    sha256: "ab".repeat(32),
  };
}

export const TOY_VOCAB = LETTERS.length;
