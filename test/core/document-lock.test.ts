/** One command at a time for a document: by processes that work, have ended, or are another machine's. */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { holdDocument } from "../../src/core/document-lock.js";
import { expectFailure, failureOf } from "../support/failure.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

const fresh = () => join(temporaryFolder(), "new", "plan.yaml");
const lockOf = (document: string) => `${document}.lock`;
const holder = (document: string) => JSON.parse(readFileSync(lockOf(document), "utf8")) as Record<string, unknown>;
/** the lock of this process with some of it changed */
function leave(document: string, changes: Record<string, unknown>): void {
  const release = holdDocument(document, "run");
  const text = JSON.stringify({ ...holder(document), ...changes });
  release();
  writeFileSync(lockOf(document), text);
}
/** of a process that has ended */
const endedPid = (): number => Number(spawnSync(process.execPath, ["-p", "process.pid"], { encoding: "utf8" }).stdout);

test("a document is held by one, given back, and held again", async () => {
  const document = fresh();
  const release = holdDocument(document, "run");
  const failure = await failureOf(() => holdDocument(document, "compare"));
  expect(failure).toMatchObject({ code: "DOCUMENT_IN_USE", at: document });
  expect(failure.what).toMatch(
    new RegExp(`^draftplan run \\(process ${process.pid} on .*, since .* UTC\\) is writing it$`),
  );
  release();
  expect(readdirSync(join(document, ".."))).toEqual([]);
  holdDocument(document, "run")();
});

test("what a process left behind that has ended is taken over", () => {
  const document = fresh();
  leave(document, { pid: endedPid() });
  const release = holdDocument(document, "run");
  expect(holder(document).pid).toBe(process.pid);
  release();
  expect(existsSync(lockOf(document))).toBe(false);
});

test.skipIf(!existsSync("/proc/self/stat"))(
  "a number that was given to another process since is nobody's (skipped without /proc)",
  () => {
    const document = fresh();
    leave(document, { began: "1" });
    holdDocument(document, "run")();
  },
);

test("another machine's process counts as one that works, and so does what nobody can read", async () => {
  const document = fresh();
  leave(document, { host: "elsewhere", pid: endedPid() });
  await expectFailure(() => holdDocument(document, "run"), "DOCUMENT_IN_USE", /on elsewhere, since/);
  writeFileSync(lockOf(document), "?");
  await expectFailure(() => holdDocument(document, "run"), "DOCUMENT_IN_USE", /^.*: somebody is writing it$/);
});

test("a lock that is another's by now is left alone", () => {
  const document = fresh();
  const release = holdDocument(document, "run");
  writeFileSync(lockOf(document), "another's");
  release();
  expect(readFileSync(lockOf(document), "utf8")).toBe("another's");
});

test("nothing is held where what is written is not kept", () => {
  holdDocument("-", "compare")();
  holdDocument("/dev/null", "compare")();
  expect(existsSync("/dev/null.lock")).toBe(false);
});
