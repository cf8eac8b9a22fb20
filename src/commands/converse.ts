/** draftplan generate --chat without a text: a conversation on a terminal, its cache kept from turn to turn. */
import { DraftplanError } from "../core/errors.js";
import { conversationLines } from "../output/conversation.js";
import { adaptedLine } from "../output/generation.js";
import type { Turn } from "../pipeline/generate/conversation.js";
import { type ConversationRequest, type OpenConversation, withConversation } from "../pipeline/generate/converse.js";
import type { CommandContext, Terminal } from "./context.js";

const HELP = "/exit or Ctrl-D ends the conversation, /clear begins anew, Ctrl-C ends an answer";
const ASK = "> ";

export async function converseCommand(
  model: string,
  request: ConversationRequest,
  context: CommandContext,
): Promise<void> {
  const { terminal = null } = context;
  if (context.json) throw conversationInJson();
  if (request.sampling?.count !== undefined) throw severalContinuations();
  if (terminal === null) throw noTerminal();
  await withConversation(model, request, context, (open) => talk(open, terminal, context));
  const { seed } = request.sampling ?? {};
  if (typeof seed === "number") context.note(`seeds from ${seed}`);
}

async function talk(open: OpenConversation, terminal: Terminal, context: CommandContext): Promise<void> {
  const { conversation } = open;
  context.note(HELP);
  for (let line = await terminal.ask(ASK); line !== null; line = await terminal.ask(ASK)) {
    const said = line.trim();
    if (said === "/exit") break;
    if (said === "/clear") {
      conversation.clear();
      context.note("(what was said is forgotten)");
    } else if (said !== "") await answer(line, open, terminal, context);
  }
  for (const text of conversationLines(conversation.turns, open.drafts)) context.note(text);
  const adapted = open.adapted();
  const us = conversation.turns.flatMap(({ rounds }) => rounds).reduce((sum, { totalUs }) => sum + totalUs, 0);
  if (adapted !== null && us > 0) context.note(adaptedLine(adapted, us));
}

async function answer(
  said: string,
  { conversation, maxTokens, contextTokens }: OpenConversation,
  terminal: Terminal,
  context: CommandContext,
): Promise<void> {
  const sink = { write: context.write, end: (text: string) => context.write(`${text}\n`) };
  try {
    const turn = await terminal.turn(() => conversation.say(said, sink));
    if (turn === null) context.note("(interrupted)");
    else noteLimit(turn, maxTokens, contextTokens, context);
  } catch (error) {
    if (!(error instanceof DraftplanError) || error.code !== "CONTEXT_LIMIT") throw error;
    // the conversation goes on: it can be begun anew, or something shorter said
    context.note(`(the context is full: ${error.what}. ${error.remedy})`);
  }
}

function noteLimit(turn: Turn, maxTokens: number, contextTokens: number, { note }: CommandContext): void {
  if (turn.finish !== "length") return;
  if (turn.promptTokens + turn.ids.length >= contextTokens)
    note(`(the context is full: it has ${contextTokens} tokens. Begin anew with /clear, or end with /exit)`);
  else note(`(ended after ${maxTokens} tokens; --max-tokens takes more)`);
}

const conversationInJson = () =>
  new DraftplanError({
    code: "USAGE",
    at: "--chat --json",
    what: "a conversation is for people at a terminal, and JSON is one value for programs",
    remedy: "Give what the user says: --chat TEXT, or --chat - with it on standard input.",
  });

const severalContinuations = () =>
  new DraftplanError({
    code: "USAGE",
    at: "--chat --count",
    what: "a conversation has one answer a turn",
    remedy: "Leave --count out, or give what the user says: --chat TEXT.",
  });

const noTerminal = () =>
  new DraftplanError({
    code: "USAGE",
    at: "--chat",
    what: "without a text it is a conversation, and input or output is no terminal",
    remedy: "Give what the user says: --chat TEXT, or --chat - with it on standard input.",
  });
