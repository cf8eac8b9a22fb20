/**
 * Behind every file that shares its modules with others: none may have loaded ONNX Runtime, whose bindings are made once a
 * process. One that has to is kept apart by vitest.config.ts, by what it imports.
 */
import { afterAll, expect } from "vitest";

interface Report {
  /** a report would look up the names of open connections */
  excludeNetwork: boolean;
  getReport(): { sharedObjects: string[] };
}

afterAll(() => {
  const report = process.report as unknown as Report | undefined;
  if (report === undefined) return;
  report.excludeNetwork = true;
  expect(report.getReport().sharedObjects.filter((path) => /onnxruntime/.test(path))).toEqual([]);
});
