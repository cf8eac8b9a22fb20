import { expect } from "vitest";
import type { ErrorCode } from "../../src/core/errors.js";
import { DraftplanError } from "../../src/core/errors.js";

/** The DraftplanError that `run` fails with; anything else fails the test. */
export async function failureOf(run: () => unknown): Promise<DraftplanError> {
  try {
    await run();
  } catch (error) {
    if (error instanceof DraftplanError) return error;
    throw new Error(`expected a DraftplanError, got ${String(error)}`, { cause: error });
  }
  throw new Error("expected a DraftplanError, but nothing was thrown");
}

/** Fails with this code, says `text` in its place or message, and suggests something. */
export async function expectFailure(run: () => unknown, code: ErrorCode, text: string | RegExp): Promise<void> {
  const failure = await failureOf(run);
  expect({ code: failure.code, message: failure.message }).toEqual({ code, message: expect.stringMatching(text) });
  expect(failure.remedy).not.toBe("");
}
