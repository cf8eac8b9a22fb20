import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { consistencyFindings } from "../../src/check/consistency.js";
import { parseDocument } from "../../src/schema/document.js";
import type { Profile } from "../../src/schema/profile.js";

const FILE = "profiles/union-10m.profile.yaml";
const profile = (): Profile => parseDocument(readFileSync(FILE, "utf8"), FILE) as Profile;
const findings = (document: Profile) =>
  consistencyFindings({ ...({ file: FILE, sha256: "" } as object), file: FILE, document } as never);

describe("a profile in which a part takes no time, though its weights are read", () => {
  test("is found, each part and kernel once, where it stands", () => {
    const document = profile();
    for (const point of document.points) point.attn_us.int8 = (point.attn_us.target ?? []).map(() => 0);
    document.points[3].head_us.target = 0;
    expect(findings(document).map(({ code, severity, where }) => [code, severity, where])).toEqual([
      ["PROFILE_BELOW_FLOOR", "warning", "points[0].attn_us.int8"],
      ["PROFILE_BELOW_FLOOR", "warning", "points[3].head_us.target"],
    ]);
  });

  test("is not found where some layers took time, nor in a profile as it should be", () => {
    const document = profile();
    document.points[0].attn_us.int8 = (document.points[0].attn_us.target ?? []).map((us, i) => (i === 0 ? 0 : us));
    expect(findings(document)).toEqual([]);
    expect(findings(profile())).toEqual([]);
  });
});
