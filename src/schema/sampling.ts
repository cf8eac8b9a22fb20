/** How text is drawn from a model's logits: what `--temperature` and the options beside it say. */
import { z } from "zod";

/** Filters that are not named are off. They are applied in the order of the keys, which is that of transformers. */
export const Filters = z.strictObject({
  repetition_penalty: z
    .number()
    .positive()
    .optional()
    .describe("logits of tokens that the text has already: divided by it above 0, multiplied below"),
  temperature: z.number().nonnegative().describe("logits are divided by it; 0: the likeliest token, greedily"),
  top_k: z.int().positive().optional().describe("only so many likeliest tokens, and all as likely as the last of them"),
  top_p: z
    .number()
    .positive()
    .max(1)
    .optional()
    .describe("only the fewest likeliest tokens that are likely enough together"),
  min_p: z.number().min(0).max(1).optional().describe("only tokens of this share of the likeliest one's probability"),
});
export type Filters = z.infer<typeof Filters>;

/** Filters, and where draws began: what a document says of how its texts were drawn. */
export const SeededFilters = z.strictObject({ ...Filters.shape, seed: z.int().min(0).optional() });

/** The likeliest token as it is: nothing is drawn and nothing penalised. */
export const GREEDY: Filters = { temperature: 0 };

/** Whether chance has a part in what is written. */
export const draws = ({ temperature }: Filters): boolean => temperature > 0;

/** Whether the output is nothing else than the model's likeliest tokens. */
export const isPlainGreedy = ({ temperature, repetition_penalty = 1 }: Filters): boolean =>
  temperature === 0 && repetition_penalty === 1;
