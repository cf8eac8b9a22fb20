/** The acceptance that the options of sampling ask for. */
import { draws, type Filters } from "../../schema/sampling.js";
import type { Random } from "../../stats/random.js";
import type { Accept } from "./accept.js";
import { filtered } from "./filters.js";
import { greedily } from "./greedy.js";
import { sampling } from "./sampling.js";

/**
 * @param random what is drawn from, of a draft's tokens as well; not touched at temperature 0
 * @throws RangeError for a filter that keeps nothing
 */
export const acceptOf = (filters: Filters, random: Random): Accept =>
  draws(filters) ? sampling({ random, distribution: filtered(filters) }) : greedily(filters.repetition_penalty);
