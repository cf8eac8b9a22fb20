/**
 * The physical floor of a step: all weights that it uses and the keys and values that it attends have to be read from
 * memory once, and nothing can be faster than that read. Caches can: a model that fits the last-level cache beats it.
 * @param bytes          weights and keys and values that the step reads
 * @param bytesPerSecond measured read bandwidth of the memory they lie in
 * @returns µs
 */
export function floorUs(bytes: number, bytesPerSecond: number): number {
  if (!(bytes >= 0 && bytes < Infinity)) throw new RangeError(`${bytes} is no number of bytes`);
  if (!(bytesPerSecond > 0 && bytesPerSecond < Infinity))
    throw new RangeError(`${bytesPerSecond} bytes/s is no bandwidth`);
  return (1e6 * bytes) / bytesPerSecond;
}
