import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeviceRig } from '../testing/device-rig.ts';
import { IsaDebugExit } from './isa-debug-exit.ts';

test('a write of any width ends with (value << 1) | 1', () => {
  const rig = new DeviceRig();
  rig.plug(new IsaDebugExit({ control: rig.control, iobase: 0xf4, iosize: 4 }));
  rig.io.write(0xf4, 4, 0);
  rig.io.write(0xf4, 1, 1);
  rig.io.write(0xf6, 2, 0x81);
  assert.deepEqual(rig.control.log, ['exit 1', 'exit 3', 'exit 3']);
  assert.equal(rig.in8(0xf4), 0);
});
