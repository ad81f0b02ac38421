// Symbols of code from a file: an ELF executable's symbol table (System V gABI, chapter 4), or text as `nm` and Linux's System.map have it.

import { AnilloError } from '@anillo/base/anillo-error';
import { isElf } from '@anillo/machine/boot/elf';
import type { CodeSymbol } from './symbol-table.ts';

const SHT_SYMTAB = 2;
const SHT_DYNSYM = 11;
const STT_NOTYPE = 0;
const STT_FUNC = 2;
const NM_LINE = /^([0-9a-f]{1,16}) ([A-Za-z?]) (\S+)/gm;

interface Section {
  readonly type: number;
  readonly at: number;
  readonly byteCount: number;
  readonly link: number;
}

function readSections(data: DataView, is64: boolean): Section[] {
  const word = (at: number): number => (is64 ? Number(data.getBigUint64(at, true)) : data.getUint32(at, true));
  const tableAt = word(is64 ? 40 : 32);
  const entryBytes = data.getUint16(is64 ? 58 : 46, true);
  const count = data.getUint16(is64 ? 60 : 48, true);
  return Array.from({ length: count }, (_, i) => {
    const at = tableAt + i * entryBytes;
    return is64
      ? { type: data.getUint32(at + 4, true), at: word(at + 24), byteCount: word(at + 32), link: data.getUint32(at + 40, true) }
      : { type: data.getUint32(at + 4, true), at: word(at + 16), byteCount: word(at + 20), link: data.getUint32(at + 24, true) };
  });
}

function readElfSymbols(file: Uint8Array): CodeSymbol[] {
  const data = new DataView(file.buffer, file.byteOffset, file.length);
  const is64 = file[4] === 2;
  const sections = readSections(data, is64);
  const table = sections.find(({ type }) => type === SHT_SYMTAB) ?? sections.find(({ type }) => type === SHT_DYNSYM);
  if (table === undefined) return [];
  const names = sections[table.link];
  const text = new TextDecoder('latin1').decode(file.subarray(names.at, names.at + names.byteCount));
  const entryBytes = is64 ? 24 : 16;
  const symbols: CodeSymbol[] = [];
  for (let at = table.at; at + entryBytes <= table.at + table.byteCount; at += entryBytes) {
    const nameAt = data.getUint32(at, true);
    const type = data.getUint8(at + (is64 ? 4 : 12)) & 15;
    const section = data.getUint16(at + (is64 ? 6 : 14), true);
    if (section === 0 || (type !== STT_FUNC && type !== STT_NOTYPE)) continue;
    const address = is64 ? data.getBigUint64(at + 8, true) : BigInt(data.getUint32(at + 4, true));
    const byteCount = is64 ? Number(data.getBigUint64(at + 16, true)) : data.getUint32(at + 8, true);
    const name = text.slice(nameAt, text.indexOf('\0', nameAt));
    if (name !== '') symbols.push({ address, name, ...(byteCount > 0 && { byteCount }) });
  }
  return symbols;
}

function readNmSymbols(file: Uint8Array): CodeSymbol[] {
  const lines = new TextDecoder('latin1').decode(file).matchAll(NM_LINE);
  return Array.from(lines)
    .filter(([, , type]) => 'tTwW'.includes(type))
    .map(([, address, , name]) => ({ address: BigInt(`0x${address}`), name }));
}

/** AnilloError BAD_IMAGE where there are none. `what` names the file; `addend` is added to the addresses, for code that is not loaded where it was linked. */
export function readSymbolFile(file: Uint8Array, what: string, addend: bigint): readonly CodeSymbol[] {
  let symbols: readonly CodeSymbol[];
  try {
    symbols = isElf(file) ? readElfSymbols(file) : readNmSymbols(file);
  } catch (cause) {
    // A RangeError of the view, or a section that is not there.
    throw new AnilloError('BAD_IMAGE', `The symbol table of ${what} is damaged; copy the file again.`, { cause });
  }
  if (symbols.length === 0)
    throw new AnilloError(
      'BAD_IMAGE',
      `${what} holds no symbols of code; give an ELF file that is not stripped, or a list as nm or System.map have it.`,
    );
  return addend === 0n ? symbols : symbols.map((symbol) => ({ ...symbol, address: BigInt.asUintN(64, symbol.address + addend) }));
}
