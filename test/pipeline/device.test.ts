import { expect, test } from "vitest";
import { deviceOf } from "../../src/pipeline/device.js";
import { dialectFor } from "../../src/runtime/providers.js";
import { Device } from "../../src/schema/common.js";

test("a document's device says the precision of the target that ran, and how its codes were found", () => {
  const on = { provider: "cpu", threads: 2 };
  const rounded = deviceOf(on, { numerics: dialectFor("cpu") });
  expect(Device.parse(rounded)).toMatchObject({ provider: "cpu", threads: 2 });
  expect(Object.keys(rounded)).not.toContain("target");
  expect(Object.keys(rounded)).not.toContain("scales");
  const fitted = deviceOf(on, { numerics: { ...dialectFor("cpu", "int8"), scales: "fitted" } });
  expect(Device.parse(fitted)).toMatchObject({ target: "int8", scales: "fitted" });
});
