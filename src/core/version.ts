/** draftplan's own version. */
import { readFileSync } from "node:fs";

/** two levels up from this file lies the package, in `src` as in `dist` */
export const draftplanVersion = (): string =>
  (JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { version: string }).version;
