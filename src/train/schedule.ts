/**
 * How far along the schedule of step sizes training is, 0 to 1. Steps decide, so that the same command gives the same heads;
 * where the time will be up before the steps are done, time does, so that the last steps are small ones whenever they come:
 * a schedule that ends is worth two epochs of one that is cut off.
 * @param stepShare of all steps, those done
 * @param timeShare of the time that this run has for training, that which is spent
 * @param begun     stepShare where this run began: 0, or more where it goes on from another
 */
export function scheduleShare(stepShare: number, timeShare: number, begun: number): number {
  const ownShare = (stepShare - begun) / (1 - begun);
  if (ownShare < FIRST || timeShare < LATE * ownShare) return stepShare;
  return Math.min(1, begun + (1 - begun) * timeShare);
}

/** share of the steps from which on their speed is known: the first ones are slower */
const FIRST = 0.02;
/** how much more of the time must be spent than of the steps is done */
const LATE = 1.05;
