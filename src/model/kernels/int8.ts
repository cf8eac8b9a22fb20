import { blockQuantised } from "./block-quantised.js";

export const int8 = blockQuantised("int8", 8);
