// preinstall of an installed package: keeps `npm install draftplan` from downloading CUDA files.
//
// onnxruntime-node's postinstall downloads some hundred megabytes of CUDA libraries from nuget.org on Linux x64. draftplan
// uses none of them, and where that host cannot be reached the script fails and takes the whole installation with it.
// In this repository `allowScripts` switches it off where npm knows it, and for older ones package-lock.json does not say that
// onnxruntime-node has an install script (npm runs those of the packages of which a lock says so; test/install.test.ts
// holds it). Neither counts where draftplan is a dependency. npm unpacks everything first and runs every preinstall before any postinstall, and that script
// leaves at once where its files exist. So placeholders are put where they are missing. ONNX Runtime opens them only
// when CUDA is asked for, and then fails as it would without them. The alternatives are worse: bundling the package means
// a tarball of 300 MB, and as an optional dependency it would be removed when its script fails.
//
// Whoever wants the CUDA files says so, as onnxruntime-node documents, and nothing is put in their place:
//   ONNXRUNTIME_NODE_INSTALL=cuda12 npm install …      or later:  ONNXRUNTIME_NODE_INSTALL=cuda12 npm rebuild onnxruntime-node
import { existsSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, sep } from "node:path";
import { fileURLToPath } from "node:url";

const CHOSEN = [
  "ONNXRUNTIME_NODE_INSTALL",
  "ONNXRUNTIME_NODE_INSTALL_CUDA",
  "npm_config_onnxruntime_node_install",
  "npm_config_onnxruntime_node_install_cuda",
];
const PLACEHOLDER =
  "Not a library: put here by draftplan, so that CUDA files are not downloaded.\nTo have them: ONNXRUNTIME_NODE_INSTALL=cuda12 npm rebuild onnxruntime-node\n";

/** The files that onnxruntime-node would download for this platform. */
function wantedFiles() {
  const require = createRequire(import.meta.url);
  const root = dirname(require.resolve("onnxruntime-node/package.json"));
  const { requirements, manifests } = require(join(root, "script", "install-metadata.js"));
  const platform = `${process.platform}/${process.arch}`;
  const folder = join(root, "bin", "napi-v6", platform);
  return (requirements[platform] ?? [])
    .flatMap((name) => Object.keys(manifests[`${platform}:${name}`]))
    .map((file) => join(folder, file));
}

const installed = fileURLToPath(import.meta.url).includes(`${sep}node_modules${sep}`);
if (installed && !CHOSEN.some((name) => process.env[name] !== undefined)) {
  try {
    for (const file of wantedFiles()) if (!existsSync(file)) writeFileSync(file, PLACEHOLDER);
  } catch {
    // Another version of onnxruntime-node, or another package manager: then its script runs, or does not, as it likes.
  }
}
