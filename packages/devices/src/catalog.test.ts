import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CATALOG, checkDevice, createDevice, findDevice } from './catalog.ts';
import { type DeviceDeclaration, parseProperties } from './device-declaration.ts';
import { PciRig } from './testing/pci-rig.ts';

/** The one that the rig has for it. */
const backendOf = ({ properties: declared }: DeviceDeclaration): Record<string, string> =>
  Object.fromEntries(
    Object.entries(declared)
      .flatMap(([key, p]) => (p.kind === 'backend' ? [[key, p.of === 'drive' ? 'disk' : p.of]] : []))
      .slice(0, 1),
  );

for (const declaration of CATALOG) {
  test(`${declaration.name} is made with its defaults, saves what it restores, and resets`, () => {
    const rig = new PciRig();
    const device = createDevice({ model: declaration.name, ...backendOf(declaration) }, rig.context);
    device.restore(device.save());
    device.reset();
    assert.ok((device.ports?.length ?? 0) + (device.mmio?.length ?? 0) + rig.bus.numbers.length > 0);
    assert.equal(findDevice(declaration.name), declaration);
  });
}

const properties = (model: string, given: Record<string, string | number | boolean>) => {
  const declaration = findDevice(model);
  assert.ok(declaration);
  return parseProperties(declaration, given);
};

test('numbers: hexadecimal or as they are; unknown properties and bad values are refused with a sentence', () => {
  assert.deepEqual(properties('isa-debug-exit', { iobase: '0xf4', iosize: 4 }), { iobase: 0xf4, iosize: 4 });
  assert.throws(() => properties('isa-debug-exit', { base: 1 }), /has no property "base"; it has iobase, iosize\.$/);
  assert.throws(() => properties('pc-testdev', { base: 1 }), /has no property "base"; it has none\.$/);
  for (const bad of ['', 'x', '-1', '9', '1e0', 2.5, true])
    assert.throws(() => properties('isa-debug-exit', { iosize: bad }), /iosize of device isa-debug-exit takes a number from 1 to 4, not/);
});

test('switches, choices and PCI addresses', () => {
  const defaults = { intremap: true, eim: 'auto', 'caching-mode': false, 'aw-bits': '39' };
  assert.deepEqual(properties('intel-iommu', {}), defaults);
  assert.deepEqual(properties('intel-iommu', { intremap: 'off', 'aw-bits': 48 }), { ...defaults, intremap: false, 'aw-bits': '48' });
  assert.throws(() => properties('intel-iommu', { intremap: 'yes' }), /takes on or off, not "yes"/);
  assert.throws(() => properties('intel-iommu', { 'aw-bits': '40' }), /takes one of 39, 48, not "40"/);
  assert.equal(properties('edu', {}).addr, undefined);
  assert.equal(properties('edu', { addr: '0x1f.3' }).addr, 0xfb);
  assert.equal(properties('edu', { addr: 'a' }).addr, 0x50);
  for (const bad of ['20', '1.8', '', '1.']) assert.throws(() => properties('edu', { addr: bad }), /takes an address from 0x0 to 0x1f\.7/);
});

test('a device that there is not, a place that is taken, and an IOMMU without a place or a second switch', () => {
  const rig = new PciRig();
  assert.throws(() => checkDevice({ model: 'floppy' }), /no device "floppy"; the devices are .*edu/);
  assert.throws(() => checkDevice({ model: 'edu', dma_mask: 'all' }), /dma_mask/);
  createDevice({ model: 'edu', addr: '3' }, rig.context);
  assert.throws(
    () => createDevice({ model: 'edu', addr: '3' }, rig.context),
    /PCI address 0x3\.0 is taken; give the device another one with addr=/,
  );
  for (let free = 2; free < 32; free++) if (free !== 3) createDevice({ model: 'edu' }, rig.context);
  assert.throws(() => createDevice({ model: 'edu' }, rig.context), /PCI bus pcie\.0 is full/);
  assert.throws(() => createDevice({ model: 'intel-iommu' }, { ...rig.context, iommu: undefined }), /choose the machine q35/);
  assert.throws(
    () => createDevice({ model: 'intel-iommu', intremap: 'off', eim: 'on' }, rig.context),
    /eim=on without interrupt remapping/,
  );
});
