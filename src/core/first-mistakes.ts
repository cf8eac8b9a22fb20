/** What people name in place of a model at first: told for what it is, with what to give instead. */
import { closeSync, openSync, readdirSync, readFileSync, readSync, statSync } from "node:fs";
import { basename, dirname, extname, join } from "node:path";
import { DraftplanError } from "./errors.js";

const POINTER = "version https://git-lfs.github.com/";
const PAGE = /^\s*<(!doctype html|html)/i;
/** PyTorch's own files are pickles: programs, which are run when they are read. */
const PICKLED = new Set([".bin", ".pt", ".pth", ".ckpt"]);
const PICKLED_WEIGHTS = /^(pytorch_model|consolidated).*\.(bin|pth)$/;
/** of a folder, those that a model cannot do without */
const NEEDED = /^(config\.json|tokenizer\.json|.*\.safetensors|.*\.safetensors\.index\.json)$/;
const MOST_NEEDED = 200;

/** @throws MODEL_NOT_RECOGNISED for what is no model, and is known for something else; what is not there is left to others */
export function refuseFirstMistakes(path: string): void {
  const mistake = isFolder(path) ? mistakenFolder(path) : mistakenFile(path);
  if (mistake === null) return;
  throw new DraftplanError({ code: "MODEL_NOT_RECOGNISED", ...mistake });
}

interface Mistake {
  at: string;
  what: string;
  remedy: string;
}

/** @returns what a file is that is no model; null: nothing known */
function mistakenFile(path: string): Mistake | null {
  const start = startOf(path);
  if (start === null) return null;
  const notDownloaded = mistakenDownload(path, start);
  if (notDownloaded !== null) return notDownloaded;
  const ending = extname(path).toLowerCase();
  if (start.startsWith("GGUF") || ending === ".gguf") return null;
  if (ending === ".onnx") return onnx(path);
  if (PICKLED.has(ending)) return pickled(path, dirname(path));
  if (ending !== ".safetensors") return null;
  if (/^adapter_model/.test(basename(path))) return adapter(path, dirname(path));
  return {
    at: path,
    what: "weights alone, and a model has a config.json beside them",
    remedy: `give the folder it lies in: ${dirname(path)}`,
  };
}

function mistakenDownload(path: string, start: string): Mistake | null {
  if (start.startsWith(POINTER))
    return {
      at: path,
      what: "a Git LFS pointer: a few lines that stand for a file which was not downloaded",
      remedy: `git -C ${dirname(path)} lfs pull, or take the model from the hub: hf download OWNER/NAME`,
    };
  if (PAGE.test(start))
    return {
      at: path,
      what: "a web page, and not the file that it shows",
      remedy: "use the page's download link, or: hf download OWNER/NAME",
    };
  return null;
}

/** @returns what a folder is that is no model; null: nothing known */
function mistakenFolder(folder: string): Mistake | null {
  const names = namesIn(folder);
  for (const name of names.filter((each) => NEEDED.test(each)).slice(0, MOST_NEEDED)) {
    const start = startOf(join(folder, name));
    const mistake = start === null ? null : mistakenDownload(join(folder, name), start);
    if (mistake !== null) return mistake;
  }
  const hasWeights = names.some((name) => name.endsWith(".safetensors") && !/^adapter_model/.test(name));
  if (hasWeights) return null;
  if (names.includes("adapter_config.json")) return adapter(folder, folder);
  if (names.some((name) => PICKLED_WEIGHTS.test(name))) return pickled(folder, folder);
  const gguf = names.find((name) => name.toLowerCase().endsWith(".gguf"));
  if (gguf !== undefined)
    return {
      at: folder,
      what: "the folder holds GGUF files, and a model is one of them",
      remedy: `give the file: ${join(folder, gguf)}`,
    };
  return names.some((name) => name === "onnx" || name.endsWith(".onnx")) ? onnx(folder) : null;
}

const onnx = (at: string): Mistake => ({
  at,
  what: "an ONNX graph: draftplan makes graphs of its own, in which blocks can be left out",
  remedy: "give what the graph was made from: the Hugging Face folder (config.json, *.safetensors) or a .gguf file",
});

const pickled = (at: string, folder: string): Mistake => ({
  at,
  what: "weights as PyTorch pickles them, which are programs and are not run here; draftplan reads .safetensors",
  remedy: `save them anew: python -c "import transformers as t; t.AutoModelForCausalLM.from_pretrained('${folder}').save_pretrained('${folder}-safetensors'); t.AutoTokenizer.from_pretrained('${folder}').save_pretrained('${folder}-safetensors')"`,
});

function adapter(at: string, folder: string): Mistake {
  const base = baseOf(folder);
  return {
    at,
    what: `an adapter (LoRA), which changes another model${base === null ? "" : `, ${base},`} and is none by itself`,
    remedy: `merge both: python -c "import peft; peft.AutoPeftModelForCausalLM.from_pretrained('${folder}').merge_and_unload().save_pretrained('${folder}-merged')", and put the base model's tokenizer files beside the result`,
  };
}

/** The model that an adapter belongs to, as its configuration says; null: it does not. */
function baseOf(folder: string): string | null {
  try {
    const config = JSON.parse(readFileSync(join(folder, "adapter_config.json"), "utf8")) as Record<string, unknown>;
    const name = config.base_model_name_or_path;
    return typeof name === "string" && name !== "" ? name.slice(0, 200) : null;
  } catch {
    return null;
  }
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return []; // whoever opens it says why it cannot be read
  }
}

/** The first bytes of a regular file, as Latin-1; null: there is none that can be read. */
function startOf(path: string): string | null {
  try {
    if (!statSync(path).isFile()) return null;
    const bytes = Buffer.alloc(64);
    const file = openSync(path, "r");
    try {
      return bytes.toString("latin1", 0, readSync(file, bytes));
    } finally {
      closeSync(file);
    }
  } catch {
    return null;
  }
}
