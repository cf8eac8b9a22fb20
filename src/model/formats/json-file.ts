import { readFileSync, statSync } from "node:fs";
import type { z } from "zod";
import { errnoOf } from "../../core/blocking.js";
import { DraftplanError } from "../../core/errors.js";
import { utf8Text } from "../../core/utf8.js";
import { configInvalid, describeIssues } from "../failures.js";
import { messageOf, notFound, unreadable } from "./byte-file.js";

/** config.json is some kilobytes, an index of a large model under two megabytes. */
const MAX_BYTES = 64 << 20;

/** Reads a JSON object and checks it against `schema`. */
export function readJsonFile<T>(path: string, schema: z.ZodType<T>): T {
  return checkedJson(parseObject(path), schema, path);
}

/** @param path where it comes from, for messages. @throws CONFIG_INVALID */
export function checkedJson<T>(value: unknown, schema: z.ZodType<T>, path: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const { key, what } = describeIssues(result.error);
  throw configInvalid(path, key, what);
}

function parseObject(path: string): unknown {
  const text = readText(path);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw configInvalid(path, "top level", `not valid JSON: ${messageOf(cause).slice(0, 200)}`);
  }
}

function readText(path: string): string {
  try {
    const stat = statSync(path);
    if (!stat.isFile()) throw unreadable(path, "is not a regular file");
    if (stat.size > MAX_BYTES)
      throw configInvalid(path, "size", `${stat.size} bytes; more than ${MAX_BYTES} cannot be a model's JSON file`);
    return utf8Text(readFileSync(path), path);
  } catch (cause) {
    if (errnoOf(cause) === "ENOENT" || errnoOf(cause) === "ENOTDIR") throw notFound(path);
    if (cause instanceof DraftplanError && cause.code === "TEXT_NOT_UTF8")
      throw configInvalid(path, "top level", `not valid JSON: ${cause.what}`);
    if (cause instanceof DraftplanError) throw cause;
    throw unreadable(path, messageOf(cause), cause);
  }
}
