/**
 * How well a profile of programs predicts programs that it never timed, and how far two sweeps are apart.
 *   node bench/program-profile.mjs [MODEL=embedded] [--provider cpu] [--graph packed-programs] [--budget 40] [--threads N]
 *                                  [--context 64..1024] [--query 1..9] [--choices target,int8,int4] [--ort-library PATH]
 * Needs a build (npm run build), and an idle machine. On a GPU: --provider cuda --graph programs. On a CPU programs that
 * leave out most blocks find their weights in the processor's caches, which whole drafts do not: errors are larger there.
 */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { silentProgress } from "../dist/core/progress.js";
import { makeProfile, profileCapacity, profileGrid } from "../dist/pipeline/profile/make.js";
import { programDeck } from "../dist/profile/sweep/programs.js";
import { loadModel } from "../dist/runtime/load.js";
import { uniformChoices } from "../dist/schema/choice.js";
import { openLatency } from "../dist/solve/latency.js";
import { twoSweeps } from "../scripts/gpu-check/two-sweeps.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    provider: { type: "string", default: "cpu" },
    graph: { type: "string", default: "packed-programs" },
    budget: { type: "string", default: "40" },
    threads: { type: "string", default: String(availableParallelism()) },
    context: { type: "string", default: "64..1024" },
    query: { type: "string", default: "1..9" },
    choices: { type: "string", default: "target,int8,int4" },
    "ort-library": { type: "string" },
  },
});
const { provider, graph } = values;
const context = {
  provider,
  threads: Number(values.threads),
  ortLibrary: values["ort-library"],
  progress: silentProgress,
};
const grid = profileGrid({ context: values.context, query: values.query }, Number.MAX_SAFE_INTEGER);
const kernels = values.choices.split(",");
const { engine, ref, close } = await loadModel(positionals[0] ?? "embedded", {
  ...context,
  ...{ graph, kernels, capacity: profileCapacity(grid) },
});
const profiles = [];
for (const seed of [1, 2])
  profiles.push(
    await makeProfile(engine, ref, grid, context, { seed, budgetSeconds: Number(values.budget), draws: 0 }),
  );
console.log(
  JSON.stringify(
    {
      ...{ model: ref.name, device: profiles[0].device, graph },
      sweeps: profiles.map(({ errors, sampling, gpu }) => ({ errors, sampling, gpu: gpu ?? null })),
      apart: twoSweeps(profiles, { openLatency, programDeck, uniformChoices }, engine),
    },
    null,
    1,
  ),
);
close();
