import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Machine } from 'anillo';
import { markedWork } from './marks.ts';
import { spinFirmware } from './spin-firmware.ts';

/** What the program computes, once more. */
function expectedCheck(turns: number): string {
  const words = new Uint32Array(64);
  let sum = 0;
  for (let turn = turns; turn > 0; turn--) {
    words.forEach((word, index) => {
      const mixed = (word + (64 - index) * 4) >>> 0;
      const value = ((word ^ ((mixed << 7) | (mixed >>> 25))) + turn) >>> 0;
      words[index] = value;
      if ((value & 1) !== 0) sum = (sum + value) >>> 0;
    });
  }
  const digits = sum.toString(16).padStart(8, '0');
  return Array.from(digits, (digit) => String.fromCharCode(65 + Number.parseInt(digit, 16))).join('');
}

test('the firmware says its marks and the right result, and ends the machine', async () => {
  await using machine = await Machine.create({
    bios: spinFirmware(40),
    memory: '16M',
    devices: [{ model: 'isa-debug-exit', iobase: 0xf4, iosize: 4 }],
    accel: 'interp',
  });
  machine.start();
  const text = await machine.serial.waitForOutput(/spin - \w{8}\n/);
  const { reason, status } = await machine.waitForExit();
  assert.deepEqual([reason, status], ['debug-exit', 1]);
  const lines = text.split(/\r?\n/).map((line, index) => ({ atMs: index, cpuSeconds: 0, text: line }));
  assert.equal(markedWork(lines, 'spin').check, expectedCheck(40));
});
