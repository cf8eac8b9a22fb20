import { describe, expect, test } from "vitest";
import { CHOICES } from "../../src/schema/choice.js";
import type { Verification } from "../../src/schema/verification.js";
import { calibration, plan, profile, verification } from "../support/example-documents.js";
import { attribute, family, loaded, named, pageText, parsePage, render, tableRows, textOf, within } from "./support.js";

const pageOf = (...documents: Parameters<typeof render>[0][number][]) => parsePage(render(documents));
const verified = (change: Partial<Verification>) => pageOf(loaded({ ...verification(), ...change }, "v.yaml"));

describe("at a glance", () => {
  test("the speedup, its interval, the prediction and the verdict of a verification", () => {
    const card = textOf(named(pageOf(...family()), "article")[0]).replace(/\s+/g, " ");
    expect(card).toContain("1.40× plain decoding");
    expect(card).toContain("95 % interval 1.30× to 1.50×; predicted 1.45×, 3.6 % too high.");
    expect(card).toContain("91.0 % of drafted tokens accepted, 2.70 tokens a round.");
    expect(card).toContain("✓ lossless: 128 tokens compared, 0 ties");
  });

  test("a plan that nobody verified is only predicted", () => {
    const card = textOf(named(pageOf(loaded(plan(), "p.yaml")), "article")[0]).replace(/\s+/g, " ");
    expect(card).toContain("1.48× plain decoding, predicted");
    expect(card).toContain("not verified here");
  });

  test("many verifications are a table, with a link to each", () => {
    const many = Array.from({ length: 12 }, (_, i) => loaded(verification(), `run-${i}.yaml`));
    const page = pageOf(...many);
    expect(tableRows(page, "Verifications").map(([name]) => name)).toEqual([
      "Verification",
      ...many.map(({ path }) => path),
    ]);
    expect(within(named(page, "table")[0], "a")).toHaveLength(0); // the chart's own numbers
    const links = named(page, "a").map((link) => attribute(link, "href"));
    expect(links.filter((href) => href === "#verification-12")).toHaveLength(4); // contents, table, documents, what was made from which
  });
});

describe("a verification", () => {
  test("shows predicted and measured acceptance by position, where the plan is there", () => {
    expect(tableRows(pageOf(...withContexts()), "Acceptance by position")).toEqual([
      ["Drafted tokens", "Measured", "predicted, context 0–1,024"],
      ["0", "100.0 %", "100.0 %"],
      ["1", "91.0 %", "95.0 %"],
      ["2", "80.0 %", "90.0 %"],
      ["3", "–none", "82.0 %"],
    ]);
  });

  test("says what to give where the plan is missing", () => {
    const text = pageText(verified({ plan: { path: "plans/some-plan.yaml", sha256: "d".repeat(64) } }));
    expect(text).toContain("Give some-plan.yaml to the report as well");
  });

  test("shows every context range, with how the prediction missed", () => {
    expect(tableRows(pageOf(...withContexts()), /^Rounds that began/)).toEqual([
      expect.any(Array),
      ["0–1,024", "41", "91.0 %", "2.70", "40.0", "56.0", "58.0", "3.6 % too high"],
      ["1,024–4,096", "0", "–none", "–none", "–none", "0", "–none", "–none"],
    ]);
  });

  test("shows the speedup of every prompt, with the lowest and highest pair where recorded", () => {
    const [record] = verification().prompts;
    const pairs = [
      { target_us: 3000, plan_us: 2000, tokens: 10 },
      { target_us: 3000, plan_us: 2500, tokens: 10 },
      { target_us: 1500, plan_us: 1000, tokens: 10, target_tokens: 5 },
    ];
    const rows = tableRows(verified({ prompts: [{ ...record, pairs }] }), "Speedup by prompt");
    expect(rows[1].slice(0, 6)).toEqual(["Fellow citizens", "4", "128", "1.40×", "1.20× to 3.00×", "1.45×"]);
  });

  test("of sampled output says whether the distribution is the target's", () => {
    const distribution = { draws: 400, prompts: 4, false_alarm: 0.001, holds: true, tests: [] };
    const [record] = verification().prompts;
    expect(pageText(verified({ distribution }))).toContain(
      "✓ lossless: the target’s own distribution, 1,600 texts drawn",
    );
    const off = pageText(verified({ lossless: false, distribution: { ...distribution, holds: false } }));
    expect(off).toContain("✗ not lossless: not the target’s distribution, 1,600 texts drawn");
    expect(off).not.toContain("prompts differ");
    const prompts = [{ ...record, first_mismatch: 3 }];
    expect(pageText(verified({ lossless: false, distribution, prompts }))).toContain(
      "✗ not lossless: 1 output with a token that the filters take away",
    );
  });

  test("that is not lossless says so, and which prompts differ", () => {
    const [record] = verification().prompts;
    const wrong = { ...record, prompt: "the wrong one", first_mismatch: 17, worst_margin: 0.25 };
    const page = verified({ lossless: false, prompts: [record, wrong] });
    expect(pageText(page)).toContain("✗ not lossless: 1 of 2 prompts differ");
    expect(tableRows(page, /whose output is not the target’s own$/)[1]).toEqual([
      "the wrong one",
      "17",
      "128",
      "0.250",
    ]);
  });

  test("says which threshold was not met", () => {
    const text = pageText(verified({ decided: { min_speedup: 1.5, failed: ["min_speedup"] } }));
    expect(text).toContain("✗ min speedup 1.5 not met");
  });

  test("lists ties with their margins", () => {
    const [record] = verification().prompts;
    const tie_margins = [{ position: 9, margin: 0.0004 }];
    const page = verified({ ties: 1, prompts: [{ ...record, ties: 1, tie_margins }] });
    expect(tableRows(page, /^Emitted tokens that are not the maximum/)[1]).toEqual([
      "Fellow citizens",
      "9",
      "0.000400",
    ]);
  });

  test("gives each drafted position its share of rounds, with an interval that stays within 0 and 1", () => {
    const by_position = [
      { position: 1, tried: 40, accepted: 40 },
      { position: 2, tried: 40, accepted: 30 },
      { position: 3, tried: 0, accepted: 0 },
    ];
    expect(tableRows(verified({ by_position }), "Acceptance of each drafted token")).toEqual([
      ["Position", "Rounds that reached it", "Accepted", "Share", "95 % interval"],
      ["1", "40", "40", "100.0 %", "91.2 % to 100.0 %"],
      ["2", "40", "30", "75.0 %", "59.8 % to 85.8 %"],
    ]);
  });

  test("that drafted nothing draws no speedup", () => {
    const idle = {
      acceptance: null,
      acceptance_curve: null,
      accepted_length: null,
      predicted_speedup: null,
      prediction_error_percent: null,
    };
    const page = verified(idle);
    expect(pageText(page)).toContain("the plan drafts nothing: it is plain decoding");
    expect(named(page, "figure")).toEqual([]);
  });
});

function withContexts() {
  const [p, c, made, ran] = family();
  const document = ran.document as Verification;
  const nothing = {
    accepted_length: null,
    acceptance: null,
    target_tokens_per_second: null,
    predicted_tokens_per_second: null,
  };
  const by_context = [
    {
      context_tokens: { from: 0, to: 1024 },
      rounds: 41,
      accepted_length: 2.7,
      acceptance: 0.91,
      target_tokens_per_second: 40,
      measured_tokens_per_second: 56,
      predicted_tokens_per_second: 58,
    },
    { context_tokens: { from: 1024, to: 4096 }, rounds: 0, measured_tokens_per_second: 0, ...nothing },
  ];
  return [p, c, made, { ...ran, document: { ...document, by_context } }];
}

describe("a plan", () => {
  const strips = (page: ReturnType<typeof parsePage>) =>
    named(page, "div").filter((element) => attribute(element, "class") === "strip");

  test("is a strip of every block: attention above, MLP below, the head at the end, each with its sign", () => {
    const [strip, ...others] = strips(pageOf(loaded(plan(), "p.yaml")));
    expect(others).toEqual([]); // the second range drafts nothing
    const columns = within(strip, "span").filter((span) => attribute(span, "class")?.startsWith("column"));
    expect(columns.map((column) => within(column, "span").map(textOf))).toEqual([
      ["layer", "attn", "mlp"],
      ["0", "×", "T"],
      ["1", "8", "×"],
      ["head", "8"],
    ]);
    expect(attribute(strip, "aria-label")).toBe("Context 0–1,024 tokens: target 1, int8 1, skip 2, head int8.");
  });

  test("has a colour for every choice, and says what its sign means", () => {
    const page = pageOf(loaded(plan(), "p.yaml"));
    const legend = named(page, "ul").find((list) => /target/.test(textOf(list)) && /skip/.test(textOf(list)));
    const cells = legend === undefined ? [] : within(legend, "span");
    expect(cells).toHaveLength(CHOICES.length);
    expect(new Set(cells.map((cell) => attribute(cell, "class"))).size).toBe(CHOICES.length);
    expect(new Set(cells.map(textOf)).size).toBe(CHOICES.length);
    const style = textOf(named(page, "style")[0]);
    for (const cell of cells) expect(style).toContain(`.${attribute(cell, "class")?.split(" ")[1]}{`);
  });

  test("of many layers is a strip of all of them", () => {
    const large = { ...plan(), model: { ...plan().model, layers: 47 } };
    const [strip] = strips(pageOf(loaded(large, "p.yaml")));
    expect(within(strip, "span").filter((span) => attribute(span, "class")?.startsWith("cell"))).toHaveLength(
      2 * 47 + 1,
    );
  });

  test("shows a row for every context range", () => {
    const rows = tableRows(pageOf(loaded(plan(), "p.yaml")), /^The plan by context range/);
    expect(rows[1]).toEqual([
      "0–1,024",
      "3",
      "target 1, int8 1, skip 2, head int8",
      "1.48×",
      "68.9",
      "93.0 %",
      "3.67",
      "8.40 ms",
      "24.8 ms",
      "21.5 ms",
      "–none",
      "0.020 %",
      "not recorded",
      "–none",
      "–none",
      "–none",
    ]);
    expect(rows[2].slice(0, 4)).toEqual(["1,024–4,096", "–none", "plain decoding", "–none"]);
  });

  test("shows where the time of a token goes: the parts of a round over the tokens it yields", () => {
    const rows = tableRows(pageOf(loaded(plan(), "p.yaml")), "Predicted time of one token");
    // 3 · 8400.5 / 3.67, 24800 / 3.67, 60 / 3.67
    expect(rows.slice(1)).toEqual([
      ["context 0–1,024, plain", "0 µs", "0 µs", "0 µs", "21.5 ms", "21.5 ms"],
      ["context 0–1,024, plan", "6.87 ms", "6.76 ms", "16.3 µs", "0 µs", "13.6 ms"],
    ]);
  });

  test("written by hand says that it predicts nothing", () => {
    const [first] = plan().segments;
    const { predicted: _, ...segment } = first;
    const hand = { ...plan(), segments: [segment] };
    expect(pageText(pageOf(loaded(hand, "p.yaml")))).toContain("The plan holds no predictions.");
  });
});

describe("a calibration", () => {
  test("shows the loss of every layer and choice, and the acceptance it leaves", () => {
    const rows = tableRows(pageOf(loaded(calibration(), "c.yaml")), "Loss of attention, context 128");
    expect(rows[0]).toEqual([
      "Layer",
      "int8: loss",
      "± standard error",
      "acceptance alone",
      "skip: loss",
      "± standard error",
      "acceptance alone",
    ]);
    expect(rows[1]).toEqual(["0", "0.000300", "3.0e−5", "99.97 %", "0.100", "0.010", "90.5 %"]);
  });

  test("sets a draft's measured loss beside the sum of its blocks' losses", () => {
    const rows = tableRows(pageOf(loaded(calibration(), "c.yaml")), "Sum of losses against what was measured");
    // 0.001 + 0.0003 + 1e-9 + 0 + 0.0002; −ln((0.97 + 0.93) / (1 + 0.97))
    expect(rows[1]).toEqual(["int8 4, head int8", "128", "0.00150", "0.0362"]);
  });
});

describe("a profile", () => {
  test("shows attention and MLP over context for every kernel", () => {
    const rows = tableRows(pageOf(loaded(profile(), "p.yaml")), "Attention, one token in the pass");
    expect(rows).toEqual([
      ["Context, tokens", "target", "int8"],
      ["64", "10.8 µs", "4.50 µs"], // (10.64 + 11) / 2, (4 + 5) / 2
      ["512", "13.1 µs", "4.50 µs"],
    ]);
  });

  test("draws the intervals that its resamples give", () => {
    const factors = Array.from({ length: 1001 }, (_, i) => 0.9 + (0.2 * i) / 1000);
    const { points } = profile();
    const resampled = points.map((point) => ({
      ...point,
      resampled: { whole_target: factors, attn: { target: factors } },
    }));
    const page = pageOf(loaded({ ...profile(), points: resampled }, "p.yaml"));
    expect(tableRows(page, "Whole pass of the target, q tokens in it")[1][1]).toBe("180 µs (163 µs to 197 µs)");
    expect(tableRows(page, "Attention, one token in the pass")[1].slice(1)).toEqual([
      "10.8 µs (9.79 µs to 11.8 µs)", // 10.82 times 0.905 and 1.095
      "4.50 µs",
    ]);
    expect(named(page, "line").some((line) => attribute(line, "class") === "whisker")).toBe(true);
  });

  test("draws what single contexts' passes give as dots, without intervals too, and says what they are", () => {
    const raw = (n: number, q: number) => ({
      attn: q === 1 ? { target: [14, 1000 + n, -2], int8: [3] } : { target: [7] },
      mlp: {},
      whole_target: [170, 190],
    });
    const { points } = profile();
    const measured = points.map((point) => ({ ...point, raw: raw(point.context_tokens, point.query_tokens) }));
    const page = pageOf(loaded({ ...profile(), points: measured }, "p.yaml"));
    expect(tableRows(page, "Attention, one token in the pass").slice(1)).toEqual([
      ["64", "10.8 µs; 14.0 µs, 1.06 ms, −2.00 µs", "4.50 µs; 3.00 µs"],
      ["512", "13.1 µs; 14.0 µs, 1.51 ms, −2.00 µs", "4.50 µs; 3.00 µs"],
    ]);
    expect(tableRows(page, "Whole pass of the target, q tokens in it")[1]).toEqual([
      "64",
      ...["180 µs; 170 µs, 190 µs", "180 µs; 170 µs, 190 µs"],
    ]);
    expect(tableRows(page, "MLP, one token in the pass")[1]).toEqual(["64", "20.5 µs", "7.50 µs"]);
    const figureOf = (title: string) =>
      named(page, "figure").find((figure) => textOf(figure).trim().startsWith(title)) as NonNullable<
        ReturnType<typeof named>[number]
      >;
    const dots = (title: string) =>
      within(figureOf(title), "circle").filter((circle) => within(circle, "title").length > 0);
    // at the top of the curves 13 µs: what is many times as high would leave them no room
    expect(dots("Attention, one token in the pass").map(textOf)).toEqual([
      ...["target, 64 tokens of context alone: 14.0 µs", "target, 64 tokens of context alone: −2.00 µs"],
      ...["target, 512 tokens of context alone: 14.0 µs", "target, 512 tokens of context alone: −2.00 µs"],
      ...["int8, 64 tokens of context alone: 3.00 µs", "int8, 512 tokens of context alone: 3.00 µs"],
    ]);
    expect(textOf(figureOf("Attention, one token in the pass"))).toContain("2 dots lie far off");
    const heights = dots("Attention, one token in the pass").map((dot) => Number(attribute(dot, "cy")));
    expect(heights[0]).toBeLessThan(heights[1]);
    expect(Math.max(...heights)).toBeLessThan(230); // −2 µs is still in the plot
    expect(textOf(figureOf("Attention, one token in the pass"))).toContain("this context's passes alone");
    expect(textOf(figureOf("MLP, one token in the pass"))).not.toContain("this context's passes alone");
    expect(named(pageOf(loaded(profile(), "p.yaml")), "circle")).toHaveLength(0);
  });

  test("is a heat map over context and query length, the slowest cell the strongest", () => {
    const slow = profile();
    slow.points[3].whole_target_us = 1800;
    const page = pageOf(loaded(slow, "p.yaml"));
    expect(tableRows(page, "Whole pass of the target, ms")).toEqual([
      ["n", "q = 1", "q = 4"],
      ["64", "0.180", "0.180"],
      ["512", "0.180", "1.80"],
    ]);
    const heat = named(page, "table").find(
      (table) => /^Whole pass/.test(textOf(table).trim()) && attribute(table, "class") === "heat",
    );
    expect(heat && within(heat, "td").map((cell) => attribute(cell, "class"))).toEqual(["h0", "h0", "h0", "h7"]);
  });

  test("shows every layer", () => {
    const rows = tableRows(pageOf(loaded(profile(), "p.yaml")), "MLP by layer, context 512");
    expect(rows.slice(1)).toEqual([
      ["0", "20.00", "7.000"],
      ["1", "21.00", "8.000"],
    ]);
  });

  test("says what a draft step of its plan is made of", () => {
    const rows = tableRows(pageOf(...family()), "Draft steps of plan.yaml");
    // at 512: 0.attn skipped and 1.attn int8 5, 0.mlp target 20 and 1.mlp skipped, head int8 40, fixed 12.5
    expect(rows[1]).toEqual([
      "context 0–1,024: draft step",
      "5.00 µs (6.5 %)",
      "20.0 µs (25.8 %)",
      "40.0 µs (51.6 %)",
      "12.5 µs (16.1 %)",
      "0 µs (0.0 %)",
      "77.5 µs",
    ]);
  });

  test("prices a verification as the whole: its parts are scaled to it", () => {
    // parts of 2 · 2 attention and MLP blocks of 10 µs, head 20, fixed 40: 100; the whole is known to be 200
    const costs = { fixedUs: () => 40, headUs: () => 20, blockUs: () => 10, verifyUs: () => 200 };
    const rows = tableRows(parsePage(render(family(), () => costs)), "Verifications of plan.yaml");
    expect(rows[1].slice(1)).toEqual([
      "40.0 µs (15.7 %)",
      "40.0 µs (15.7 %)",
      "40.0 µs (15.7 %)",
      "80.0 µs (31.4 %)",
      "55.0 µs (21.6 %)",
      "255 µs",
    ]);
  });

  test("prices a verification from the profile", () => {
    const rows = tableRows(pageOf(...family()), "Verifications of plan.yaml");
    expect(rows[1][0]).toBe("context 0–1,024: verifying 4 tokens");
    expect(rows[1].at(-1)).toBe("235 µs"); // attention 15.12 + 11, MLP 20 + 21, head 100, fixed 12.5, loop 55
  });

  test("names what it cannot price", () => {
    const [p, ...others] = family();
    const document = structuredClone(profile());
    for (const point of document.points) delete point.head_us.int8;
    const page = pageOf({ ...p, document }, ...others);
    expect(pageText(page)).toMatch(/Not priced: .*int8 was not profiled at 512 tokens of context/);
  });
});

describe("provenance", () => {
  const madeFrom = (page: ReturnType<typeof parsePage>) =>
    tableRows(page, "Inputs by the digest that each document carries")
      .slice(1)
      .map(([document, role, , , found]) => [document, role, found]);

  test("tells which document was made from which, by digest and not by path", () => {
    const moved = family().map((one) => ({ ...one, path: `elsewhere/${one.sha256.slice(0, 4)}.yaml` }));
    expect(madeFrom(pageOf(...moved)).map(([, role, found]) => [role, found.replace(/^.*yaml /, "")])).toEqual([
      ["profile", "✓ digests match"],
      ["calibration", "✓ digests match"],
      ["plan", "✓ digests match"],
      ["profile", "✓ digests match"],
      ["calibration", "✓ digests match"],
    ]);
  });

  test("tells a document of the same name and another digest from the one that was meant", () => {
    const [p, c, made, ran] = family();
    const edited = { ...p, sha256: "e".repeat(64) };
    expect(madeFrom(pageOf(edited, c, made, ran))[0]).toEqual([
      "plans/plan.yaml",
      "profile",
      "p.yaml ✗ has another digest: changed since, or another document",
    ]);
  });

  test("says what was not given", () => {
    expect(madeFrom(pageOf(family()[3]))).toEqual([["plans/verification.yaml", "plan", "? not given"]]);
  });

  test("a document of another kind with the right digest is not the input", () => {
    const [, c, made, ran] = family();
    const page = pageOf({ ...c, sha256: made.sha256 }, ran);
    expect(madeFrom(page)).toEqual([["plans/verification.yaml", "plan", "? not given"]]);
  });

  test("warns of documents from different devices and weights", () => {
    const other = verification();
    other.device = { ...other.device, processor: "Another CPU" };
    other.model = { ...other.model, weights_sha256: "c".repeat(64) };
    const text = pageText(pageOf(...family(), loaded(other, "other.yaml")));
    expect(text).toContain("These documents are from 2 devices: between devices only ratios and acceptance compare.");
    expect(text).toContain("These documents are of 2 sets of weights");
  });
});
