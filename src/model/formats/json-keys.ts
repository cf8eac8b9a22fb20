/**
 * JSON.parse keeps the last of two equal keys in silence; in a weight file that means one tensor shadows another.
 * Scans text for duplicate keys and for nesting deeper than `maxDepth`, without building anything but the keys.
 * @returns what is wrong, or null. Text that is not JSON may pass: JSON.parse refuses it afterwards.
 */
export function findDuplicateKey(text: string, maxDepth: number): string | null {
  const open: (Set<string> | null)[] = []; // one entry per bracket; null for arrays
  for (let at = 0; at < text.length; at++) {
    const c = text[at];
    if (c === "{" || c === "[") {
      if (open.push(c === "{" ? new Set() : null) > maxDepth)
        return `nested deeper than ${maxDepth} at character ${at}`;
    } else if (c === "}" || c === "]") open.pop();
    else if (c === '"') {
      const end = stringEnd(text, at);
      const keys = open.at(-1);
      if (keys && isKey(text, end)) {
        const key = decode(text.slice(at, end));
        if (keys.has(key))
          return `key ${JSON.stringify(key.slice(0, 100))} appears twice, the second time at character ${at}`;
        keys.add(key);
      }
      at = end - 1;
    }
  }
  return null;
}

/** @returns the index after the closing quote, or the text's length */
function stringEnd(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === "\\") at++;
    else if (text[at] === '"') return at + 1;
  }
  return text.length;
}

function isKey(text: string, at: number): boolean {
  while (at < text.length && " \t\r\n".includes(text[at])) at++;
  return text[at] === ":";
}

/** Escapes can spell one key in two ways. */
function decode(quoted: string): string {
  if (!quoted.includes("\\")) return quoted.slice(1, -1);
  try {
    return String(JSON.parse(quoted));
  } catch {
    return quoted;
  }
}
