/** Documents are files that anybody may have written: whatever strings and numbers a valid one holds, the page stays a page. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { visible } from "../../src/report/html.js";
import { Calibration } from "../../src/schema/calibration.js";
import type { AnyDocument } from "../../src/schema/document.js";
import { Plan } from "../../src/schema/plan.js";
import { Profile } from "../../src/schema/profile.js";
import { Verification } from "../../src/schema/verification.js";
import { calibration, plan, profile, verification } from "../support/example-documents.js";
import { trials } from "../support/long.js";
import { attribute, loaded, named, pageText, parsePage, render, textOf, within } from "./support.js";

const ELEMENTS = new Set(
  "html head meta title style body a header h1 h2 h3 h4 p nav ul li main section article div span strong bdi dl dt dd figure figcaption svg g line path rect text table caption thead tbody tr th td details summary footer code".split(
    " ",
  ),
);
const ATTRIBUTES =
  /^(lang|charset|http-equiv|content|name|class|id|href|title|role|tabindex|scope|aria-(hidden|label|labelledby)|viewbox|width|height|x|y|x1|x2|y1|y2|d|transform|text-anchor)$/i;

const PAYLOADS = [
  "</script><script>alert(1)</script>",
  "<img src=x onerror=alert(1)>",
  '" onmouseover="alert(1)" x="',
  "' autofocus onfocus='alert(1)",
  "</title><svg onload=alert(1)>",
  "</style><style>*{display:none}",
  "<!-- --!> <![CDATA[ ]]>",
  "</text></svg><foreignObject>",
  "&lt;b&gt; &#60;b&#62; &amp;",
  "javascript:alert(1)",
  "{{7*7}} `x`",
  "\u202egnp.exe \u2066x\u2069",
  "שלום עולם مرحبا",
  "\u0000\u0007\u001b[31m\u009b",
  "Z̸̡̢̛̗̘̙̜̝̞̟̠̀́̂̃̄̅̆̇̈̉̊̋̌̍̎̏̐̑̒̓̔̽̾̿̀́͂̓̈́͆͊͋͌",
  "𝕏 👩‍👩‍👧 \ud800",
  "W".repeat(80),
  " ",
  "",
];
const units = fc
  .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 40 })
  .map((all) => String.fromCharCode(...all));
const hostile = fc.oneof(
  fc.constantFrom(...PAYLOADS),
  units,
  fc
    .array(fc.constantFrom("<", ">", '"', "'", "&", "/", "=", "a", " ", "\n"), { maxLength: 30 })
    .map((all) => all.join("")),
);
/** From the smallest number to the greatest. */
const positive = fc.oneof(
  fc.double({ min: 5e-324, max: 1.7e308, noNaN: true }),
  fc.constantFrom(5e-324, 1e-12, 1, 1e12, 1.7e308),
);
const few = { maxLength: 4 };

const modelOf = (name: string) => ({ ...plan().model, name });
const deviceOf = (text: string) => ({
  processor: text,
  provider: text.slice(0, 40),
  threads: 1,
  runtime: text.slice(0, 80),
  platform: text.slice(0, 80),
});

const hostileVerification = fc
  .record({
    a: hostile,
    b: hostile,
    c: hostile,
    x: positive,
    y: positive,
    z: positive,
    share: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .map(({ a, b, c, x, y, z, share }): AnyDocument => {
    const [record] = verification().prompts;
    return Verification.parse({
      ...verification(),
      model: modelOf(a),
      device: deviceOf(b),
      plan: { path: c.repeat(9), sha256: "f".repeat(64) },
      versions: { draftplan: c, node: b.slice(0, 80) },
      speedup: { median: x, low: -y, high: z },
      predicted_speedup: y,
      prediction_error_percent: x - y,
      tokens_per_second: { target: y, plan: x },
      acceptance_curve: [1, share, share],
      by_position: [
        { position: 1, tried: 3, accepted: 9 },
        { position: 2, tried: 7, accepted: 7 },
      ],
      by_context: [
        {
          context_tokens: { from: 0, to: 5 },
          rounds: 1,
          accepted_length: x,
          acceptance: share,
          target_tokens_per_second: y,
          measured_tokens_per_second: z,
          predicted_tokens_per_second: x,
        },
      ],
      prompts: [
        {
          ...record,
          prompt: a,
          speedup: z,
          predicted_speedup: x,
          first_mismatch: 4,
          worst_margin: y,
          tie_margins: [{ position: 0, margin: z }],
          pairs: [
            { target_us: x, plan_us: 0, tokens: 1 },
            { target_us: x, plan_us: y, tokens: 2 },
            { target_us: y, plan_us: z, tokens: 2 },
          ],
        },
      ],
      alternatives: [
        {
          name: c.slice(0, 80),
          tokens_per_second: x,
          speedup: { median: y, low: z, high: x },
          agreement: share,
          agreeing_prefix: z,
        },
      ],
    });
  });

const hostilePlan = fc
  .record({
    a: hostile,
    b: hostile,
    x: positive,
    y: positive,
    gap: fc.double({ noNaN: true, noDefaultInfinity: true }),
  })
  .map(({ a, b, x, y, gap }): AnyDocument => {
    const [segment, rest] = plan().segments;
    const predicted = {
      ...segment.predicted,
      draft_us: x,
      verify_us: y,
      round_us: x,
      target_step_us: y,
      tokens_per_second: x,
      speedup: y,
      lp_gap_percent: gap,
      speedup_interval: { low: x, high: y },
    };
    return Plan.parse({
      ...plan(),
      model: modelOf(a),
      device: deviceOf(b),
      method: b.slice(0, 40),
      choices: [a.slice(0, 20)],
      inputs: { profile: { path: a, sha256: "1".repeat(64) }, calibration: { path: b, sha256: "2".repeat(64) } },
      segments: [{ ...segment, predicted }, rest],
    });
  });

const hostileProfile = fc
  .record({ a: hostile, b: hostile, us: fc.array(positive, { minLength: 6, maxLength: 6 }) })
  .map(
    ({ a, b, us: [p, q, r, s, t, u] }): AnyDocument =>
      Profile.parse({
        ...profile(),
        model: { ...modelOf(a), weights_sha256: null },
        device: deviceOf(b),
        points: profile().points.map((point, i) => ({
          ...point,
          fixed_us: [p, 0, q, r][i],
          head_us: { target: s },
          attn_us: { target: [t, u], int8: [0, p] },
          mlp_us: { target: [q, 0] },
          whole_target_us: [r, s, t, 0][i],
          residual_percent: u,
          resampled: { whole_target: [p, 0, q] },
        })),
        loop: { round_us: p, step_us: q },
        attention_line: [{ kernel: "target", intercept_us: -p, slope_us_per_token: q, r_squared: -r }],
      }),
  );

const hostileCalibration = fc
  .record({
    a: hostile,
    b: hostile,
    losses: fc.array(positive, { minLength: 3, maxLength: 3 }),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .map(({ a, b, losses: [p, q, r], share }): AnyDocument => {
    const [context] = calibration().contexts;
    const [measured] = calibration().measured;
    const loss = (value: number) => ({ loss: value, standard_error: r });
    return Calibration.parse({
      ...calibration(),
      model: modelOf(a),
      text: { ...calibration().text, source: b },
      contexts: [
        { ...context, head: { int8: loss(q) }, attn: { skip: [loss(p), loss(0)] }, mlp: { int8: [loss(q), loss(p)] } },
      ],
      measured: [
        { ...measured, curve: [1, share, 0] },
        { ...measured, draft: { default: "target", head: "target", skip: [], choices: {} }, curve: [1, 1, 1] },
      ],
    });
  });

const anyDocument = fc.oneof(hostileVerification, hostilePlan, hostileProfile, hostileCalibration);
const anyDocuments = fc
  .array(fc.tuple(anyDocument, hostile), { minLength: 1, ...few })
  .map((all) => all.map(([document, path]) => loaded(document, `${path}.yaml`)));

describe("a page of hostile documents", () => {
  test("is well formed, holds known elements and attributes only, and no number that is none", () => {
    fc.assert(
      fc.property(anyDocuments, (documents) => {
        const text = render(documents);
        const page = parsePage(text);
        expect(page.errors).toEqual([]);
        for (const element of page.elements) {
          if (!ELEMENTS.has(element.tagName)) throw new Error(`<${element.tagName}> got in`);
          for (const { name, value } of element.attrs) {
            if (!ATTRIBUTES.test(name)) throw new Error(`${name} got into <${element.tagName}>`);
            if (name === "href" && !/^#[a-z0-9-]+$/.test(value)) throw new Error(`a link to ${value}`);
            if (/^(x|y|x1|x2|y1|y2|d|transform|width|height)$/.test(name) && /NaN|Infinity|e[+-]/.test(value))
              throw new Error(`<${element.tagName} ${name}="${value}">`);
          }
        }
        expect(pageText(page)).not.toMatch(/\bNaN|Infinity|undefined|\[object/);
        expect(text).not.toMatch(/\p{Bidi_Control}|\p{Surrogate}|\p{Noncharacter_Code_Point}/u);
      }),
      { seed: 1, numRuns: trials(15, 1000) },
    );
  });

  test("shows every string as it is", () => {
    fc.assert(
      fc.property(hostile, (prompt) => {
        const [record] = verification().prompts;
        const document = { ...verification(), prompts: [{ ...record, prompt: prompt.slice(0, 200) }] };
        const page = parsePage(render([loaded(document, "v.yaml")]));
        const table = named(page, "table").find(
          (one) => within(one, "caption").map(textOf).join() === "Speedup by prompt",
        );
        const [, row] = table === undefined ? [] : within(table, "tr");
        expect(within(row, "th").map(textOf)).toEqual([visible(prompt.slice(0, 200))]);
      }),
      { seed: 2, numRuns: trials(10, 500) },
    );
  });

  test("keeps a name out of the anchors", () => {
    const document = { ...plan(), model: modelOf('"><b id="overview">') };
    const page = parsePage(render([loaded(document, '"><b id="main">.yaml')]));
    expect(page.elements.filter((element) => attribute(element, "id") === "main")).toHaveLength(1);
    expect(named(page, "b")).toEqual([]);
  });
});
