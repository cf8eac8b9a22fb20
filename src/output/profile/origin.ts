/** Where a profile's figures come from, if not from the whole model on this device. */
import type { Profile } from "../../schema/profile.js";

/** @returns no line for a profile of a whole model with its own weights */
export function originLines({ synthetic, scaled, imported }: Profile): string[] {
  const lines: string[] = [];
  if (imported !== undefined) {
    const whole = imported.whole_pass === "summed" ? "; no whole pass was measured, so the parts are added up" : "";
    lines.push(`imported from ${imported.source}: measured by another engine${whole}`);
  }
  if (synthetic !== undefined) lines.push("made-up weights: latency does not depend on their values");
  if (scaled !== undefined) lines.push(`scaled: ${scaledText(scaled)} were measured and stand for all`);
  return lines;
}

/** `2 of 32 layers and 9216 of 128256 rows of the head` */
export function scaledText(scaled: NonNullable<Profile["scaled"]>): string {
  const layers = `${scaled.layers_measured} of ${scaled.layers} layers`;
  if (scaled.vocabulary_measured === scaled.vocabulary) return layers;
  return `${layers} and ${scaled.vocabulary_measured} of ${scaled.vocabulary} rows of the head`;
}
