/** Where a command's results go. Only src/cli makes one of a real process. */
export interface Printer {
  /** results, on stdout; a newline is added */
  print(text: string): void;
  /** a command for a CI system, on stdout, or on stderr beside `json`; `print` takes the force out of such lines */
  command(text: string): void;
  /** raw text on stdout, for streaming */
  write(text: string): void;
  /** a line for the person watching, on stderr; never part of the result */
  note(text: string): void;
  /** print exactly one JSON value instead of tables */
  json: boolean;
  /** columns of the terminal; where stdout is none, of COLUMNS, or 80 */
  columns: number;
}
