/** The Prometheus text format, as far as counters and gauges go (prometheus.io/docs/instrumenting/exposition_formats). */

export interface Sample {
  name: string;
  labels: ReadonlyMap<string, string>;
  value: number;
}

const LINE = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})?[ \t]+(\S+)(?:[ \t]+-?\d+)?[ \t]*$/;
const LABEL = /([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/** @returns null where a line is neither a sample, a comment nor empty: it is another format */
export function readPrometheus(text: string): Sample[] | null {
  const samples: Sample[] = [];
  for (const line of text.split(/\r?\n/)) {
    if (line.trim() === "" || line.startsWith("#")) continue;
    const found = LINE.exec(line);
    if (found === null) return null;
    const [, name, labels = "", number] = found;
    const value =
      number === "+Inf" ? Number.POSITIVE_INFINITY : number === "-Inf" ? Number.NEGATIVE_INFINITY : Number(number);
    if (Number.isNaN(value) && number !== "NaN") return null;
    samples.push({ name, value, labels: new Map(Array.from(labels.matchAll(LABEL), ([, key, of]) => [key, of])) });
  }
  return samples;
}

/** Samples of a name, with or without the ending that counters have. */
export const named = (samples: readonly Sample[], name: string): Sample[] =>
  samples.filter((sample) => sample.name === name || sample.name === `${name}_total`);
