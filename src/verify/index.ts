export { commonPrefix, judge, TIE_MARGIN, type Verdict } from "./judge.js";
export type { AlternativeModel, VerifyPrompt } from "./measure.js";
export { promptsDigest, type VerifyOptions, type VerifyResult, verifyPlan } from "./verify.js";
