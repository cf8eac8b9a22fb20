/** What a profile says in words, the same on a screen and in a report. */

import type { Kernel } from "./choice.js";
import type { Floor, Profile } from "./profile.js";

const NAMES = { attn: "attention", mlp: "MLP", head: "head" } as const;

/** `attention 1.3 to 2.5, MLP 1.4, head 1.4`: least and most over contexts of what a kernel's parts take, times the floor. */
export function timesFloorText({ parts }: Floor, kernel: Kernel): string {
  return (["attn", "mlp", "head"] as const)
    .flatMap((part) => {
      const times = parts
        .filter((one) => one.part === part && one.kernel === kernel)
        .map(({ times_floor }) => times_floor);
      if (times.length === 0) return [];
      const [low, high] = [Math.min(...times), Math.max(...times)].map((one) => one.toFixed(1));
      return [`${NAMES[part]} ${low === high ? low : `${low} to ${high}`}`];
    })
    .join(", ");
}

/** `2 of 32 layers and 9216 of 128256 rows of the head` */
export function scaledText(scaled: NonNullable<Profile["scaled"]>): string {
  const layers = `${scaled.layers_measured} of ${scaled.layers} layers`;
  if (scaled.vocabulary_measured === scaled.vocabulary) return layers;
  return `${layers} and ${scaled.vocabulary_measured} of ${scaled.vocabulary} rows of the head`;
}
