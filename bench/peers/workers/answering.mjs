/** The other end of worker.mjs, in Node: requests in, answers out, one at a time. */
import { createInterface } from "node:readline";

const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

/**
 * @param open given the options; gives {ready, answer, close}. What it throws is why this peer is absent
 */
export async function answering(open) {
  let peer;
  try {
    peer = await open(JSON.parse(process.argv.at(-1)));
  } catch (error) {
    say({ absent: firstLine(error) });
    process.exit(0);
  }
  say(peer.ready);
  for await (const line of createInterface({ input: process.stdin })) {
    try {
      say(await peer.answer(JSON.parse(line)));
    } catch (error) {
      say({ error: firstLine(error) });
    }
  }
  await peer.close?.();
  process.exit(0);
}

const firstLine = (error) => String(error?.message ?? error).split("\n")[0];

/** tokens that come so soon behind the first one were made by the pass that made it: no other pass is as short */
const TOGETHER_MS = 1;

/** Takes the time of every token: the prompt's until the first one, and decoding from there to the last. */
export function tokenTimes() {
  const start = performance.now();
  const at = [];
  return {
    seen: () => at.push(performance.now()),
    times: () => ({
      promptMs: at[0] - start,
      decodeMs: at[at.length - 1] - at[0],
      timedTokens: at.filter((ms) => ms - at[0] >= TOGETHER_MS).length,
    }),
  };
}
