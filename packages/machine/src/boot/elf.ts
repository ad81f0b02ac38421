// Reader of ELF executables (System V gABI, chapters 4 and 5), 32- and 64-bit, little-endian. Everything that a file says is checked against its length.

import { AnilloError } from '@anillo/base/anillo-error';

export const ELF_MACHINE = { I386: 3, X86_64: 62 } as const;

const MACHINE_NAMES: Readonly<Record<number, string>> = {
  2: 'SPARC',
  8: 'MIPS',
  20: 'PowerPC',
  21: 'PowerPC 64',
  22: 's390',
  40: '32-bit ARM',
  43: 'SPARC 64',
  50: 'Itanium',
  183: 'AArch64',
  243: 'RISC-V',
  258: 'LoongArch',
};

export interface ElfSegment {
  readonly physicalAddress: number;
  readonly bytes: Uint8Array;
  /** In memory; the rest is zero. */
  readonly byteCount: number;
}

export interface ElfNote {
  readonly owner: string;
  readonly type: number;
  readonly bytes: Uint8Array;
}

export interface Elf {
  readonly bits: 32 | 64;
  readonly machine: number;
  readonly entry: number;
  /** PT_LOAD with something in memory. */
  readonly segments: readonly ElfSegment[];
  readonly notes: readonly ElfNote[];
}

const PT_LOAD = 1;
const PT_NOTE = 4;

export const isElf = (file: Uint8Array): boolean =>
  file.length >= 4 && file[0] === 0x7f && file[1] === 0x45 && file[2] === 0x4c && file[3] === 0x46;

const bad = (message: string): AnilloError => new AnilloError('BAD_IMAGE', message);

function readNotes(bytes: Uint8Array): ElfNote[] {
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const notes: ElfNote[] = [];
  let at = 0;
  while (at + 12 <= bytes.length) {
    const nameBytes = data.getUint32(at, true);
    const valueBytes = data.getUint32(at + 4, true);
    const valueAt = at + 12 + Math.ceil(nameBytes / 4) * 4;
    const next = valueAt + Math.ceil(valueBytes / 4) * 4;
    if (valueAt + valueBytes > bytes.length) break;
    const owner = String.fromCharCode(...bytes.subarray(at + 12, at + 12 + Math.min(nameBytes, 64))).replace(/\0.*$/s, '');
    notes.push({ owner, type: data.getUint32(at + 8, true), bytes: bytes.subarray(valueAt, valueAt + valueBytes) });
    at = next;
  }
  return notes;
}

/** Entry point and tables of a header whose class is known. */
function readHeader(data: DataView, bits: 32 | 64): { entry: number; tableAt: number; entryBytes: number; count: number } {
  const wide = (at: number): number => Number(data.getBigUint64(at, true));
  return bits === 64
    ? { entry: wide(24), tableAt: wide(32), entryBytes: data.getUint16(54, true), count: data.getUint16(56, true) }
    : {
        entry: data.getUint32(24, true),
        tableAt: data.getUint32(28, true),
        entryBytes: data.getUint16(42, true),
        count: data.getUint16(44, true),
      };
}

function readProgramHeader(data: DataView, at: number, bits: 32 | 64) {
  const wide = (offset: number): number => Number(data.getBigUint64(at + offset, true));
  const word = (offset: number): number => data.getUint32(at + offset, true);
  return bits === 64
    ? { type: word(0), fileAt: wide(8), physicalAddress: wide(24), fileBytes: wide(32), byteCount: wide(40) }
    : { type: word(0), fileAt: word(4), physicalAddress: word(12), fileBytes: word(16), byteCount: word(20) };
}

/** Reads an x86 executable; AnilloError BAD_IMAGE for anything else. */
export function readElf(file: Uint8Array, what: string): Elf {
  if (!isElf(file)) throw bad(`The ${what} is not an ELF file.`);
  const truncated = (): AnilloError =>
    bad(`The ${what} is truncated: its ELF headers point past its end (${file.length} bytes); copy it again.`);
  if (file.length < 52) throw truncated();
  const bits = file[4] === 2 ? 64 : 32;
  if (file[5] !== 1) throw bad(`The ${what} is a big-endian ELF file; an x86 one is needed.`);
  if (file.length < (bits === 64 ? 64 : 52)) throw truncated();
  const data = new DataView(file.buffer, file.byteOffset, file.length);
  const machine = data.getUint16(18, true);
  if (machine !== ELF_MACHINE.I386 && machine !== ELF_MACHINE.X86_64) {
    throw bad(`The ${what} is an ELF file for ${MACHINE_NAMES[machine] ?? `machine ${machine}`}; give one for x86.`);
  }
  const ET_EXEC = 2;
  const ET_DYN = 3;
  const type = data.getUint16(16, true);
  if (type !== ET_EXEC && type !== ET_DYN) throw bad(`The ${what} is an ELF object or core file; give a linked executable.`);

  const head = readHeader(data, bits);
  const smallest = bits === 64 ? 56 : 32;
  if (head.count === 0 || head.entryBytes < smallest)
    throw bad(`The ${what} is an ELF file without program headers; give a linked executable.`);
  if (head.tableAt + head.count * head.entryBytes > file.length) throw truncated();
  const segments: ElfSegment[] = [];
  const notes: ElfNote[] = [];
  for (let i = 0; i < head.count; i++) {
    const p = readProgramHeader(data, head.tableAt + i * head.entryBytes, bits);
    if (p.type !== PT_LOAD && p.type !== PT_NOTE) continue;
    if (p.fileAt + p.fileBytes > file.length) throw truncated();
    const bytes = file.subarray(p.fileAt, p.fileAt + p.fileBytes);
    if (p.type === PT_NOTE) notes.push(...readNotes(bytes));
    else if (p.byteCount < p.fileBytes) throw bad(`The ${what} is damaged: an ELF segment is larger in the file than in memory.`);
    else if (p.byteCount > 0) segments.push({ physicalAddress: p.physicalAddress, bytes, byteCount: p.byteCount });
  }
  if (segments.length === 0) throw bad(`The ${what} is an ELF file with nothing to load; give a linked executable.`);
  return { bits, machine, entry: head.entry, segments, notes };
}
