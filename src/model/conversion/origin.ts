import type { StoredTypeName } from "../formats/dequantize.js";
import type { QuantisedForm, StoredPart } from "../formats/quantised/form.js";

/** Where a tensor's numbers come from, in words that another thread understands: threads share open files. */
export type TensorOrigin =
  | {
      kind: "stored";
      descriptor: number;
      /** for messages */
      path: string;
      storedName: string;
      type: StoredTypeName;
      /** bytes from the beginning of the file */
      offset: number;
      /** rows are stored in interleaved rotary order, in heads of so many rows; null: as they are wanted */
      interleavedHeadDim: number | null;
    }
  | {
      kind: "quantised";
      form: QuantisedForm<StoredPart>;
      /** of the form's rows, that which is the tensor's first */
      firstRow: number;
    }
  | {
      kind: "made";
      name: string;
      seed: number;
      /** row r of what is made is row (r + shift) modulo its rows of the tensor */
      shift: number;
    };
