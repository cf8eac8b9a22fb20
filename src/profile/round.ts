/** Figures as they stand in a profile. */

/** A hundredth of a µs is far below anything measured. */
export const digits = (us: number): number => Math.round(us * 100) / 100;
