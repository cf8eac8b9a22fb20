/** A kernel that a provider cannot multiply with is refused by name, before anything is converted. */
import { readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { requireProducts } from "../../src/runtime/pass/products.js";
import { allProviders, listed } from "../../src/runtime/providers.js";
import { KERNEL_NAMES } from "../../src/schema/choice.js";
import { draftplan } from "../support/cli.js";
import { expectFailure } from "../support/failure.js";
import { temporaryFolder, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";

const OTHERS = KERNEL_NAMES.filter((kernel) => kernel !== "int2");
const cpu = listed("cpu") as NonNullable<ReturnType<typeof listed>>;

describe("codes of 2 bits", () => {
  test.each(["1.24.1", "1.30.0", null])("run on the CPU of ONNX Runtime %s", (version) => {
    expect(() => requireProducts(cpu, version, KERNEL_NAMES)).not.toThrow();
  });

  test.each(["1.23.2", "1.20.0", "2.0.0-strange"])("do not on that of %s, which is named", async (version) => {
    await expectFailure(
      () => requireProducts(cpu, version, ["target", "int2"]),
      "CHOICE_UNAVAILABLE",
      new RegExp(`ONNX Runtime ${version.replaceAll(".", "\\.")} has no product of 2-bit codes on cpu; 1\\.24`),
    );
  });

  test("run on no other provider, listed or not; other kernels are not asked about", async () => {
    for (const provider of allProviders(["StrangeExecutionProvider"]).filter(({ name }) => name !== "cpu")) {
      await expectFailure(
        () => requireProducts(provider, "1.32.0", KERNEL_NAMES),
        "CHOICE_UNAVAILABLE",
        new RegExp(`${provider.name} has no product of 2-bit codes`),
      );
      expect(() => requireProducts(provider, "1.0.0", OTHERS)).not.toThrow();
    }
  });
});

describe("as commands", () => {
  test("inspect says it of a provider that is not here", async () => {
    const folder = writeTinyCheckpoint(temporaryFolder(), { headDim: 16 });
    const { code, stderr } = await draftplan(["inspect", folder, "--provider", "cuda", "--choices", "int8,int2"]);
    expect(code).toBe(3);
    expect(stderr).toMatch(/CHOICE_UNAVAILABLE.*\n?.*int2 on --provider cuda/);
    expect(readdirSync(folder)).toContain("config.json");
  });
});
