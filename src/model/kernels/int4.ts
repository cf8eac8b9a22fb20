import { blockQuantised } from "./block-quantised.js";

export const int4 = blockQuantised("int4", 4);
