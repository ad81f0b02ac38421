import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cpuid } from './cpuid.ts';
import { readMsr, writeMsr } from './msr.ts';
import { enterLong, makeBench, RAM_BYTES } from './ram-bench.test.ts';
import { tellStolen } from './steal-time.ts';

const MSR = 0x4b56_4d03;

test('steal time: a record that follows what is told, once it is wanted', () => {
  const { cpu, ram } = enterLong(makeBench());
  const record = (): unknown[] => [ram.getBigUint64(0x2_0040, true), ram.getUint32(0x2_0048, true), ram.getUint32(0x2_004c, true), ram.getUint8(0x2_0050)];
  assert.equal((cpuid(cpu, 0x4000_0001, 0)[0] >> 5) & 1, 1);
  tellStolen(cpu, 1000.7);
  assert.deepEqual(record(), [0n, 0, 0, 0]);
  assert.equal(writeMsr(cpu, MSR, 0x2_0043, 0), false, 'reserved bits');
  assert.equal(writeMsr(cpu, MSR, 0x2_0041, 0), true);
  assert.deepEqual(readMsr(cpu, MSR), { low: 0x2_0041, high: 0 });
  assert.deepEqual(record(), [1000n, 2, 0, 0]);
  tellStolen(cpu, 5e12);
  assert.deepEqual(record(), [5_000_000_000_000n, 4, 0, 0]);
  tellStolen(cpu, 4e12);
  assert.deepEqual(record(), [5_000_000_000_000n, 4, 0, 0], 'it never goes back');
  assert.equal(writeMsr(cpu, MSR, 0x2_0040, 0), true);
  tellStolen(cpu, 6e12);
  assert.deepEqual(record(), [5_000_000_000_000n, 4, 0, 0], 'no longer wanted');
});

test('a record where there is no memory is written nowhere', () => {
  const { cpu } = enterLong(makeBench());
  assert.equal(writeMsr(cpu, MSR, (RAM_BYTES | 1) >>> 0, 0), true);
  assert.equal(writeMsr(cpu, MSR, 1, 0xffff_ffff), true);
  tellStolen(cpu, 1);
});
