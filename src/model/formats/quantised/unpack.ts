/** Numbers of few bits out of words of 32, and 8-bit floats. */

/** Where the numbers of a stream are written: the i-th at `at + i · step`. */
export interface Target {
  out: Float32Array;
  at: number;
  step: number;
}

/**
 * Numbers of `bits` bits each, one behind the other from the lowest bit of the first word on; one may lie in two words.
 * @param first  word, in `words`; the next is `stride` further
 * @param plus   added to each
 */
export function unpackStream(
  words: Uint32Array,
  [first, stride]: readonly [number, number],
  bits: number,
  count: number,
  plus: number,
  { out, at, step }: Target,
): void {
  const mask = 2 ** bits - 1;
  for (let i = 0, bit = 0; i < count; i++, bit += bits) {
    const place = first + (bit >>> 5) * stride;
    const from = bit & 31;
    let code = words[place] >>> from;
    if (from + bits > 32) code |= words[place + stride] << (32 - from);
    out[at + i * step] = (code & mask) + plus;
  }
}

/** Which of the eight neighbours has the i-th 4 bits of an AWQ word (Lin et al. 2023, `pack_intweight` of their code). */
const AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7];

/** The eight 4-bit numbers of a word. `into(i)`: place of the i-th neighbour */
export function unpackAwqWord(word: number, into: (neighbour: number) => number, out: Float32Array): void {
  for (let i = 0; i < 8; i++) {
    const place = into(AWQ_ORDER[i]);
    if (place >= 0) out[place] = (word >>> (4 * i)) & 15;
  }
}

/** Numbers of 8 bits as floats: sign, exponent, mantissa; the least exponent is of subnormal numbers (OCP 8-bit floating point). */
function floatsOf(exponentBits: number, bias: number, special: (magnitude: number) => number | undefined) {
  const mantissaBits = 7 - exponentBits;
  return Float32Array.from({ length: 256 }, (_, byte) => {
    const magnitude = byte & 127;
    const exponent = magnitude >> mantissaBits;
    const mantissa = (magnitude & (2 ** mantissaBits - 1)) / 2 ** mantissaBits;
    const finite = exponent === 0 ? mantissa * 2 ** (1 - bias) : (1 + mantissa) * 2 ** (exponent - bias);
    return (byte & 128 ? -1 : 1) * (special(magnitude) ?? finite);
  });
}

/** of each byte: what it stands for */
export const BYTE_NUMBERS: Readonly<Record<string, Float32Array>> = {
  I8: Float32Array.from({ length: 256 }, (_, byte) => (byte << 24) >> 24),
  /** has no infinity */
  F8_E4M3: floatsOf(4, 7, (magnitude) => (magnitude === 127 ? Number.NaN : undefined)),
  F8_E5M2: floatsOf(5, 15, (magnitude) =>
    magnitude < 124 ? undefined : magnitude === 124 ? Number.POSITIVE_INFINITY : Number.NaN,
  ),
  /** powers of two, for scales */
  F8_E8M0: Float32Array.from({ length: 256 }, (_, byte) => (byte === 255 ? Number.NaN : 2 ** (byte - 127))),
};
