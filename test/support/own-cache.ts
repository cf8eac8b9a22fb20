/** Tests convert models into a cache of their own, so that nothing left over from before is read. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export default function setup(): () => void {
  const folder = mkdtempSync(join(tmpdir(), "draftplan-cache-"));
  process.env.DRAFTPLAN_CACHE_DIR = folder;
  return () => rmSync(folder, { recursive: true, force: true });
}
