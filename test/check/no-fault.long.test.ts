/** What changes nothing has no finding. */
import { cpSync, mkdirSync, symlinkSync } from "node:fs";
import { beforeEach, describe, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { uniform } from "../support/numbers.js";
import { CALIBRATION, PLAN, PROFILE, VERIFICATION, type Workspace, workspace } from "./support.js";

let space: Workspace;
beforeEach(() => {
  space = workspace();
});

const FILES = [PLAN, PROFILE, CALIBRATION, VERIFICATION] as const;

/** Keys of every map in another order. */
function reordered(value: unknown, random: () => number): unknown {
  if (Array.isArray(value)) return value.map((item) => reordered(item, random));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, inner]) => ({ key, inner, rank: random() }));
  entries.sort((a, b) => a.rank - b.rank);
  return Object.fromEntries(entries.map(({ key, inner }) => [key, reordered(inner, random)]));
}

const LAYOUTS: [string, (text: string) => string][] = [
  ["keys in another order", (text) => stringify(reordered(parse(text), uniform(1)))],
  [
    "keys in reverse alphabetical order",
    (text) => stringify(parse(text), { sortMapEntries: (a, b) => (String(a.key) < String(b.key) ? 1 : -1) }),
  ],
  ["comments", (text) => `# ours\n${text.replaceAll("\nversion: 1\n", "\nversion: 1 # one\n\n# more\n")}# end\n`],
  ["line ends of another system", (text) => text.replaceAll("\n", "\r\n")],
  ["no line end at the end", (text) => text.trimEnd()],
  ["JSON", (text) => JSON.stringify(parse(text), null, 2)],
  ["long lines", (text) => stringify(parse(text), { lineWidth: 0, collectionStyle: "flow" })],
];

describe.each(LAYOUTS)("%s", (_name, change) => {
  test.each(FILES)("in %s", (file) => {
    const changed = change(space.read(file));
    expect(changed).not.toBe(space.read(file));
    space.write(file, changed);
    expect(space.check()).toEqual([]);
  });

  test("in all of them", () => {
    for (const file of FILES) space.write(file, change(space.read(file)));
    expect(space.check()).toEqual([]);
  });
});

describe("another path to the same inputs", () => {
  test("an absolute one", () => {
    space.edit(PLAN, ({ inputs }) => {
      if (inputs !== undefined) inputs.profile.path = space.path(PROFILE);
    });
    expect(space.check([PLAN])).toEqual([]);
  });

  test("one with detours", () => {
    space.edit(PLAN, ({ inputs }) => {
      if (inputs !== undefined) inputs.profile.path = `./../plans/.././${PROFILE}`;
    });
    expect(space.check([PLAN])).toEqual([]);
  });

  test("everything moved together", () => {
    mkdirSync(space.path("deep/er"), { recursive: true });
    for (const folder of ["plans", "profiles"])
      cpSync(space.path(folder), space.path(`deep/er/${folder}`), { recursive: true });
    expect(space.check(["deep"])).toEqual([]);
  });

  test("a link to the inputs, and a folder given through a link", () => {
    cpSync(space.path("profiles"), space.path("elsewhere"), { recursive: true });
    symlinkSync(space.path("elsewhere/union-10m.profile.yaml"), space.path("plans/linked.yaml"));
    space.edit(PLAN, ({ inputs }) => {
      if (inputs !== undefined) inputs.profile.path = "linked.yaml";
    });
    expect(space.check([PLAN])).toEqual([]);
    symlinkSync(workspace().path("plans"), space.path("link"));
    expect(space.check(["link"])).toEqual([]);
  });
});

test("a plan written by hand, without device, inputs and predictions", () => {
  space.edit(PLAN, (plan) => {
    for (const key of ["device", "inputs", "method", "choices"] as const) delete plan[key];
    for (const segment of plan.segments) delete segment.predicted;
  });
  expect(space.check([PLAN])).toEqual([]);
});

test("documents as draftplan writes them again", () => {
  for (const file of FILES) space.edit(file, () => {});
  expect(space.check()).toEqual([]);
});
