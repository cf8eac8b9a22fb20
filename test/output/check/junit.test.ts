/** JUnit XML, read back by a strict XML parser that draftplan does not use. */
import fc from "fast-check";
import { SaxesParser } from "saxes";
import { describe, expect, test } from "vitest";
import { junitXml } from "../../../src/output/check/junit.js";
import { trials } from "../../support/long.js";
import { clean, hostileResult, inconclusive, regressed } from "./support.js";

interface Element {
  name: string;
  attributes: Record<string, string>;
  children: Element[];
  text: string;
}

/** @throws where the text is not well-formed XML 1.0, characters that it forbids included */
function parseXml(text: string): Element {
  const top: Element = { name: "", attributes: {}, children: [], text: "" };
  const open = [top];
  const parser = new SaxesParser();
  parser.on("error", (error) => {
    throw error;
  });
  parser.on("opentag", ({ name, attributes }) => {
    const element = { name, attributes: { ...attributes } as Record<string, string>, children: [], text: "" };
    open.at(-1)?.children.push(element);
    open.push(element);
  });
  parser.on("text", (part) => {
    const element = open.at(-1);
    if (element !== undefined) element.text += part;
  });
  parser.on("closetag", () => void open.pop());
  parser.write(text).close();
  return top.children[0];
}

/** What Jenkins' junit-10 schema allows of the elements used here: attributes (! where it asks for them), children. */
const SCHEMA: Record<string, { attributes: string[]; children: string[] }> = {
  testsuites: { attributes: ["name", "time", "tests", "failures", "errors"], children: ["testsuite"] },
  testsuite: {
    attributes: [
      "name!",
      "tests!",
      "failures!",
      "errors!",
      "group",
      "time",
      "skipped",
      "timestamp",
      "hostname",
      "id",
      "package",
      "file",
      "log",
      "url",
    ],
    children: ["testsuite", "properties", "testcase", "system-out", "system-err"],
  },
  testcase: {
    attributes: ["name!", "time", "classname", "group"],
    children: [
      "skipped",
      "error",
      "failure",
      "rerunFailure",
      "rerunError",
      "flakyFailure",
      "flakyError",
      "system-out",
      "system-err",
    ],
  },
  failure: { attributes: ["type", "message"], children: [] },
  skipped: { attributes: ["type", "message"], children: [] },
  "system-out": { attributes: [], children: [] },
};

function schemaErrors({ name, attributes, children }: Element): string[] {
  const rule = SCHEMA[name];
  if (rule === undefined) return [`${name} is not an element of the schema`];
  const known = rule.attributes.map((each) => each.replace("!", ""));
  const required = rule.attributes.filter((each) => each.endsWith("!")).map((each) => each.slice(0, -1));
  return [
    ...Object.keys(attributes).flatMap((each) => (known.includes(each) ? [] : [`${name}: unknown ${each}`])),
    ...required.flatMap((each) => (each in attributes ? [] : [`${name}: no ${each}`])),
    ...children.flatMap((child) =>
      rule.children.includes(child.name) ? schemaErrors(child) : [`${child.name} in ${name}`],
    ),
  ];
}

const countCases = (suites: Element[], state: string): number =>
  suites.filter((suite) => suite.children[0].children.some(({ name }) => name === state)).length;

describe("JUnit XML", () => {
  test("has a suite and a case for every file, and a failure where a file has an error", () => {
    const root = parseXml(junitXml(regressed()));
    expect(root.attributes).toMatchObject({ tests: "4", failures: "3" });
    const outcomes = root.children.map(({ attributes, children: [{ attributes: own, children }] }) => [
      attributes.name,
      own.name,
      attributes.failures,
      ...children.map(({ name }) => name),
    ]);
    expect(outcomes).toEqual([
      ["plans/a.plan.yaml", "plans/a.plan.yaml", "1", "failure"],
      ["plans/b.plan.yaml", "plans/b.plan.yaml", "0"],
      ["plans/c.plan.yaml", "plans/c.plan.yaml", "1", "failure"],
      ["profiles/p.yaml", "profiles/p.yaml", "1", "failure"],
    ]);
  });

  test("a failure names the first error, and its text lists all findings of the file", () => {
    const [first, , , last] = parseXml(junitXml(regressed())).children;
    const [failure] = first.children[0].children;
    expect(failure.attributes).toEqual({ type: "PLAN_DIFFERS", message: "PLAN_DIFFERS, of 1 error, 1 note" });
    expect(failure.text.split("\n")).toEqual([
      "error PLAN_DIFFERS at segments[0].draft_tokens: 5 here, and 7 when solved again",
      "note DEVICE_DIFFERS at device: another device: only ratios and acceptance compare",
    ]);
    expect(last.children[0].children[0].attributes.message).toBe(
      "DOCUMENT_SYNTAX: not readable as YAML: bad indentation at line 3, column 1",
    );
  });

  test("warnings alone are no failure; they stand in the case's output", () => {
    const findings = regressed().findings.filter(({ severity }) => severity !== "error");
    const { children } = parseXml(junitXml({ ...regressed(), findings }));
    expect(children.map((suite) => suite.children[0].children.map(({ name }) => name))).toEqual([
      ["system-out"],
      [],
      ["system-out"],
    ]);
  });

  test("a measurement that could not tell is skipped, or failed with --fail-inconclusive", () => {
    const second = (failed: boolean) => parseXml(junitXml(inconclusive(), failed)).children[1];
    expect(second(false).attributes).toMatchObject({ skipped: "1", failures: "0" });
    expect(second(false).children[0].children.map(({ name }) => name)).toEqual(["skipped"]);
    expect(second(true).attributes).toMatchObject({ skipped: "0", failures: "1" });
    expect(second(true).children[0].children.map(({ name }) => name)).toEqual(["failure"]);
  });

  test("an empty result is a valid report", () => {
    const root = parseXml(junitXml({ ...clean(), files: [] }));
    expect({ errors: schemaErrors(root), children: root.children }).toEqual({ errors: [], children: [] });
  });

  test("whatever documents say, it is well-formed, follows the schema, and its counts are right", () => {
    fc.assert(
      fc.property(hostileResult, fc.boolean(), (result, failInconclusive) => {
        const root = parseXml(junitXml(result, failInconclusive));
        expect(schemaErrors(root)).toEqual([]);
        expect(Number(root.attributes.failures)).toBe(countCases(root.children, "failure"));
        const files = new Set([...result.files, ...result.findings.map(({ file }) => file)]);
        expect(root.children).toHaveLength(files.size);
        expect(root.children.map(({ attributes }) => attributes.name)).toEqual(
          root.children.map((suite) => suite.children[0].attributes.name),
        );
        for (const { message } of result.findings) {
          const plain = /^[\x20-\x7e]+$/.test(message) && message === message.trim();
          if (plain) expect(JSON.stringify(root)).toContain(JSON.stringify(message).slice(1, -1));
        }
      }),
      { seed: 5, numRuns: trials(100, 500) },
    );
  });
});
