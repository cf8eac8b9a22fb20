/** Progress on a terminal: one bar on stderr, and warnings once each. */
import cliProgress from "cli-progress";

export interface ProgressDisplay {
  update(update: { stage?: string; done?: number; total?: number }): void;
  /** takes the bar off the screen before something else is written; the next update brings it back */
  clear(): void;
}

export const noDisplay: ProgressDisplay = { update: () => {}, clear: () => {} };

/** @param term the variable TERM: a terminal that calls itself dumb only prints, and nothing may move its cursor */
export const displayFor = (stream: NodeJS.WriteStream, term: string | undefined): ProgressDisplay =>
  stream.isTTY && term !== "dumb" ? terminalDisplay(stream) : noDisplay;

/** `label [=====---] 12/60`; cursor and line wrapping stay as they are, so that nothing must be restored when the process is killed */
export function terminalDisplay(stream: NodeJS.WriteStream): ProgressDisplay {
  let bar: cliProgress.SingleBar | undefined;
  const shown = { stage: "", done: 0, total: 0 };
  const clear = () => {
    bar?.stop();
    bar = undefined;
  };
  return {
    clear,
    update({ stage = shown.stage, done, total }) {
      const another = stage !== shown.stage;
      Object.assign(shown, {
        stage,
        done: done ?? (another ? 0 : shown.done),
        total: total ?? (another ? 0 : shown.total),
      });
      if (another) clear();
      if (shown.total <= 0) return;
      if (bar === undefined) {
        bar = new cliProgress.SingleBar({
          stream,
          format: "{stage} [{bar}] {value}/{total} {duration_formatted}",
          clearOnComplete: true,
          hideCursor: false,
          linewrap: true,
          barsize: 30,
          etaBuffer: 50,
        });
        bar.start(shown.total, shown.done, { stage });
      } else {
        bar.setTotal(shown.total);
        bar.update(shown.done);
      }
    },
  };
}
