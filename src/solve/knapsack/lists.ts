/** What the steps of the dynamic programming work on (states.ts). */

/** A choice: what it adds to the sums. */
export interface Item {
  /** µs, or units of a resolution */
  costUs: number;
  loss: number;
  /** what it adds to the sums that are limited; undefined: 0 */
  skipped?: number;
  /** bytes in the grid's unit */
  units?: number;
}

/** States by rising cost; without a grid by strictly falling loss as well. Arrays are longer than `size`. */
export interface StateList {
  size: number;
  costs: Float64Array;
  losses: Float64Array;
  /** [size] position in the list before */
  parents: Uint32Array;
  /** [size] position in the group's items */
  picks: Uint16Array;
  /** of no length without a grid */
  skipped: Int32Array;
  units: Int32Array;
}
