/** Every architecture there is, a line each. What follows from the list is in registry.ts. */
import { gemma2 } from "./gemma2.js";
import { gemma3 } from "./gemma3.js";
import { granite } from "./granite.js";
import { llama } from "./llama.js";
import { mistral } from "./mistral.js";
import { mixtral } from "./mixtral.js";
import { olmo2 } from "./olmo2.js";
import { phi3 } from "./phi3.js";
import { qwen2 } from "./qwen2.js";
import { qwen3 } from "./qwen3.js";
import { qwen3moe } from "./qwen3moe.js";
import { smollm3 } from "./smollm3.js";

export const ARCHITECTURE_LIST = [
  ...[llama, mistral, qwen2, qwen3],
  ...[gemma2, gemma3, phi3, smollm3, olmo2, granite],
  ...[mixtral, qwen3moe],
] as const;
