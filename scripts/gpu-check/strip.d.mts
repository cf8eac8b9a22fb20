/** @returns bytes of device code in the whole file: kept, and overwritten with zeros */
export function keepArchitecture(file: Buffer, architecture: number): { kept: number; dropped: number };
