import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MEMORY_TYPE_REGISTERS } from './memory-types.ts';

/** Type of an address as SDM 3A, 12.11.4 has it: fixed ranges first, then an uncacheable variable range, then the default. */
function typeOf(address: number): number {
  const register = (index: number): bigint => {
    const found = MEMORY_TYPE_REGISTERS.find((r) => r.index === index);
    return found === undefined ? 0n : (BigInt(found.high) << 32n) | BigInt(found.low);
  };
  const eighth = (index: number, from: number, bytesEach: number): number =>
    Number((register(index) >> BigInt(8 * Math.floor((address - from) / bytesEach))) & 0xffn);
  if (address < 0x80000) return eighth(0x250, 0, 0x10000);
  if (address < 0xa0000) return eighth(0x258, 0x80000, 0x4000);
  if (address < 0xc0000) return eighth(0x259, 0xa0000, 0x4000);
  if (address < 0x100000) return eighth(0x268 + ((address - 0xc0000) >> 15), address & ~0x7fff, 0x1000);
  const mask = register(0x201) & ~0xfffn;
  if ((BigInt(address) & mask) === (register(0x200) & mask)) return Number(register(0x200) & 0xffn);
  return Number(register(0x2ff) & 0xffn);
}

test('memory is write-back, devices are uncacheable, firmware is write-protected', () => {
  const expected = [
    [0, 6],
    [0x9ffff, 6],
    [0xa0000, 0],
    [0xbffff, 0],
    [0xc0000, 5],
    [0xfffff, 5],
    [0x100000, 6],
    [0xbfffffff, 6],
    [0xc0000000, 0],
    [0xfee00000, 0],
    [0xffffffff, 0],
    [0x100000000, 6],
  ];
  for (const [address, type] of expected) assert.equal(typeOf(address as number), type, (address as number).toString(16));
  assert.equal(MEMORY_TYPE_REGISTERS.at(-1)?.low, 0xc06);
});
