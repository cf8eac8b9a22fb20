/** Every architecture there is, a line each. What follows from the list is in registry.ts. */
import { llama } from "./llama.js";
import { mistral } from "./mistral.js";
import { qwen2 } from "./qwen2.js";
import { qwen3 } from "./qwen3.js";

export const ARCHITECTURE_LIST = [llama, mistral, qwen2, qwen3] as const;
