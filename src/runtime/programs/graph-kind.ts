/**
 * Which graphs an engine computes with: the one that holds every choice behind `If`s, or programs without any, whose weights
 * are inputs, or (on the CPU alone) constants that are packed once and shared.
 */
import { DraftplanError } from "../../core/errors.js";

const GRAPH_KINDS = ["choices", "programs", "packed-programs"] as const;
export type GraphKind = (typeof GRAPH_KINDS)[number];

/** Says which, where it is set: for comparisons, and where a provider's own kind fails. */
const VARIABLE = "DRAFTPLAN_GRAPH";

/** Where a provider that is to run programs runs none. */
export const NO_PROGRAMS = `Set ${VARIABLE}=choices, or use --provider cpu.`;

/** On a GPU one `If` a block forbids capturing a pass, and a pass waits for launches (docs/devices.md). */
const PROGRAM_PROVIDERS: readonly string[] = ["cuda"];

/** Of RuntimeOptions. */
interface GraphOptions {
  graph?: GraphKind | undefined;
  provider: string;
  nodeTimings?: object | undefined;
}

/**
 * @throws OPTION_INVALID where the variable says something else, or programs are asked for together with what they have not
 */
export function graphKindOf(
  { graph, provider, nodeTimings }: GraphOptions,
  environment: NodeJS.ProcessEnv = process.env,
): GraphKind {
  const asked = graph ?? parse(environment[VARIABLE]);
  if (nodeTimings === undefined) return asked ?? (PROGRAM_PROVIDERS.includes(provider) ? "programs" : "choices");
  if (asked === undefined || asked === "choices") return "choices";
  throw new DraftplanError({
    code: "OPTION_INVALID",
    at: "timings of nodes",
    what: "they are recorded of the graph with choices alone, and programs were asked for",
    remedy: `Set ${VARIABLE}=choices, or leave it out.`,
  });
}

function parse(text: string | undefined): GraphKind | undefined {
  if (text === undefined || text === "") return undefined;
  const kind = GRAPH_KINDS.find((name) => name === text);
  if (kind !== undefined) return kind;
  throw new DraftplanError({
    code: "OPTION_INVALID",
    at: VARIABLE,
    what: `'${text.slice(0, 40)}' is no kind of graph`,
    remedy: `Set it to ${GRAPH_KINDS.join(", ")}, or leave it out.`,
  });
}
