import { test } from "vitest";
import { MACHINES, sweepOnce } from "./interval-coverage.js";
test("coverage", async () => {
  const N = Number(process.env.COV_N ?? 40);
  for (const rounds of (process.env.COV_R ?? "6,16").split(",").map(Number))
    for (const [name, machine] of Object.entries(MACHINES)) {
      const from = performance.now();
      const by = new Map<string, { c: number; n: number; w: number; e: number; b: number }>();
      for (let seed = 1; seed <= N; seed++)
        for (const r of await sweepOnce(machine, rounds, seed)) {
          const o = by.get(r.name) ?? { c: 0, n: 0, w: 0, e: 0, b: 0 };
          o.c += Number(r.covers); o.n++; o.w += r.width; o.e += r.error ** 2; o.b += r.error;
          by.set(r.name, o);
        }
      const all = [...by.values()];
      console.log(rounds, name, "coverage", (100 * all.reduce((s, o) => s + o.c, 0) / all.reduce((s, o) => s + o.n, 0)).toFixed(1), [...by].map(([k, o]) => `${k}: ${(100 * o.c / o.n).toFixed(0)} % halfwidth/rms ${(o.w / 2 / o.n / Math.sqrt(o.e / o.n)).toFixed(2)} rms ${(100 * Math.sqrt(o.e / o.n)).toFixed(2)} bias ${(100 * o.b / o.n).toFixed(2)}`).join("; "), `${((performance.now() - from) / N).toFixed(0)} ms a sweep`);
    }
}, 600_000);
