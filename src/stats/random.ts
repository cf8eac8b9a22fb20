/**
 * Random numbers from a seed. The only place in src that makes a generator: those of pure-rand take a seed as it is into
 * their state, and with seeds 1, 2, 3 their first draw then is nearly 1 and their second moves in steps of 1/16.
 *
 * So a seed is scrambled first (SplitMix64: Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators")
 * and fills the whole state, as the authors of xoroshiro128+ ask (Blackman and Vigna 2021, section 2.2).
 */
import { randomInt } from "node:crypto";
import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plusFromState } from "pure-rand/generator/xoroshiro128plus";

export interface Random {
  /** uniform in [0, 1), 53 bits */
  float(): number;
  /** uniform among 0 to count - 1 */
  index(count: number): number;
  /** standard normal */
  normal(): number;
  /** 32 random bits, as a signed integer */
  bits(): number;
  /** a copy in random order */
  shuffle<T>(items: readonly T[]): T[];
}

/**
 * @param seed   any safe integer; neighbouring seeds give unrelated draws
 * @param stream what else the draws belong to, such as a context or a round: each gives draws of its own. Adding it to the
 *               seed instead would give one stream to two pairs of the same sum
 * @throws RangeError where a number is no integer
 */
export function seededRandom(seed: number, ...stream: readonly number[]): Random {
  const scrambled = splitMix(stream.reduce((state, part) => splitMix(state).next() ^ bits64(part), bits64(seed)));
  const [high, low] = [scrambled.next(), scrambled.next()];
  const words = [high >> 32n, high, low >> 32n, low].map((word) => Number(BigInt.asIntN(32, word)));
  const generator = xoroshiro128plusFromState(words);
  const index = (count: number) => uniformInt(generator, 0, count - 1);
  return {
    float: () => uniformFloat64(generator),
    index,
    // Box and Muller 1958; 1 - u is never 0
    normal: () =>
      Math.sqrt(-2 * Math.log(1 - uniformFloat64(generator))) * Math.cos(2 * Math.PI * uniformFloat64(generator)),
    bits: () => generator.next(),
    shuffle: (items) => {
      const out = [...items];
      for (let i = out.length - 1; i > 0; i--) {
        const j = index(i + 1);
        [out[i], out[j]] = [out[j], out[i]];
      }
      return out;
    },
  };
}

/** A seed that nobody chose: a whole number below 2^32, easy to type again. */
export const freshSeed = (): number => randomInt(2 ** 32);

const bits64 = (n: number): bigint => BigInt.asUintN(64, BigInt(n));

function splitMix(state: bigint): { next(): bigint } {
  let at = state;
  return {
    next: () => {
      at = BigInt.asUintN(64, at + 0x9e3779b97f4a7c15n);
      let z = at;
      z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
      z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
      return z ^ (z >> 31n);
    },
  };
}
