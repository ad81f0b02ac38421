import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AnilloError } from '@anillo/base/anillo-error';
import { readSymbolFile } from './symbol-file.ts';

const text = (s: string): Uint8Array => new TextEncoder().encode(s);

/** A 64-bit ELF file of a header, symbols, their names, and three section headers. */
function tinyElf(symbols: readonly { name: string; type: number; section: number; address: bigint; byteCount: bigint }[]): Uint8Array {
  const names = text(`\0${symbols.map(({ name }) => `${name}\0`).join('')}`);
  const symbolsAt = 64;
  const namesAt = symbolsAt + 24 * symbols.length;
  const sectionsAt = namesAt + names.length;
  const file = new Uint8Array(sectionsAt + 3 * 64);
  const data = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  data.setBigUint64(40, BigInt(sectionsAt), true);
  data.setUint16(58, 64, true);
  data.setUint16(60, 3, true);
  let nameAt = 1;
  symbols.forEach(({ name, type, section, address, byteCount }, i) => {
    const at = symbolsAt + 24 * i;
    data.setUint32(at, nameAt, true);
    file[at + 4] = 0x10 | type;
    data.setUint16(at + 6, section, true);
    data.setBigUint64(at + 8, address, true);
    data.setBigUint64(at + 16, byteCount, true);
    nameAt += name.length + 1;
  });
  file.set(names, namesAt);
  const section = (i: number, type: number, at: number, byteCount: number, link: number): void => {
    data.setUint32(sectionsAt + 64 * i + 4, type, true);
    data.setBigUint64(sectionsAt + 64 * i + 24, BigInt(at), true);
    data.setBigUint64(sectionsAt + 64 * i + 32, BigInt(byteCount), true);
    data.setUint32(sectionsAt + 64 * i + 40, link, true);
  };
  section(1, 2, symbolsAt, 24 * symbols.length, 2);
  section(2, 3, namesAt, names.length, 0);
  return file;
}

test('functions and labels of an ELF file', () => {
  const file = tinyElf([
    { name: 'main', type: 2, section: 1, address: 0x401000n, byteCount: 32n },
    { name: 'entry', type: 0, section: 1, address: 0x400000n, byteCount: 0n },
    { name: 'variable', type: 1, section: 2, address: 0x500000n, byteCount: 8n },
    { name: 'imported', type: 2, section: 0, address: 0n, byteCount: 0n },
  ]);
  assert.deepEqual(readSymbolFile(file, 'it', 0n), [
    { address: 0x401000n, name: 'main', byteCount: 32 },
    { address: 0x400000n, name: 'entry' },
  ]);
  assert.equal(readSymbolFile(file, 'it', 0x5555_0000_0000n)[0].address, 0x5555_0040_1000n);
});

test('code of a System.map', () => {
  const map = 'ffffffff81000000 T _stext\nffffffff81000040 t helper\nffffffff82000000 D data\nffffffff81000080 W weak\t[module]\n';
  assert.deepEqual(
    readSymbolFile(text(map), 'it', 0n).map(({ name }) => name),
    ['_stext', 'helper', 'weak'],
  );
});

test('what is no symbol file is one sentence', () => {
  const fails = (file: Uint8Array, says: RegExp): void =>
    assert.throws(
      () => readSymbolFile(file, 'The file x', 0n),
      (error) => error instanceof AnilloError && error.code === 'BAD_IMAGE' && says.test(error.message),
    );
  fails(text('hello\n'), /holds no symbols of code/);
  fails(tinyElf([]), /holds no symbols of code/);
  const good = tinyElf([{ name: 'main', type: 2, section: 1, address: 1n, byteCount: 1n }]);
  for (let length = 4; length < good.length - 24; length += 7) fails(good.slice(0, length), /damaged|no symbols/);
  const wild = good.slice();
  wild.fill(0xff, 40, 48);
  fails(wild, /damaged/);
});
