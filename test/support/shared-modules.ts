/**
 * Behind every file that shares its modules with others: none may have loaded ONNX Runtime, whose bindings are made once a
 * process. One that has to is kept apart by vitest.config.ts, by what it imports.
 */
import { afterAll, expect } from "vitest";

afterAll(() => {
  if (process.report === undefined) return;
  process.report.excludeNetwork = true;
  const { sharedObjects } = process.report.getReport() as unknown as { sharedObjects: string[] };
  expect(sharedObjects.filter((path) => /onnxruntime/.test(path))).toEqual([]);
});
