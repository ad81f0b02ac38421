import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SymbolTable } from './symbol-table.ts';

test('finds the symbol that an address is in', () => {
  const table = new SymbolTable([
    { address: 0xffff_ffff_8100_0000n, name: 'start' },
    { address: 0x2000n, name: 'two', byteCount: 0x10 },
    { address: 0x1000n, name: 'one' },
  ]);
  assert.equal(table.find(0xfffn), undefined);
  assert.deepEqual(table.find(0x1000n), { name: 'one', offset: 0 });
  assert.deepEqual(table.find(0x1fffn), { name: 'one', offset: 0xfff });
  assert.deepEqual(table.find(0x200fn), { name: 'two', offset: 15 });
  assert.equal(table.find(0x2010n), undefined);
  assert.deepEqual(table.find(0xffff_ffff_8100_0123n), { name: 'start', offset: 0x123 });
  assert.equal(table.find(0xffff_ffff_c000_0000n), undefined);
  assert.equal(new SymbolTable([]).find(0n), undefined);
});
