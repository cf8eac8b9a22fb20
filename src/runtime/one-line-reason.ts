/**
 * What ONNX Runtime says of a failure, as a person can read it: without the source file it was found in, the C++
 * signature, and the folders of this machine.
 */
export function oneLineReason(message: string): string {
  const withoutSource = message
    .replace(/^\s*\S+\.(?:cc|cpp|h):\d+ .*?(?=\[ONNXRuntimeError\]|Failed|$)/s, "")
    .replace(/\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : /g, "");
  const said = withoutSource.trim() === "" ? message : withoutSource;
  return dropRepetition(
    said
      .replace(/(?:[A-Za-z]:)?(?:[\\/][^\\/\s:'"]+)*[\\/](?=[^\\/\s:'"]+\.(?:so|dll|dylib))/g, "")
      .replace(/\s+/g, " ")
      .trim(),
  );
}

/** `a.so with error: a.so: cannot open` -> `a.so: cannot open` */
const dropRepetition = (text: string): string => text.replace(/(\S+) with error: \1:/, "$1:");
