/** draftplan completion: what a shell loads to complete draftplan's command line. */
import { bashCompletion } from "../output/completion/bash.js";
import { fishCompletion } from "../output/completion/fish.js";
import type { Place, Shell } from "../output/completion/tree.js";
import { zshCompletion } from "../output/completion/zsh.js";
import type { CommandContext } from "./context.js";

const SCRIPTS = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion } as const satisfies Record<
  Shell,
  (places: readonly Place[]) => string
>;

export async function completionCommand(
  shell: Shell,
  places: readonly Place[],
  context: Pick<CommandContext, "write" | "print" | "json">,
): Promise<void> {
  const script = SCRIPTS[shell](places);
  if (context.json) context.print(JSON.stringify({ shell, script }));
  else context.write(script);
}
