/** Time of work in parts, some of which an interrupted run may have finished: what they took then counts as if it were now. */
import type { Clock } from "../runtime/engine.js";

/** A part's result, as an interrupted run keeps it. */
export interface Timed<Turns> {
  turns: Turns;
  /** that it took */
  us: number;
}

export class TimeTaken {
  private startUs: number;

  constructor(private readonly clock: Clock) {
    this.startUs = clock.nowUs();
  }

  /** Since the beginning. */
  get us(): number {
    return this.clock.nowUs() - this.startUs;
  }

  /** When so much will have been taken, by the clock. */
  at(us: number): number {
    return this.startUs + us;
  }

  /** @param keep hands the part as an interrupted run made it, or has it made now */
  async of<Turns>(
    keep: (make: () => Promise<Timed<Turns>>) => Promise<Timed<Turns>>,
    make: () => Promise<Turns>,
  ): Promise<Turns> {
    let madeUs = 0;
    const { turns, us } = await keep(async () => {
      const beganUs = this.clock.nowUs();
      const turns = await make();
      madeUs = this.clock.nowUs() - beganUs;
      return { turns, us: madeUs };
    });
    this.startUs -= us - madeUs;
    return turns;
  }
}
