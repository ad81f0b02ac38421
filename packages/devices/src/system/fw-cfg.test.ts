import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gpa } from '@anillo/base/gpa';
import { RegionMemory } from '@anillo/memory/region-memory';
import { DeviceRig } from '../testing/device-rig.ts';
import { FW_CFG_KEYS, FwCfg } from './fw-cfg.ts';

const RAM_BYTES = 0x40000;
const big32 = (value: number) => [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
const text = (bytes: Uint8Array) => String.fromCharCode(...bytes);

class Rig extends DeviceRig {
  readonly ram = new RegionMemory(new ArrayBuffer(RAM_BYTES), [{ start: gpa(0), byteCount: RAM_BYTES, offset: 0, kind: 'ram' }]);
  readonly fwCfg = this.plug(new FwCfg({ memory: this.ram }));

  select(key: number): void {
    this.io.write(0x510, 2, key);
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.in8(0x511));
  }

  /** Runs a DMA command at 0x100; its control word afterwards, big-endian as in memory. */
  dma(control: number, length: number, address: number): Uint8Array {
    this.ram.write(gpa(0x100), Uint8Array.from([...big32(control), ...big32(length), ...big32(0), ...big32(address)]));
    this.io.write(0x514, 4, 0);
    this.io.write(0x518, 4, 0x00010000);
    return this.ram.read(gpa(0x100), 4);
  }
}

test('signature, features, numbers; beyond the end zeros', () => {
  const rig = new Rig();
  rig.select(0);
  assert.equal(text(rig.bytes(4)), 'QEMU');
  assert.equal(rig.in8(0x511), 0);
  rig.select(1);
  assert.deepEqual([...rig.bytes(4)], [3, 0, 0, 0]);
  rig.fwCfg.setNumber(FW_CFG_KEYS.ramBytes, 0x1_2345_6789, 8);
  rig.select(3);
  assert.deepEqual([...rig.bytes(8)], [0x89, 0x67, 0x45, 0x23, 1, 0, 0, 0]);
  rig.select(0x7777);
  assert.equal(rig.in8(0x511), 0);
});

test('directory: sorted, big-endian, selectors lead to the files', () => {
  const rig = new Rig();
  rig.fwCfg.add('etc/zeta', Uint8Array.of(9, 8));
  rig.fwCfg.add('bootorder', Uint8Array.of(1, 2, 3));
  rig.fwCfg.add('etc/zeta', Uint8Array.of(7));
  rig.select(0x19);
  assert.deepEqual([...rig.bytes(4)], big32(2));
  const first = rig.bytes(64);
  assert.deepEqual([...first.subarray(0, 8)], [...big32(3), 0, 0x21, 0, 0]);
  assert.equal(text(first.subarray(8, 18)), 'bootorder\0');
  const second = rig.bytes(64);
  assert.deepEqual([...second.subarray(0, 6)], [...big32(1), 0, 0x20]);
  rig.select(0x20);
  assert.equal(rig.in8(0x511), 7);
});

test('DMA: signature, select and read, skip, errors', () => {
  const rig = new Rig();
  assert.equal(rig.io.read(0x514, 4), 0x554d4551);
  rig.fwCfg.add(
    'file',
    Uint8Array.from({ length: 100000 }, (_, i) => i % 251),
  );
  assert.deepEqual([...rig.dma((0x20 << 16) | 8 | 2, 80000, 0x1000)], [0, 0, 0, 0]);
  assert.deepEqual([...rig.ram.read(gpa(0x1000 + 79999), 2)], [79999 % 251, 0]);
  rig.dma(4, 10, 0);
  rig.dma(2, 1, 0x200);
  assert.equal(rig.ram.read8(gpa(0x200)), 80010 % 251);
  assert.deepEqual([...rig.dma(16, 1, 0x200)], [0, 0, 0, 1], 'items cannot be written');
});

test('hostile DMA: 4 GiB long, outside memory', () => {
  const rig = new Rig();
  rig.dma((0 << 16) | 8 | 2, 0xffffffff, 0x8000);
  assert.equal(text(rig.ram.read(gpa(0x8000), 4)), 'QEMU');
  rig.dma(2, 0xffffffff, 0xf0000000);
  rig.io.write(0x514, 4, 0xffffffff);
  rig.io.write(0x518, 4, 0xffffffff);
});

test('only a 16-bit write at the selector selects; a read that ran out of memory still advances', () => {
  const rig = new Rig();
  rig.select(0);
  rig.in8(0x511);
  rig.io.write(0x510, 1, 0);
  rig.io.write(0x512, 2, 0);
  assert.equal(rig.in8(0x511), 0x45);
  rig.dma(8 | 2, 2, 0xf0000000);
  assert.equal(text(rig.bytes(2)), 'MU');
});
