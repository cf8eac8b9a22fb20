/**
 * Progress of long work, and the place where it can be interrupted: a native pass blocks the event loop, so every loop
 * over passes awaits `tick`, which lets signals in and throws when one asked to stop.
 */
export interface Progress {
  /** @throws the abort reason when the work was interrupted */
  tick(update?: { stage?: string; done?: number; total?: number }): Promise<void>;
  /** something the user should know, shown once on stderr */
  warn(code: string, message: string): void;
}

export const silentProgress: Progress = { tick: async () => {}, warn: () => {} };
