import type { ByteFile } from "./byte-file.js";

/** A tensor as it lies in a file. */
export interface StoredTensor {
  /** the name in the file, for messages */
  storedName: string;
  /** as the file names it; not every type can be read */
  type: string;
  /** outermost first: a linear layer is [out, in] */
  shape: readonly number[];
  file: ByteFile;
  /** bytes from the beginning of the file */
  offset: number;
  byteLength: number;
}
