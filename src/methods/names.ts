/** Methods other than the knapsack itself. Apart, so that a check of documents loads none of them. */
export const METHOD_NAMES = ["knapspec", "clasp", "del", "swift", "early-exit", "uniform"] as const;
export type MethodName = (typeof METHOD_NAMES)[number];

/** Every method that a plan can be derived by; its calibration has the drafts that were proposed. */
export const SOLVE_METHODS: readonly string[] = ["knapsack", "none", ...METHOD_NAMES];
