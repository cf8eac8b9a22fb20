/** Seeded damage to JSON documents, by structure and by bytes. */

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** What nobody expects in a value's place. */
const EXTREMES: readonly Json[] = [
  ...[null, true, false, 0, -1, 1, 0.5, 2 ** 31, 2 ** 32, 2 ** 53, -(2 ** 63), 1e308, 1e-308],
  ...[
    "",
    "a",
    "\ud800",
    "__proto__",
    "x".repeat(70_000),
    "(a+)+$",
    "{{ x.y.z }}",
    "{% for i in range(99999999) %}{% endfor %}",
  ],
  ...[[], {}, [[]], [null], { a: {} }, { type: "Sequence" }, Array.from({ length: 3000 }, (_, i) => i)],
];

interface Place {
  of: Json[] | { [key: string]: Json };
  key: string | number;
}

function placesIn(value: Json): Place[] {
  if (typeof value !== "object" || value === null) return [];
  const keys = Array.isArray(value) ? value.map((_, i) => i) : Object.keys(value);
  return keys.flatMap((key) => [{ of: value, key }, ...placesIn((value as Record<string | number, Json>)[key])]);
}

/**
 * A damaged text of a document: one to three values or keys changed, and now and then bytes besides.
 * @param random uniform in [0, 1)
 */
export function damagedJson(good: unknown, random: () => number): string {
  const document = { root: structuredClone(good) as Json };
  const below = (count: number) => Math.floor(random() * count);
  for (let edits = 1 + below(3); edits > 0; edits--) {
    const places = placesIn(document);
    const { of, key } = places[below(places.length)];
    const record = of as Record<string | number, Json>;
    const other = places[below(places.length)];
    const kind = below(5);
    if (kind === 0 && !Array.isArray(of) && of !== document) delete record[key];
    else if (kind === 1) record[key] = structuredClone((other.of as Record<string | number, Json>)[other.key]);
    else if (kind === 2 && !Array.isArray(of) && of !== document) {
      record[`${key}${below(2) === 0 ? "" : "_"}x`] = record[key];
      delete record[key];
    } else record[key] = structuredClone(EXTREMES[below(EXTREMES.length)]);
  }
  const text = JSON.stringify(document.root) ?? "";
  if (below(5) > 0 || text.length === 0) return text;
  const at = below(text.length);
  return below(2) === 0 ? text.slice(0, at) : `${text.slice(0, at)}${'{["\\u0000,:'[below(11)]}${text.slice(at + 1)}`;
}
