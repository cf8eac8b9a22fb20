/** The page in a real browser: what it loads, how it looks at any width, in the dark and on paper, and who can use it. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import axe from "axe-core";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Comparison } from "../../src/schema/comparison.js";
import { type AnyDocument, type Loaded, readDocument } from "../../src/schema/document.js";
import { findChromium } from "../support/chromium.js";
import { comparison, plan, verification } from "../support/example-documents.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";
import { family, loaded, render } from "./support.js";

const executablePath = findChromium();
const why =
  executablePath === undefined ? " (skipped: no Chromium on the PATH, and DRAFTPLAN_CHROMIUM is not set)" : "";

const folder = temporaryFolder();
const write = (name: string, html: string): string => {
  writeFileSync(join(folder, name), html);
  return pathToFileURL(join(folder, name)).href;
};

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const committed = (): Loaded<AnyDocument>[] =>
  [
    "profiles/union-10m.profile",
    "profiles/union-10m.calibration",
    "plans/union-10m.plan",
    "plans/union-10m.verification",
  ].map((name) => ({ ...readDocument(join(ROOT, `${name}.yaml`)), path: `${name}.yaml` }));

/** What a hostile document can do to a layout: no place to break a line, right to left, marks on marks. */
function unruly(): Loaded<AnyDocument>[] {
  const name = `${"W".repeat(90)} ${"שלום".repeat(10)} \u202e</b><img src=x> "`;
  const model = { ...plan().model, name, layers: 130 };
  const [record] = verification().prompts;
  const prompts = [
    { ...record, prompt: name },
    { ...record, prompt: "漢字".repeat(90), first_mismatch: 3 },
  ];
  const alternatives = [
    {
      name: "x".repeat(80),
      tokens_per_second: 1,
      speedup: { median: 2, low: 1, high: 3 },
      agreement: 0.5,
      agreeing_prefix: 3,
    },
  ];
  return [
    ...family(),
    loaded({ ...verification(), lossless: false, model, prompts, alternatives }, `${"folder".repeat(40)}/v.yaml`),
    loaded({ ...plan(), model }, `${"p".repeat(300)}.yaml`),
    loaded(crowded(name), "crowded.yaml"),
  ];
}

/** A comparison of many methods with long names, all about one place. */
function crowded(name: string): Comparison {
  const document = { ...comparison(), model: { ...comparison().model, name } };
  const [at] = document.contexts;
  const [row, ...others] = at.rows;
  const rows = Array.from({ length: 10 }, (_, i) => ({
    ...structuredClone(row),
    method: `${name.slice(0, 30)} ${i}`,
    predicted: { acceptance: 0.9, draft_us: 4000 + 30 * i, tokens_per_second: 100 + i, speedup: 2 },
  }));
  return { ...document, contexts: [{ ...at, rows: [row, ...rows, ...others] }] };
}

describe.skipIf(executablePath === undefined)(`a report in Chromium${why}`, () => {
  let browser: Browser;
  const pages = { committed: "", unruly: "" };

  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: executablePath as string });
    pages.committed = write("committed.html", render(committed()));
    pages.unruly = write("unruly.html", render(unruly()));
  });
  afterAll(() => browser?.close());

  /** Everything that the page complains of or asks for besides itself. */
  async function open(
    url: string,
    options: BrowserContextOptions = {},
  ): Promise<{ page: Page; noise: string[]; failures: string[] }> {
    const context = await browser.newContext({ viewport: { width: 1200, height: 900 }, ...options });
    const page = await context.newPage();
    const noise: string[] = [];
    page.on("console", (message) => noise.push(`console: ${message.text()}`));
    page.on("pageerror", (error) => noise.push(`error: ${error.message}`));
    page.on("request", (request) => {
      if (request.url() !== url) noise.push(`request: ${request.url()}`);
    });
    const failures: string[] = [];
    page.on("requestfailed", (request) => failures.push(`${request.url()}: ${request.failure()?.errorText}`));
    await page.goto(url);
    return { page, noise, failures };
  }

  const WIDTHS = [320, 360, 768, 1200, 1920];
  const kinds = Object.keys(pages) as (keyof typeof pages)[];

  test.each(kinds)("loads nothing and complains of nothing: %s", async (kind) => {
    const { page, noise } = await open(pages[kind]);
    expect(noise).toEqual([]);
    expect(await page.title()).toMatch(/^draftplan report/);
    await page.context().close();
  });

  test("its policy stops a script, a style and an image that got in all the same", async () => {
    const intruders =
      '<script>document.title="run"</script><style>body{display:none}</style><p style="color:red" id="styled" onclick="document.title=\'run\'">x</p><img src="https://example.invalid/x.png">';
    const url = write("intruders.html", render(family()).replace("</main>", `${intruders}</main>`));
    const { page, noise, failures } = await open(url);
    await page.click("#styled");
    expect(await page.title()).toBe(`draftplan report: ${plan().model.name}`);
    expect(await page.evaluate("getComputedStyle(document.body).display")).not.toBe("none");
    expect(await page.evaluate("getComputedStyle(styled).color")).not.toBe("rgb(255, 0, 0)");
    expect(failures).toEqual(["https://example.invalid/x.png: csp"]);
    expect(noise.filter((line) => /Content Security Policy/.test(line)).length).toBeGreaterThanOrEqual(4);
    await page.context().close();
  });

  describe.each(kinds)("%s", (kind) => {
    test(`never scrolls sideways at ${WIDTHS.join(", ")} px, opened or closed`, async () => {
      const { page } = await open(pages[kind]);
      for (const opened of [false, true]) {
        if (opened) await openDetails(page);
        for (const width of WIDTHS) {
          await page.setViewportSize({ width, height: 800 });
          expect([width, await page.evaluate("document.documentElement.scrollWidth")]).toEqual([width, width]);
          expect(await page.evaluate(OUTSIDE)).toEqual([]);
        }
      }
      await page.context().close();
    });

    test("has no label over another, and none cut off", async () => {
      const { page } = await open(pages[kind]);
      await openDetails(page);
      expect(await page.evaluate(OVERLAPS)).toEqual([]);
      await page.context().close();
    });

    test.each([
      ["light", kind === "committed" ? 360 : 1200],
      ["dark", kind === "committed" ? 1200 : 360],
    ] as const)("passes an accessibility audit in %s mode at %d px", async (colorScheme, width) => {
      const { page } = await open(pages[kind], { colorScheme, viewport: { width, height: 900 } });
      await page.evaluate(axe.source);
      const violations = await page.evaluate(AUDIT);
      expect(violations).toEqual([]);
      await page.context().close();
    });

    test("prints: nothing but ink on white, also where the screen is dark", async () => {
      const { page } = await open(pages[kind], { colorScheme: "dark" });
      const background = () => page.evaluate("getComputedStyle(document.body).backgroundColor");
      const dark = await background();
      await page.emulateMedia({ media: "print", colorScheme: "dark" });
      expect([dark, await background()]).toEqual(["rgb(20, 24, 29)", "rgb(255, 255, 255)"]);
      expect(await page.evaluate("getComputedStyle(document.querySelector('nav')).display")).toBe("none");
      const pdf = await page.pdf({ format: "A4" });
      expect(pdf.subarray(0, 5).toString()).toBe("%PDF-");
      expect(pdf.length).toBeGreaterThan(20_000);
      await page.context().close();
    });
  });

  test("is light or dark as the reader's system is", async () => {
    const colours = async (colorScheme: "light" | "dark") => {
      const { page } = await open(pages.committed, { colorScheme });
      const found = await page.evaluate("getComputedStyle(document.body).color");
      await page.context().close();
      return found;
    };
    expect(await colours("light")).not.toBe(await colours("dark"));
  });

  test("by keyboard everything that takes the focus is reached, in the order of the page", async () => {
    const { page } = await open(pages.unruly);
    const expected = await page.evaluate(FOCUSABLE);
    expect((expected as string[]).length).toBeGreaterThan(30);
    const reached: unknown[] = [];
    for (let i = 0; i < (expected as string[]).length; i++) {
      await page.keyboard.press("Tab");
      reached.push(await page.evaluate("document.activeElement.dataset.order"));
    }
    expect(reached).toEqual(expected);
    await page.context().close();
  });

  test("by keyboard the contents can be skipped, and a table of numbers opened", async () => {
    const { page } = await open(pages.committed);
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    expect(await page.evaluate("document.activeElement.id")).toBe("main");
    const summary = page.locator("summary").first();
    await summary.focus();
    await page.keyboard.press("Enter");
    expect(await page.locator("details table").first().isVisible()).toBe(true);
    await page.context().close();
  });
});

const openDetails = (page: Page) =>
  page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true");

/** Elements that reach beyond the window, and are in no box that scrolls. */
const OUTSIDE = `
[...document.querySelectorAll("body *")]
  .filter((element) => !element.closest(".scroll") && !element.closest(".skip") && !element.closest(".unseen"))
  .filter((element) => { const box = element.getBoundingClientRect(); return box.width > 0 && (box.right > innerWidth + 1 || box.left < -1); })
  .map((element) => element.tagName + " " + element.textContent.slice(0, 40))`;

/** Texts of a chart that touch another one or leave the chart. */
const OVERLAPS = `
[...document.querySelectorAll("svg.chart")].flatMap((chart) => {
  const frame = chart.getBoundingClientRect();
  const texts = [...chart.querySelectorAll("text")].map((text) => ({ text: text.firstChild.nodeValue, box: text.getBoundingClientRect() }));
  const label = chart.getAttribute("aria-label").slice(0, 60);
  const out = texts.filter(({ box }) => box.left < frame.left - 1 || box.right > frame.right + 1 || box.bottom > frame.bottom + 1 || box.top < frame.top - 2);
  const touching = texts.flatMap((a, i) => texts.slice(i + 1).filter((b) =>
    a.box.left < b.box.right - 1 && b.box.left < a.box.right - 1 && a.box.top < b.box.bottom - 3 && b.box.top < a.box.bottom - 3).map((b) => label + ": " + a.text + " | " + b.text));
  return [...out.map(({ text }) => label + ": cut off: " + text), ...touching];
})`;

const AUDIT = `axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) =>
  violations.map(({ id, nodes }) => id + ": " + nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | ")))`;

/** Numbers all that should take the focus, in the order of the document. */
const FOCUSABLE = `
[...document.querySelectorAll("a[href], summary, [tabindex='0']")]
  .filter((element) => element.checkVisibility())
  .map((element, i) => (element.dataset.order = String(i)))`;
