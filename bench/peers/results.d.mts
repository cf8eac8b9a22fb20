export interface Run {
  /** context asked for */
  n: number;
  /** of the prompt at that context */
  number: number;
  ids: number[];
  promptMs: number;
  decodeMs: number;
  timedTokens: number;
  acceptance?: number | null;
}
export interface Way {
  name: string;
  version: string;
  way: string;
  precision: string;
  runs: Run[];
  failed?: string;
}
export interface Row {
  context: number;
  peer: string;
  way: string;
  precision: string;
  decodings?: number;
  ms_per_token?: number;
  fastest_ms_per_token?: number;
  times_own_plain?: number | null;
  acceptance?: number | null;
  output?: { equal: number; ties: number; other: number };
  output_of?: string;
  failed?: string;
}
interface Machine {
  load_average: number[];
  plain_of: string;
  plain_ms_per_token: number;
}
export function median(list: readonly number[]): number;
export function rowsOf(
  ways: readonly Way[],
  contexts: readonly number[],
  prompts: readonly (readonly (readonly number[])[])[],
  gapOf: (text: number[], pair: [number, number]) => Promise<number | null>,
): Promise<Row[]>;
export function tableOf(result: {
  device: { cpu: string | null };
  threads: number;
  tokens: number;
  sweeps: number;
  seconds: number;
  before: Machine;
  after: Machine;
  rows: readonly Row[];
  absent: readonly { peer: string; why: string }[];
}): string;
