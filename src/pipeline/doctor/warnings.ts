/** What on this machine makes measurements less steady than they could be. Pure. */
import type { HostFacts } from "../../runtime/host.js";

export interface Warning {
  code: string;
  message: string;
}

/** Share of the processors that may be busy with something else before it is worth a warning. */
const BUSY_SHARE = 0.1;
/** The average of a minute still holds what draftplan itself did before. */
const LOAD_SHARE = 0.5;

export function doctorWarnings(host: HostFacts, busyCores: number | null, threads: number): Warning[] {
  const warnings: Warning[] = [];
  const warn = (code: string, message: string) => warnings.push({ code, message });
  const { logical, allowed, quota } = host.cores;
  const load = host.loadOneMinute;
  if (busyCores !== null && busyCores > BUSY_SHARE * logical) {
    warn(
      "OTHER_WORK",
      `other work keeps ${busyCores.toFixed(1)} of ${logical} processors busy; measure when it is done`,
    );
  } else if (load !== null && load > LOAD_SHARE * logical) {
    warn(
      "OTHER_WORK",
      `the load average of the last minute is ${load.toFixed(2)} on ${logical} processors; see that nothing else runs while measuring`,
    );
  }
  const slow = host.governors?.filter((name) => name !== "performance") ?? [];
  if (slow.length > 0) {
    warn("CLOCK_GOVERNOR", `the clock governor is ${slow.join(", ")}; with performance, times vary less`);
  }
  const usable = Math.min(allowed, quota ?? Infinity);
  if (threads > usable) {
    warn(
      "TOO_MANY_THREADS",
      `${threads} threads on ${describeCores(allowed, quota)}: they wait for each other; try --threads ${Math.max(1, Math.floor(usable))}`,
    );
  }
  return warnings;
}

const describeCores = (allowed: number, quota: number | null): string =>
  quota !== null && quota < allowed ? `${quota} cores' worth of time` : `${allowed} processors`;
