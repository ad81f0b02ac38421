import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memoryTypeRegisters } from './memory-types.ts';

/** Type of an address as SDM 3A, 12.11.4 has it: fixed ranges first, then an uncacheable variable range, then the default. */
function typeOf(registers: ReturnType<typeof memoryTypeRegisters>, address: number): number {
  const register = (index: number): bigint => {
    const found = registers.find((r) => r.index === index);
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

for (const hole of [0xc0000000, 0x80000000]) {
  test(`memory is write-back, devices from 0x${hole.toString(16)} on are uncacheable, firmware is write-protected`, () => {
    const registers = memoryTypeRegisters(hole);
    const expected = [
      [0, 6],
      [0x9ffff, 6],
      [0xa0000, 0],
      [0xbffff, 0],
      [0xc0000, 5],
      [0xfffff, 5],
      [0x100000, 6],
      [hole - 1, 6],
      [hole, 0],
      [0xfee00000, 0],
      [0xffffffff, 0],
      [0x100000000, 6],
    ];
    for (const [address, type] of expected) assert.equal(typeOf(registers, address), type, address.toString(16));
    assert.equal(registers.at(-1)?.low, 0xc06);
  });
}
