import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gpa } from '@anillo/base/gpa';
import { RegionMemory } from '@anillo/memory/region-memory';
import { CATALOG, findDevice } from './catalog.ts';
import { parseOptions } from './device-declaration.ts';
import { DeviceRig } from './testing/device-rig.ts';

const rig = new DeviceRig();
const memory = new RegionMemory(new ArrayBuffer(4096), [{ start: gpa(0), byteCount: 4096, offset: 0, kind: 'ram' }]);

for (const declaration of CATALOG) {
  test(`${declaration.name} is made with its defaults, saves what it restores, and resets`, () => {
    const device = declaration.create(
      { clock: rig.clock, memory, control: rig.control, irq: rig.irq },
      parseOptions(declaration, {}),
      undefined,
    );
    device.restore(device.save());
    device.reset();
    assert.ok((device.ports?.length ?? 0) > 0);
    assert.equal(findDevice(declaration.name), declaration);
  });
}

test('options: hexadecimal, unknown ones and bad values are refused with a sentence', () => {
  const device = CATALOG.find((d) => d.name === 'isa-debug-exit');
  assert.ok(device);
  assert.deepEqual(parseOptions(device, { iobase: '0xf4', iosize: '4' }), { iobase: 0xf4, iosize: 4 });
  assert.throws(() => parseOptions(device, { base: '1' }), /has no option base; it has: iobase, iosize/);
  for (const bad of ['', 'x', '-1', '9', '1e0']) assert.throws(() => parseOptions(device, { iosize: bad }), /must be a number from 1 to 4/);
});
