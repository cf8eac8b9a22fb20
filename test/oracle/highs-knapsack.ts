// The same problem solved by HiGHS (npm `highs`, WebAssembly). Imports nothing from src.
import loadHighs from "highs";

interface Item {
  costUs: number;
  loss: number;
}
type Groups<T extends Item = Item> = readonly { id: string; choices: readonly T[] }[];

/** A limit on a sum beside the budget. */
export interface Limit<T extends Item = Item> {
  most: number;
  of(choice: T): number;
}

// The package's types describe its CommonJS build; node loads its ES module, where the default export is the loader.
const highs = await (loadHighs as unknown as typeof loadHighs.default)();

/** Least loss with cost within the budget, recomputed from the choices that HiGHS takes. */
export function highsLeastLoss<T extends Item>(
  groups: Groups<T>,
  budgetUs: number,
  limits: readonly Limit<T>[] = [],
): { costUs: number; loss: number } | null {
  const { Status, Columns } = highs.solve(lpText(groups, budgetUs, "Binary", limits), {
    output_flag: false,
    mip_rel_gap: 0,
    mip_abs_gap: 0,
  });
  if (Status === "Infeasible") return null;
  if (Status !== "Optimal") throw new Error(`HiGHS: ${Status}`);
  let costUs = 0;
  let loss = 0;
  groups.forEach((group, g) => {
    const [taken, ...more] = group.choices.filter((_, c) => (Columns[`x${g}_${c}`]?.Primal ?? 0) > 0.5);
    if (taken === undefined || more.length > 0) throw new Error(`HiGHS took ${1 + more.length} choices of group ${g}`);
    costUs += taken.costUs;
    loss += taken.loss;
  });
  return { costUs, loss };
}

/** Optimum of the LP relaxation. */
export function highsRelaxation<T extends Item>(
  groups: Groups<T>,
  budgetUs: number,
  limits: readonly Limit<T>[] = [],
): number {
  const { Status, ObjectiveValue } = highs.solve(lpText(groups, budgetUs, "Bounds", limits), { output_flag: false });
  if (Status !== "Optimal") throw new Error(`HiGHS: ${Status}`);
  return ObjectiveValue;
}

/** CPLEX LP format; `Bounds` leaves the variables continuous, which the group rows keep below 1. */
function lpText<T extends Item>(
  groups: Groups<T>,
  budgetUs: number,
  kind: "Binary" | "Bounds",
  limits: readonly Limit<T>[],
): string {
  const name = (g: number, c: number) => `x${g}_${c}`;
  const sum = (of: (choice: T) => number) =>
    groups.flatMap((group, g) => group.choices.map((choice, c) => `+ ${of(choice)} ${name(g, c)}`)).join("\n ");
  const sums = limits.map(({ most, of }, i) => `limit${i}: ${sum(of)} <= ${most}`);
  const rows = groups.map((group, g) => `g${g}: ${group.choices.map((_, c) => name(g, c)).join(" + ")} = 1`);
  const names = groups.flatMap((group, g) => group.choices.map((_, c) => name(g, c)));
  const variables = kind === "Binary" ? names : names.map((each) => `${each} >= 0`);
  return `Minimize\n loss: ${sum(({ loss }) => loss)}\nSubject To\n cost: ${sum(({ costUs }) => costUs)} <= ${budgetUs}\n ${[...sums, ...rows].join("\n ")}\n${kind}\n ${variables.join("\n ")}\nEnd\n`;
}
