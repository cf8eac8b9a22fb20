/** Inputs kept on the CPU in a graph that a GPU runs. */
import { Branch, type Context } from "./branch.js";
import { constant, INT64, optional, subgraph } from "./onnx.js";

/** What the names of these nodes begin with: they run on the CPU on purpose (runtime/providers.ts). */
export const HOST_PREFIX = "host/";

/**
 * Keeps inputs on the CPU, where they are wanted.
 *
 * ONNX Runtime puts an input that only branches use on the device of the node that has the branches, and the conditions of
 * inner `If`s and GroupQueryAttention's total length are then fetched back from it in every branch of every pass, each
 * time waiting for all that the device has to do. Where nodes of different providers have branches that use it, it stays
 * on the CPU, and is handed down as it is (allocation_planner.cc, ComputeValueLocation, cases 1 and 2). So there is an
 * `If` with a branch that names them all, never taken; no GPU has one with an `optional` result. Casting each of them to
 * a string on the CPU did the same and took 4 µs each (50 of them, 2 cores).
 */
export function keepOnHost(main: Branch, context: Context, flags: readonly string[]): void {
  const name = (branch: string) => `${HOST_PREFIX}${branch}`;
  const taken = new Branch(name("taken"), context);
  const named = new Branch(name("named"), context);
  named.node("SequenceConstruct", ["total_sequence_length"], "lengths");
  if (flags.length > 0) named.node("SequenceConstruct", [...flags], "flags");
  const branches = [taken, named].map((branch) => {
    const something = branch.node("Optional", [branch.integers("one", [1])], "something");
    return branch.graph([optional(something, INT64, [1])]);
  });
  main.initializers.push(constant(name("always"), [], Uint8Array.of(1)));
  main.node("If", [name("always")], `=${name("nothing")}`, [
    subgraph("then_branch", branches[0]),
    subgraph("else_branch", branches[1]),
  ]);
}
