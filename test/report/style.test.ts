/** Contrast as WCAG 2.2 defines it (relative luminance), of the page's own colours in both modes. */
import { describe, expect, test } from "vitest";
import { STYLE } from "../../src/report/style.js";

type Palette = Record<string, string>;

/** [light, dark]: the first two rules that define colours */
const palettes: Palette[] = [...STYLE.matchAll(/:root\{([^}]*)\}/g)].map(([, body]) =>
  Object.fromEntries([...body.matchAll(/--([\w-]+):(#[0-9a-f]+)/g)].map(([, name, value]) => [name, value])),
);

function luminance(colour: string): number {
  const digits = colour.length === 4 ? colour.slice(1).replace(/./g, "$&$&") : colour.slice(1);
  const [r, g, b] = [0, 2, 4]
    .map((at) => Number.parseInt(digits.slice(at, at + 2), 16) / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

const contrast = (one: string, other: string): number => {
  const [darker, lighter] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (lighter + 0.05) / (darker + 0.05);
};

test("black on white has a contrast of 21", () => {
  expect(contrast("#000", "#ffffff")).toBeCloseTo(21, 6);
});

describe.each([
  ["light", 0],
  ["dark", 1],
] as const)("in %s mode", (_mode, index) => {
  const colour = (name: string): string => {
    const value = palettes[index][name];
    if (value === undefined) throw new Error(`no colour ${name}`);
    return value;
  };
  const numbered = (name: string, count: number) => Array.from({ length: count }, (_, i) => `${name}${i}`);

  test.each(["ink", "soft", "link", "good", "bad", "open"])("%s is read easily: 4.5 to 1", (name) => {
    expect(contrast(colour(name), colour("page"))).toBeGreaterThanOrEqual(4.5);
    if (["good", "bad", "open"].includes(name))
      expect(contrast(colour(name), colour(`${name}-tint`))).toBeGreaterThanOrEqual(4.5);
    else expect(contrast(colour(name), colour("raised"))).toBeGreaterThanOrEqual(4.5);
  });

  test.each(numbered("c", 6))("lines and marks of %s are seen: 3 to 1", (name) => {
    expect(contrast(colour(name), colour("page"))).toBeGreaterThanOrEqual(3);
    expect(contrast(colour(name), colour(name.replace("c", "t")))).toBeGreaterThanOrEqual(3);
  });

  test.each(numbered("t", 6))("text on the tint %s is read easily", (name) => {
    expect(contrast(colour("ink"), colour(name))).toBeGreaterThanOrEqual(4.5);
  });

  test.each(numbered("h", 8))("text on the heat %s is read easily, and heat rises", (name) => {
    const step = Number(name[1]);
    expect(contrast(colour(step < 5 ? "faint-ink" : "strong-ink"), colour(name))).toBeGreaterThanOrEqual(4.5);
    if (step > 0) {
      const rise = contrast(colour(name), colour("page")) / contrast(colour(`h${step - 1}`), colour("page"));
      expect(rise).toBeGreaterThan(1);
    }
  });
});
