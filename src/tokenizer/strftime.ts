const MONTHS = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
];
const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

const two = (n: number): string => String(n).padStart(2, "0");

/**
 * Python's strftime in the C locale, local time, for what dates in chat templates use.
 * The jinja library's own follows the machine's locale, and so would the prompt.
 */
export function strftime(date: Date, format: string): string {
  const parts: Record<string, string> = {
    Y: String(date.getFullYear()),
    y: two(date.getFullYear() % 100),
    m: two(date.getMonth() + 1),
    d: two(date.getDate()),
    e: String(date.getDate()).padStart(2, " "),
    B: MONTHS[date.getMonth()],
    b: MONTHS[date.getMonth()].slice(0, 3),
    A: DAYS[date.getDay()],
    a: DAYS[date.getDay()].slice(0, 3),
    H: two(date.getHours()),
    I: two(date.getHours() % 12 === 0 ? 12 : date.getHours() % 12),
    M: two(date.getMinutes()),
    S: two(date.getSeconds()),
    p: date.getHours() < 12 ? "AM" : "PM",
    "%": "%",
  };
  return format.replace(/%(-?)(.)/g, (directive, unpadded: string, letter: string) => {
    const text = parts[letter];
    if (text === undefined) throw new Error(`strftime_now does not know ${directive}`);
    return unpadded === "-" ? text.replace(/^[0 ](?=.)/, "") : text;
  });
}
