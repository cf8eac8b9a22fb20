/** What a user should hear of a plan: constraints that leave little to solve, and drafts that text kept back refused. */

import { isShort, kernelsFor, type QuantisedKernel, quantisedKernels, shortHeads } from "../schema/choice.js";
import type { Segment } from "../schema/plan.js";
import { refutedText } from "../schema/plan-text.js";
import type { WeightBytes } from "../schema/weight-bytes.js";
import { BYTES_PER_MIB } from "./constraints.js";
import type { Problem } from "./problem.js";

export const SOLVE_WARNINGS = ["NOTHING_TO_SKIP", "DRAFT_MEMORY_SMALL", "DRAFT_REFUTED"] as const;

export interface SolveWarning {
  code: (typeof SOLVE_WARNINGS)[number];
  message: string;
}

type Constrained = Pick<Problem, "layers" | "choices" | "limits">;

export function constraintWarnings(problem: Constrained): SolveWarning[] {
  return [...nothingToSkip(problem), ...memoryTooSmall(problem)];
}

function nothingToSkip({ layers, choices, limits }: Constrained): SolveWarning[] {
  if (!choices.includes("skip")) return [];
  const { kept, maxSkip, wholeLayers } = limits;
  const least = wholeLayers ? 2 : 1;
  const reasons = [
    ...(kept.size === 2 * layers ? [`--keep keeps all ${layers} layers`] : []),
    ...(maxSkip !== null && maxSkip < least
      ? [
          `--max-skip allows ${maxSkip} ${maxSkip === 1 ? "block" : "blocks"}${wholeLayers ? ", and a whole layer is 2" : ""}`,
        ]
      : []),
  ];
  if (reasons.length === 0) return [];
  const others = choices.filter((choice) => choice !== "skip");
  const left =
    others.length === 0
      ? "--choices allows nothing else, so the plan is plain decoding; keep fewer layers, skip more, or allow --choices skip,int8"
      : `drafts are made of ${["target", ...others].join(" and ")} alone`;
  return [{ code: "NOTHING_TO_SKIP", message: `no block can be skipped: ${reasons.join("; ")}. ${upper(left)}` }];
}

function memoryTooSmall({ layers, choices, limits: { memory, wholeLayers } }: Constrained): SolveWarning[] {
  // a span takes its kernel's copy
  const quantised = quantisedKernels(kernelsFor(choices.filter((choice) => !isShort(choice))));
  const short = shortHeads(choices);
  if (memory === null || quantised.length + short.length === 0) return [];
  const { mostBytes, weightBytes } = memory;
  const parts = [
    ...quantised.flatMap((kernel) => partsOf(weightBytes, kernel, wholeLayers)),
    ...short.map((kernel) => ({ name: "the head", bytes: weightBytes.head[kernel] ?? 0, kernel })),
  ];
  const smallest = parts.reduce((a, b) => (b.bytes < a.bytes ? b : a));
  if (smallest.bytes <= mostBytes) return [];
  const copies = quantised.map((kernel) => `${mib(allBytes(weightBytes, kernel, layers))} MiB in ${kernel}`);
  const whole = copies.length === 0 ? "" : `, and all blocks with the head take ${copies.join(" or ")}`;
  const rest = choices.includes("skip")
    ? "blocks can only be skipped"
    : "and nothing else is allowed, so the plan is plain decoding";
  return [
    {
      code: "DRAFT_MEMORY_SMALL",
      message: `--draft-memory ${mib(mostBytes)} MiB has room for nothing quantised: the smallest copy, ${smallest.name} in ${smallest.kernel}, takes ${mib(smallest.bytes)} MiB${whole}; ${rest}`,
    },
  ];
}

/** What can be quantised by itself. */
function partsOf(bytes: WeightBytes, kernel: QuantisedKernel, wholeLayers: boolean) {
  const [attn, mlp, head] = [bytes.attn[kernel] ?? 0, bytes.mlp[kernel] ?? 0, bytes.head[kernel] ?? 0];
  const blocks = wholeLayers
    ? [{ name: "a layer", bytes: attn + mlp }]
    : [
        { name: "an attention block", bytes: attn },
        { name: "an MLP block", bytes: mlp },
      ];
  return [...blocks, { name: "the head", bytes: head }].map((part) => ({ ...part, kernel }));
}

const allBytes = (bytes: WeightBytes, kernel: keyof WeightBytes["attn"], layers: number): number =>
  layers * ((bytes.attn[kernel] ?? 0) + (bytes.mlp[kernel] ?? 0)) + (bytes.head[kernel] ?? 0);

/** Three significant digits; so small a limit or block is told from 0. */
const mib = (bytes: number): string => String(Number((bytes / BYTES_PER_MIB).toPrecision(3)));

const upper = (text: string): string => (text.startsWith("-") ? text : text[0].toUpperCase() + text.slice(1));

/** One warning for every segment where text kept back refused what the text of choosing preferred. */
export const refutedWarnings = (segments: readonly Segment[], layers: number): SolveWarning[] =>
  segments.flatMap((segment) => {
    const said = refutedText(segment, layers);
    return said === null ? [] : [{ code: "DRAFT_REFUTED" as const, message: said }];
  });
