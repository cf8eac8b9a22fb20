/** Results of a check to print, hostile ones among them. */
import fc from "fast-check";
import type { Finding } from "../../../src/check/findings.js";
import { finding } from "../../../src/check/findings.js";
import type { CheckResult } from "../../../src/check/result.js";

export const clean = (): CheckResult => ({
  files: ["plans/a.plan.yaml", "plans/b.plan.yaml"],
  findings: [],
  regressed: false,
  inconclusive: false,
  compared: [],
  decided: [],
});

export const regressed = (): CheckResult => ({
  files: ["plans/a.plan.yaml", "plans/b.plan.yaml", "plans/c.plan.yaml"],
  findings: [
    finding("DEVICE_DIFFERS", "plans/a.plan.yaml", "device", "another device: only ratios and acceptance compare"),
    finding("PLAN_DIFFERS", "plans/a.plan.yaml", "segments[0].draft_tokens", "5 here, and 7 when solved again"),
    finding("INPUT_UNAVAILABLE", "plans/c.plan.yaml", "inputs.profile", "there is no such file"),
    finding("SLOWER_VERIFIED", "plans/c.plan.yaml", "speedup", "1.2 against 1.5 of the baseline, 20 % slower"),
    finding("DOCUMENT_SYNTAX", "profiles/p.yaml", "", "not readable as YAML: bad indentation at line 3, column 1"),
  ],
  regressed: true,
  inconclusive: false,
  compared: [
    {
      file: "plans/c.plan.yaml",
      range: null,
      name: "measured speedup",
      baseline: { value: 1.5, interval: [1.45, 1.55] },
      candidate: { value: 1.2, interval: [1.15, 1.25] },
      changePercent: -20,
    },
    {
      file: "plans/c.plan.yaml",
      range: "0–512",
      name: "predicted tokens per second",
      baseline: { value: 412.75, interval: null },
      candidate: null,
      changePercent: null,
    },
  ],
  decided: ["measured speedup: the whole interval lies beyond the tolerance of 5 %"],
});

export const inconclusive = (): CheckResult => ({
  ...clean(),
  findings: [finding("MEASUREMENT_INCONCLUSIVE", "plans/b.plan.yaml", "", "half-width 4 % after 60 s")],
  inconclusive: true,
});

/** Strings that mean something to a terminal, a CI runner, XML, Markdown, HTML or YAML. */
const HOSTILE = [
  "<script>alert(1)</script>",
  "]]> <!-- & &amp; \"quoted\" 'single'",
  "\u0000\u0001\u0008\u000b\u001b[31mred\u001b[0m\u007f\u0085\u009b2J",
  "\ud800 \udc00x \ufffe \uffff \u{1f600}",
  "a | b || `c` ``d`` ``` \\` \\| \\",
  "`",
  "```",
  " ",
  "",
  "\\",
  "|",
  "@everyone please see #1, GH-2, octo/repo#3 and mail@example.com",
  "http://example.com/?a=1 www.example.com [click](javascript:alert(1)) ![x](http://example.com/x.png)",
  "**bold** _it_ ~~no~~ # title\n## second\n- item\n| a |\n| - |\n\n    code",
  "::error file=x::injected\n::set-output name=regressed::false\r\n::stop-commands::x",
  "##[error]injected ##[set-output name=regressed]false",
  "100%, 50 %25 %0A a:b,c=d",
  "\u202eevil\u2066\u200b\u2028\u2029\ufeff",
  "x".repeat(300),
  "漢字".repeat(60),
  "-- --tolerance 100% $(touch pwned) `touch pwned` ; rm",
];

const hostileText = fc.oneof(
  fc.constantFrom(...HOSTILE),
  fc.string({ unit: "binary", maxLength: 60 }),
  fc.array(fc.constantFrom(...HOSTILE), { maxLength: 3 }).map((parts) => parts.join("")),
);

const CODES = ["PLAN_DIFFERS", "INPUT_UNAVAILABLE", "DEVICE_DIFFERS", "MEASUREMENT_INCONCLUSIVE"] as const;
const figure = fc.option(
  fc.record({
    value: fc.double({ min: 1e-6, max: 1e6, noNaN: true }),
    interval: fc.option(fc.constant([0.5, 2] as const), { nil: null }),
  }),
  { nil: null },
);

/** Any result, of strings that nobody chose kindly. */
export const hostileResult: fc.Arbitrary<CheckResult> = fc
  .record({
    files: fc.uniqueArray(hostileText, { maxLength: 4 }),
    raw: fc.array(
      fc.record({ code: fc.constantFrom(...CODES), at: fc.nat(), where: hostileText, message: hostileText }),
      {
        maxLength: 6,
      },
    ),
    other: hostileText,
    regressed: fc.boolean(),
    inconclusive: fc.boolean(),
    compared: fc.array(
      fc.record({
        file: hostileText,
        range: fc.option(fc.constant("0–512"), { nil: null }),
        name: hostileText,
        baseline: figure,
        candidate: figure,
        changePercent: fc.option(fc.double({ min: -99, max: 1e4, noNaN: true }), { nil: null }),
      }),
      { maxLength: 2 },
    ),
    decided: fc.array(hostileText, { maxLength: 2 }),
  })
  .map(({ raw, other, ...rest }) => {
    const files = [...rest.files, other];
    const findings = raw.map(
      ({ code, at, where, message }): Finding => finding(code, files[at % files.length], where, message),
    );
    return { ...rest, findings };
  });
