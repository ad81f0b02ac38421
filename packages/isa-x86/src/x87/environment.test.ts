// The four formats of the environment image, FNSAVE and FRSTOR, the FXSAVE image, and pending exceptions.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CR0 } from '../mode.ts';
import { VECTOR } from '../state.ts';
import { ENVIRONMENT, IMAGE_FORMAT } from './environment.ts';
import { readX87Image, writeX87Image } from './fxsave-image.ts';
import { push, statusWord } from './fpu.ts';
import { bareContext } from './replay.ts';

const AT = 0x12000;
const ONE = 0x3fff_8000_0000_0000_0000n;

function context() {
  const cpu = bareContext();
  cpu.view.cr0 = BigInt(CR0.NE);
  ENVIRONMENT.x87Initialize(cpu);
  push(cpu, ONE);
  push(cpu, 0n);
  push(cpu, ONE << 1n);
  cpu.view.fpuIp = 0x4321n;
  cpu.view.fpuDp = 0xfff0n;
  cpu.view.fpuCs = 0x9000;
  cpu.view.fpuDs = 0x1234;
  cpu.view.fpuOpcode = 0x5a5;
  cpu.view.x[0] = AT & 0xff;
  cpu.view.x[1] = AT >> 8;
  cpu.view.x[2] = AT >> 16;
  return cpu;
}

const words = (cpu: ReturnType<typeof context>, count: number): number[] => Array.from({ length: count }, (_, i) => cpu.data.getUint16(AT + 2 * i, true));

test('16-bit protected-mode environment', () => {
  const cpu = context();
  assert.equal(ENVIRONMENT.x87StoreEnvironment(cpu, IMAGE_FORMAT.PROTECTED), 0);
  assert.deepEqual(words(cpu, 7), [0x37f, 0x2800, 0x1bff, 0x4321, 0x9000, 0xfff0, 0x1234]);
});

test('16-bit real-mode environment', () => {
  const cpu = context();
  assert.equal(ENVIRONMENT.x87StoreEnvironment(cpu, 0), 0);
  // 0x90000 + 0x4321; 0x12340 + 0xfff0.
  assert.deepEqual(words(cpu, 7), [0x37f, 0x2800, 0x1bff, 0x4321, 0x95a5, 0x2330, 0x2000]);
});

test('32-bit real-mode environment', () => {
  const cpu = context();
  assert.equal(ENVIRONMENT.x87StoreEnvironment(cpu, IMAGE_FORMAT.WIDE), 0);
  assert.deepEqual(words(cpu, 14).slice(6), [0x4321, 0xffff, 0x95a5, 0, 0x2330, 0xffff, 0x2000, 0]);
  ENVIRONMENT.x87Initialize(cpu);
  assert.equal(ENVIRONMENT.x87LoadEnvironment(cpu, IMAGE_FORMAT.WIDE), 0);
  assert.equal(cpu.view.fpuIp, 0x94321n);
  assert.equal(cpu.view.fpuDp, 0x22330n);
  assert.equal(cpu.view.fpuOpcode, 0x5a5);
  assert.equal(cpu.view.fpuTags, 0xe0);
});

test('FNSAVE initialises, FRSTOR brings everything back', () => {
  for (let format = 0; format < 4; format++) {
    const cpu = context();
    const before = [...cpu.view.fpuMantissa, cpu.view.fpuTags, statusWord(cpu)];
    ENVIRONMENT.x87Save(cpu, format);
    assert.equal(cpu.view.fpuTags, 0);
    cpu.view.fpuMantissa.fill(7n);
    ENVIRONMENT.x87Restore(cpu, format);
    assert.deepEqual([...cpu.view.fpuMantissa, cpu.view.fpuTags, statusWord(cpu)], before);
  }
});

test('FXSAVE image', () => {
  for (const wide of [false, true]) {
    const cpu = context();
    cpu.view.fpuIp = wide ? 0xffff_ffff_8100_0000n : 0x8100_0000n;
    const words = new Uint32Array(160);
    writeX87Image(cpu, words, 32, wide);
    const image = new DataView(words.buffer, 128);
    assert.equal(image.getUint8(4), 0xe0);
    assert.equal(image.getBigUint64(32 + 32, true), 1n << 63n);
    const copy = bareContext();
    readX87Image(copy, words, 32, wide);
    assert.deepEqual([copy.view.fpuIp, copy.view.fpuTags, statusWord(copy), copy.view.fpuCs], [cpu.view.fpuIp, 0xe0, 0x2800, wide ? 0 : 0x9000]);
    assert.deepEqual([...copy.view.fpuMantissa], [...cpu.view.fpuMantissa]);
  }
});

test('a pending exception is #MF, or FERR# where CR0.NE is 0', () => {
  const cpu = context();
  cpu.view.fpuStatus |= 1;
  cpu.view.x.set([0x7e, 3]);
  ENVIRONMENT.x87LoadControl(cpu);
  assert.equal(cpu.view.fpuStatus & 0x8080, 0x8080);
  assert.equal(ENVIRONMENT.x87Pending(cpu), 1);
  assert.equal(cpu.view.faultVector, VECTOR.MF);
  cpu.view.cr0 = 0n;
  assert.equal(ENVIRONMENT.x87Pending(cpu), 0);
  assert.equal(cpu.view.ferr, 1);
  ENVIRONMENT.x87ClearExceptions(cpu);
  assert.equal(cpu.view.ferr, 0);
  assert.equal(cpu.view.fpuStatus & 0x80ff, 0);
});
