/**
 * Tests convert models into a cache of their own, so that nothing left over from before is read, and put temporary
 * files into one folder that is removed at the end: workers are killed, and their exit handlers never run.
 *
 * They speak one language, too: a bash that is told of a locale which is not installed complains on stderr.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Set by the first of the projects that ask for it: a folder within a folder makes names too long for Chromium's socket. */
const OWN = "DRAFTPLAN_TESTS_FOLDER";

export default function setup(): (() => void) | undefined {
  if (process.env[OWN] !== undefined) return undefined;
  const folder = mkdtempSync(join(tmpdir(), "draftplan-tests-"));
  const temporary = join(folder, "tmp");
  mkdirSync(temporary);
  process.env[OWN] = folder;
  process.env.DRAFTPLAN_CACHE_DIR = join(folder, "cache");
  for (const name of ["TMPDIR", "TEMP", "TMP"]) process.env[name] = temporary; // what os.tmpdir() reads
  process.env.LC_ALL = "C";
  // what was said about a terminal that no test has
  for (const name of ["LANGUAGE", "COLUMNS", "LINES"]) delete process.env[name];
  return () => rmSync(folder, { recursive: true, force: true });
}
