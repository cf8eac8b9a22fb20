// node scripts/failed-tests.mjs NAME STATUS REPORT [NAME STATUS REPORT …]
//
// The failed tests of vitest's JSON reports, each with the first line of its error: .ci/run prints them last, because a log's
// end is what people see. STATUS is the run's exit code: a run may fail without a failed test (no build, no report, an error
// outside all tests), and that is said too. A REPORT of "-" is a command that has none.
import { readFileSync } from "node:fs";
import { relative } from "node:path";

const ESCAPES = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*[A-Za-z]`, "g");

/** The first line that says something, without colours and at most 300 characters. */
function firstLine(text) {
  const lines = String(text ?? "")
    .replace(ESCAPES, "")
    .split(/\r?\n/);
  const [line = "no message"] = lines.map((each) => each.trim()).filter((each) => each !== "");
  return line.length > 300 ? `${line.slice(0, 299)}…` : line;
}

function readReport(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}

/** [file, test or undefined, first line of the error] of all that failed in a report */
function failuresIn({ testResults = [] }) {
  return testResults.flatMap(({ name, status, message, assertionResults = [] }) => {
    const file = relative(process.cwd(), name);
    const failed = assertionResults.filter((test) => test.status === "failed");
    // a file that could not be loaded has no tests
    if (failed.length === 0) return status === "failed" ? [[file, undefined, firstLine(message)]] : [];
    return failed.map((test) => [file, test.fullName, firstLine(test.failureMessages?.[0])]);
  });
}

const lines = [];
const given = process.argv.slice(2);
for (let i = 0; i + 2 < given.length; i += 3) {
  const [name, status, path] = given.slice(i, i + 3);
  const report = path === "-" ? undefined : readReport(path);
  const failures = report === undefined ? [] : failuresIn(report);
  for (const [file, test, error] of failures) {
    lines.push(`  ${name}: ${test === undefined ? file : `${file} > ${test}`}`, `    ${error}`);
  }
  if (failures.length > 0 || status === "0") continue;
  const why = path !== "-" && report === undefined ? "it wrote no report" : "no test failed; see its output above";
  lines.push(`  ${name}: exit code ${status}`, ...(path === "-" ? [] : [`    ${why}`]));
}
if (lines.length > 0) console.log(["failed:", ...lines].join("\n"));
