/** What `npm ci` runs and fetches in a checkout: package.json, package-lock.json and .npmrc. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const readJson = (name: string) => JSON.parse(readFileSync(join(ROOT, name), "utf8"));
const { packages } = readJson("package-lock.json") as {
  packages: Record<string, { hasInstallScript?: boolean }>;
};
const { allowScripts } = readJson("package.json") as { allowScripts: Record<string, boolean> };

test("no npm runs onnxruntime-node's install script, which would fetch CUDA's libraries elsewhere", () => {
  expect(allowScripts["onnxruntime-node"]).toBe(false);
  // older ones know no allowScripts; they run the scripts of what the lock says has some
  expect(packages["node_modules/onnxruntime-node"].hasInstallScript).toBeUndefined();
});

test("what else has install scripts is denied them where npm can", () => {
  const scripted = Object.entries(packages).flatMap(([path, { hasInstallScript }]) =>
    path !== "" && hasInstallScript === true ? [path.replace(/^.*node_modules\//, "")] : [],
  );
  expect(scripted.filter((name) => allowScripts[name] !== false && name !== "fsevents")).toEqual([]);
});

test("the package's source maps hold their sources, which are not packed", () => {
  const map = JSON.parse(readFileSync(join(ROOT, "dist", "index.js.map"), "utf8")) as { sourcesContent?: string[] };
  expect(map.sourcesContent).toEqual([readFileSync(join(ROOT, "src", "index.ts"), "utf8")]);
});

test("no .npmrc holds keys that npm does not know", () => expect(existsSync(join(ROOT, ".npmrc"))).toBe(false));
