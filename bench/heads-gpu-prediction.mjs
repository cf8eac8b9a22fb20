/**
 * What the trees of measured heads would gain on a GPU, by latencies that were measured there: the planner's own search for
 * trees over the ranks of a calibration, and the rounds that follow one another along its text. Nothing runs on a GPU here,
 * and the heads are those of the calibration's model, not of the shapes: it says how a device's prices shape a tree.
 *
 *   node bench/heads-gpu-prediction.mjs CALIBRATION.yaml [--ranks-at 128]
 */
import { parseArgs } from "node:util";
import { readDocumentOf } from "../dist/schema/document.js";
import { RankPaths } from "../dist/solve/trees/rank-paths.js";
import { treeRounds } from "../dist/stats/tree-rounds.js";

const { values, positionals } = parseArgs({ allowPositionals: true, options: { "ranks-at": { type: "string" } } });

/**
 * One H200, ONNX Runtime 1.31.1 CUDA, fp16, random weights, ms a pass (docs/measurements.md). `trees`: passes over trees, with
 * a bias; `chains`: the fused kernel, for trees a lower bound. [nodes, ms], nodes 0 the plain step.
 * `heads`: ms of a Medusa pass, not measured: bytes of four blocks and of the LM head over 4.4 TB/s.
 */
const DEVICES = [
  {
    name: "8B, n = 1,024 (trees)",
    heads: 0.27,
    points: [
      [0, 5.06],
      [8, 5.34],
      [16, 5.36],
      [32, 5.64],
      [64, 6.04],
    ],
  },
  {
    name: "8B, n = 8,192 (trees)",
    heads: 0.27,
    points: [
      [0, 5.32],
      [8, 6.2],
      [16, 6.37],
      [32, 7.2],
      [64, 8.66],
    ],
  },
  {
    name: "1B, n = 1,024 (chains)",
    heads: 0.13,
    points: [
      [0, 1.3],
      [3, 1.5],
      [15, 1.54],
    ],
  },
  {
    name: "1B, n = 8,192 (chains)",
    heads: 0.13,
    points: [
      [0, 1.39],
      [3, 1.9],
      [15, 1.9],
    ],
  },
];
const LEAST_POSITIONS = 30; // as the planner asks of a node's parent

function msAt(points, nodes) {
  const after = points.findIndex(([k]) => k >= nodes);
  const [[a, x], [b, y]] = [points[Math.max(0, after - 1)], points[after]];
  return a === b ? y : x + ((y - x) * (nodes - a)) / (b - a);
}

const { document } = readDocumentOf("draftplan/calibration", positionals[0]);
const [heads] = document.heads ?? [];
if (heads === undefined)
  throw new Error("the calibration has no heads: draftplan calibrate MODEL --drafters self,heads:FOLDER");
const at = Number(values["ranks-at"] ?? heads.contexts[0].at_context);
const part = (name) => heads.contexts.find((context) => context.at_context === at && context.part === name);
const [choose, report] = [part("choose"), part("report")];

const rows = DEVICES.map(({ name, heads: headsMs, points }) => {
  const most = points[points.length - 1][0];
  const nodes = new RankPaths(choose.paths, choose.positions).likeliest(most, heads.heads, {
    leastPositions: LEAST_POSITIONS,
  });
  const options = nodes.map((_, i) => {
    const tree = nodes.slice(0, i + 1).map(({ ranks }) => ranks);
    const { tokens, rounds } = treeRounds(choose, tree);
    return { tree, perMs: tokens / rounds / (msAt(points, tree.length) + headsMs) };
  });
  const best = options.reduce((most, option) => (option.perMs > most.perMs ? option : most));
  const confirmed = treeRounds(report, best.tree);
  const tokens = confirmed.tokens / confirmed.rounds;
  const roundMs = msAt(points, best.tree.length) + headsMs;
  return {
    ...{ device: name, nodes: best.tree.length, depth: Math.max(...best.tree.map((path) => path.length)) },
    ...{ "tokens a round": Number(tokens.toFixed(2)), "round, ms": Number(roundMs.toFixed(2)) },
    speedup: Number(((tokens / roundMs) * points[0][1]).toFixed(2)),
  };
});
console.table(rows);
