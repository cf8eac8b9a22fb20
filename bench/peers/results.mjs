/** Rows of figures, one for each way at each context, and the table of them. */

/** logits of a target in fp32 within which two tokens are a tie (docs/method.md) */
const TIE = 1e-3;

export function median(list) {
  const sorted = [...list].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
const digits = (x) => (x === null || x === undefined ? null : Number(x.toPrecision(4)));
const perToken = ({ decodeMs, timedTokens }) => decodeMs / timedTokens;
const atSame = (runs, run) => runs.filter(({ n, number }) => n === run.n && number === run.number);

/** Median over decodings of the time of `others` on the same prompt by that of `runs`. */
function timesAsFast(runs, others) {
  const ratios = runs.flatMap((run) => {
    const same = atSame(others, run);
    return same.length === 0 ? [] : [median(same.map(perToken)) / perToken(run)];
  });
  return ratios.length === 0 ? null : digits(median(ratios));
}

/** How often outputs are those of the same precision's plain decoding. */
async function comparedWith(reference, runs, prompts, gapOf) {
  const found = { equal: 0, ties: 0, other: 0 };
  for (const run of runs) {
    const [same] = atSame(reference, run);
    if (same === undefined) continue;
    const at = same.ids.findIndex((id, i) => run.ids[i] !== id);
    if (at === -1) found.equal++;
    else {
      const text = [...prompts[run.number], ...same.ids.slice(0, at)];
      const gap = await gapOf(text, [same.ids[at], run.ids[at]]);
      if (gap !== null && gap < TIE) found.ties++;
      else found.other++;
    }
  }
  return found;
}

/**
 * @param ways {name, version, way, precision, runs, failed?}, in the order in which they took turns
 * @param gapOf how far the fp32 target holds two tokens apart behind a text; null: nobody can say
 */
export async function rowsOf(ways, contexts, prompts, gapOf) {
  const rows = [];
  const noGap = async () => null;
  for (const [i, n] of contexts.entries())
    for (const way of ways) {
      const runs = way.runs.filter((run) => run.n === n);
      const label = { context: n, peer: way.name, version: way.version, way: way.way, precision: way.precision };
      if (runs.length === 0) {
        rows.push({ ...label, failed: way.failed ?? "it was not asked" });
        continue;
      }
      const reference = ways.find(({ precision, way: kind }) => precision === way.precision && kind === "plain");
      const plain = ways.find(({ name, way: kind }) => name === way.name && kind === "plain");
      const gap = way.precision === "fp32" ? gapOf : noGap;
      const acceptance = runs.flatMap((run) => (typeof run.acceptance === "number" ? [run.acceptance] : []));
      rows.push({
        ...label,
        decodings: runs.length,
        ms_per_token: digits(median(runs.map(perToken))),
        fastest_ms_per_token: digits(Math.min(...runs.map(perToken))),
        times_own_plain: way === plain || plain === undefined ? null : timesAsFast(runs, plain.runs),
        prompt_ms: digits(median(runs.map(({ promptMs }) => promptMs))),
        acceptance: acceptance.length === 0 ? null : digits(median(acceptance)),
        ...(reference === undefined || reference === way
          ? {}
          : {
              output: await comparedWith(reference.runs, runs, prompts[i], gap),
              output_of: `${reference.name}, plain`,
            }),
        ...(way.failed === undefined ? {} : { failed: way.failed }),
      });
    }
  return rows;
}

const HEAD = ["context", "peer", "way", "precision", "ms/token", "of own plain", "prompt ms", "accepted", "output"];
const RIGHT = new Set([0, 4, 5, 6, 7]);

function outputText({ output }) {
  if (output === undefined) return "";
  const { equal, ties, other } = output;
  const parts = [`${equal} of ${equal + ties + other} equal`];
  if (ties > 0) parts.push(`${ties} part at a tie`);
  if (other > 0) parts.push(`${other} part`);
  return parts.join(", ");
}

const cellsOf = (row) => [
  String(row.context),
  `${row.peer}${row.peer.startsWith("draftplan") ? "" : ` ${row.version}`}`,
  row.way,
  row.precision,
  ...(row.ms_per_token === undefined
    ? ["", "", "", "", `failed: ${row.failed}`]
    : [
        row.ms_per_token.toFixed(2),
        row.times_own_plain === null ? "" : `${row.times_own_plain.toFixed(2)}x`,
        row.prompt_ms.toFixed(0),
        row.acceptance === null ? "" : `${(100 * row.acceptance).toFixed(0)} %`,
        outputText(row),
      ]),
];

const machine = ({ load_average: load, plain_of: of, plain_ms_per_token: ms }) =>
  `load ${load.join(", ")}; ${of}, plain: ${ms} ms a token`;

/** What people read: the rows in columns, the machine before and after, and who was not there. */
export function tableOf({ device, threads, tokens, sweeps, seconds, before, after, rows, absent }) {
  const cells = [HEAD, ...rows.map(cellsOf)];
  const widths = HEAD.map((_, column) => Math.max(...cells.map((row) => row[column].length)));
  const lines = cells.map((row) =>
    row
      .map((cell, i) => (RIGHT.has(i) ? cell.padStart(widths[i]) : cell.padEnd(widths[i])))
      .join("  ")
      .trimEnd(),
  );
  return [
    `${device.cpu}, ${threads} threads; ${tokens} tokens each, ${sweeps} sweeps in ${seconds} s; medians`,
    "",
    lines[0],
    "-".repeat(lines[0].length),
    ...lines.slice(1),
    "",
    `before: ${machine(before)}`,
    `after:  ${machine(after)}`,
    ...absent.map(({ peer, why }) => `${peer} was left out: ${why}`),
  ].join("\n");
}
