/** The user's own folders, where the environment says nothing that can be meant. */
import { homedir, userInfo } from "node:os";
import { isAbsolute, join } from "node:path";

type Environment = Readonly<Record<string, string | undefined>>;

/** HOME, or what the system's list of users says where HOME is empty or relative: by it files would lie where one happens to be. */
export function homeFolder(): string {
  const home = homedir();
  return isAbsolute(home) ? home : userInfo().homedir;
}

/**
 * `$XDG_CACHE_HOME`, else `~/.cache`. "All paths set in these environment variables must be absolute. If an implementation
 * encounters a relative path in any of these variables it should consider the path invalid and ignore it" (XDG Base Directory
 * Specification 0.8); empty is as unset.
 */
export function xdgCacheHome({ XDG_CACHE_HOME }: Environment = process.env): string {
  return XDG_CACHE_HOME && isAbsolute(XDG_CACHE_HOME) ? XDG_CACHE_HOME : join(homeFolder(), ".cache");
}
