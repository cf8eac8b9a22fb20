/** A profile as a command's result. */

import type { CommandContext } from "../../pipeline/context.js";
import { defaultPath } from "../../pipeline/paths.js";
import { stringifyDocument, writeDocument } from "../../schema/document.js";
import type { Profile } from "../../schema/profile.js";
import { profileTables } from "./table.js";

/** Prints the document, or writes it and shows its tables. */
export function deliverProfile(profile: Profile, output: string | undefined, context: CommandContext): void {
  if (output === "-") {
    if (context.json) context.print(JSON.stringify(profile));
    else context.write(stringifyDocument(profile));
    return;
  }
  const path = output ?? defaultPath("profile", profile.model.name);
  writeDocument(path, profile);
  if (context.json) context.print(JSON.stringify(profile));
  else context.print(`${profileTables(profile)}\nwritten to ${path}`);
}
