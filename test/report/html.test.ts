import fc from "fast-check";
import { parseFragment } from "parse5";
import { describe, expect, test } from "vitest";
import { foreign, foreignPath, html, shorten, visible } from "../../src/report/html.js";
import { trials } from "../support/long.js";
import { attribute, type Element, textOf } from "./support.js";

/** Any sequence of UTF-16 code units, halves of surrogate pairs among them. */
const anyText = fc
  .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 60 })
  .map((units) => String.fromCharCode(...units));
const markup = fc
  .array(
    fc.constantFrom(
      "<",
      ">",
      '"',
      "'",
      "&",
      "/",
      "<script>",
      "</script>",
      "<!--",
      "-->",
      "]]>",
      "&lt;",
      "&#60;",
      " onload=",
      "x",
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.join(""));

const parsed = (text: string): Element => parseFragment(text).childNodes[0] as Element;

describe("html", () => {
  test("what is put into text is text, whatever it holds", () => {
    fc.assert(
      fc.property(fc.oneof(anyText, markup), (text) => {
        const element = parsed(html`<p>${text}</p>`.text);
        expect(element.childNodes.length).toBeLessThanOrEqual(1);
        expect(textOf(element)).toBe(visible(text));
      }),
      { seed: 1, numRuns: trials(250, 2000) },
    );
  });

  test("what is put into an attribute stays in it", () => {
    fc.assert(
      fc.property(fc.oneof(anyText, markup), (text) => {
        const element = parsed(html`<p title="${text}">x</p>`.text);
        expect(element.attrs).toHaveLength(1);
        expect(attribute(element, "title")).toBe(visible(text));
        expect(textOf(element)).toBe("x");
      }),
      { seed: 2, numRuns: trials(250, 2000) },
    );
  });

  test("markup made by html is kept, lists are joined, null and false leave nothing", () => {
    expect(html`<b>${[html`<i>${"<"}</i>`, "&", 3, null, undefined, false]}</b>`.text).toBe("<b><i>&lt;</i>&amp;3</b>");
  });

  test("an object that looks like markup is none", () => {
    const forged = { text: "<script>" } as never;
    expect(() => html`${forged}`).toThrow(TypeError);
  });

  test("a document's string keeps its direction to itself", () => {
    expect(foreign("שלום <").text).toBe("<bdi>שלום &lt;</bdi>");
  });
});

describe("visible", () => {
  test("leaves nothing that hides or reorders text", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const shown = visible(text);
        expect(shown).not.toMatch(/\p{Bidi_Control}|\p{Surrogate}|\p{Noncharacter_Code_Point}/u);
        expect(shown.replace(/[\t\n]/g, "")).not.toMatch(/\p{Control}/u);
      }),
      { seed: 3, numRuns: trials(250, 2000) },
    );
  });

  test.each([
    ["an override", "a\u202eb", "a⟨U+202E⟩b"],
    ["a zero-width space", "a\u200bb", "a⟨U+200B⟩b"],
    ["an escape", "\u001b[31m", "⟨U+001B⟩[31m"],
    ["half a surrogate pair", "\ud800x", "⟨U+D800⟩x"],
    ["a soft hyphen", "a\u00adb", "a⟨U+00AD⟩b"],
  ])("shows %s by its code", (_what, text, shown) => {
    expect(visible(text)).toBe(shown);
  });

  test.each(["naïve", "日本語", "שלום", "👩‍👩‍👧", "❤️", "می‌خواهم", "a\tb\nc"])("leaves %s as it is", (text) => {
    expect(visible(text)).toBe(text);
  });
});

test("shorten keeps to its length and never cuts a character in two", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", maxLength: 40 }), fc.integer({ min: 1, max: 30 }), (text, most) => {
      const short = shorten(text, most);
      expect([...short].length).toBeLessThanOrEqual(Math.max(most, 1));
      expect(short).not.toMatch(/\p{Surrogate}/u);
      if ([...visible(text)].length <= most) expect(short).toBe(visible(text));
    }),
    { seed: 4 },
  );
});

test("a very long path keeps its end", () => {
  const text = textOf(parsed(foreignPath(`${"folder/".repeat(500)}plan.yaml`).text));
  expect(text.length).toBeLessThan(130);
  expect(text).toMatch(/^folder\/.*…folder.*plan\.yaml$|^folder\/.*….*\/plan\.yaml$/);
});
