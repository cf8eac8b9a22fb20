/** Tokens one pass may carry; longer prompts are run in pieces. Bounds the buffers, not what users may ask for. */
export const MAX_PASS_TOKENS = 512;
/** Rows of logits one pass may give: a verification, or a piece of text that is scored. */
export const MAX_LOGIT_ROWS = 64;
/** Rows of one pass over a tree: every one of them may be asked for its logits. */
export const MAX_TREE_ROWS = MAX_LOGIT_ROWS;
