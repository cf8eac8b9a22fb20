/**
 * Takes the device code of other GPUs out of ONNX Runtime's CUDA provider: it is overwritten with zeros, so that the file
 * loads as before and packs to a third. What the file looks like:
 *
 * - `.nv_fatbin` holds containers, each with a header (magic 0xBA55ED50, version, header bytes, bytes that follow) and
 *   entries: kind (1: PTX, 2: a binary), header bytes, payload bytes, and at byte 28 of the header the architecture, 90 for
 *   sm_90. The driver takes the entry of its GPU and never looks into another's.
 * - attention kernels of TensorRT lie in data sections as ELF files of machine 190; the low byte of their flags is the
 *   architecture.
 */
const FATBIN_MAGIC = 0xba55ed50;
const ELF_MAGIC = Buffer.from([0x7f, 0x45, 0x4c, 0x46]);
const EM_CUDA = 190;
const BINARY = 2;
const DATA_SECTIONS = [".rodata", ".data", ".data.rel.ro"];

/**
 * Changes `file` in place.
 * @param {Buffer} file of the provider
 * @param {number} architecture as 90
 * @returns {{kept: number, dropped: number}} bytes of device code
 */
export function keepArchitecture(file, architecture) {
  const sections = sectionsOf(file);
  const counts = { kept: 0, dropped: 0 };
  const fatbin = sections.get(".nv_fatbin");
  if (fatbin === undefined) throw new Error("the library holds no device code (.nv_fatbin)");
  const take = (from, bytes, keep) => {
    if (keep) counts.kept += bytes;
    else {
      file.fill(0, from, from + bytes);
      counts.dropped += bytes;
    }
  };
  for (const { kind, arch, from, bytes, alone } of fatbinEntries(file, fatbin)) {
    // PTX is kept where its container has nothing for this GPU: the driver compiles it
    take(from, bytes, kind === BINARY ? arch === architecture : alone(architecture));
  }
  if (counts.kept === 0) throw new Error(`the library has no code for architecture ${architecture}`);
  for (const name of DATA_SECTIONS) {
    const section = sections.get(name);
    if (section === undefined) continue;
    for (const { from, bytes, arch } of cubins(file, section)) take(from, bytes, arch === architecture);
  }
  return counts;
}

/** @returns {Map<string, {offset: number, bytes: number}>} */
function sectionsOf(file) {
  if (!file.subarray(0, 4).equals(ELF_MAGIC)) throw new Error("the file is no ELF library");
  const table = Number(file.readBigUInt64LE(40));
  const [size, count, names] = [58, 60, 62].map((at) => file.readUInt16LE(at));
  const header = (i) => {
    const at = table + i * size;
    return {
      name: file.readUInt32LE(at),
      offset: Number(file.readBigUInt64LE(at + 24)),
      bytes: Number(file.readBigUInt64LE(at + 32)),
    };
  };
  const strings = header(names).offset;
  return new Map(
    Array.from({ length: count }, (_, i) => {
      const { name, offset, bytes } = header(i);
      const at = strings + name;
      return [file.toString("latin1", at, file.indexOf(0, at)), { offset, bytes }];
    }),
  );
}

function* fatbinEntries(file, { offset, bytes }) {
  const end = offset + bytes;
  for (let at = offset; at + 16 <= end; ) {
    if (file.readUInt32LE(at) !== FATBIN_MAGIC) {
      at += 8; // containers are padded
      continue;
    }
    const first = at + file.readUInt16LE(at + 6);
    const last = first + Number(file.readBigUInt64LE(at + 8));
    if (last > end) throw new Error(`a container of device code at byte ${at} ends behind its section`);
    const entries = [];
    for (let entry = first; entry < last; ) {
      const headerBytes = file.readUInt32LE(entry + 4);
      const payload = Number(file.readBigUInt64LE(entry + 8));
      entries.push({
        kind: file.readUInt16LE(entry),
        arch: file.readUInt32LE(entry + 28),
        from: entry + headerBytes,
        bytes: payload,
      });
      entry += headerBytes + payload;
      if (headerBytes === 0) throw new Error(`an entry of device code at byte ${entry} has no header`);
    }
    const alone = (arch) => !entries.some((one) => one.kind === BINARY && one.arch === arch);
    for (const entry of entries) yield { ...entry, alone };
    at = last;
  }
}

function* cubins(file, { offset, bytes }) {
  const end = offset + bytes;
  for (let at = file.indexOf(ELF_MAGIC, offset); at >= 0 && at + 64 <= end; ) {
    let next = at + 4;
    if (file.readUInt16LE(at + 18) === EM_CUDA) {
      const tableEnd = (tableAt, sizeAt, countAt) =>
        Number(file.readBigUInt64LE(at + tableAt)) + file.readUInt16LE(at + sizeAt) * file.readUInt16LE(at + countAt);
      const length = Math.max(tableEnd(32, 54, 56), tableEnd(40, 58, 60));
      if (at + length <= end) {
        yield { from: at, bytes: length, arch: file.readUInt32LE(at + 48) & 0xff };
        next = at + length;
      }
    }
    at = file.indexOf(ELF_MAGIC, next);
  }
}
