import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { AnilloError } from '@anillo/base/anillo-error';
import type { BlockBackend } from '@anillo/devices/virtio/block-backend';
import { tinyBzImage } from '@anillo/machine/boot/tiny-images';
import { type Script, scriptedAccelerator } from '@anillo/machine/scripted-accelerator';
import { Machine, type MachineOptions } from './machine.ts';

const folder = mkdtempSync(join(tmpdir(), 'anillo-hot-plug-'));
after(() => rmSync(folder, { recursive: true }));
const image = join(folder, 'disk.img');
writeFileSync(image, new Uint8Array(65536));

const isError =
  (code: string, says: RegExp) =>
  (e: unknown): boolean => {
    assert.ok(e instanceof AnilloError, String(e));
    assert.equal(e.code, code);
    assert.match(e.message, says);
    return true;
  };

/** A guest with ACPI that takes what comes, and lets go of what it is asked for as long as `obeys` says so. */
const guest =
  (obeys: () => boolean): Script =>
  ({ ports, sliceCount }) => {
    if (sliceCount === 1) {
      ports.writePort(0xb2, 1, 0xf1);
      ports.writePort(0x622, 2, 2);
    }
    ports.writePort(0x620, 2, 2);
    const changed = ports.readPort(0xae00, 4);
    const wanted = ports.readPort(0xae04, 4);
    for (let device = 0; device < 32; device++) {
      if ((changed & (1 << device)) === 0) continue;
      ports.writePort(0xcf8, 4, (0x80000004 | (device << 11)) >>> 0);
      if ((ports.readPort(0xcfc, 4) & 0xffff) !== 0xffff) ports.writePort(0xcfc, 2, 6);
    }
    if (obeys() && wanted !== 0) ports.writePort(0xae08, 4, wanted);
    return { kind: 'halted' };
  };

const make = (script: Script, options: Partial<MachineOptions> = {}): Promise<Machine> =>
  Machine.create({ kernel: tinyBzImage(), memory: 32, serial: 'none', ...options }, scriptedAccelerator(script));

/** A disk of one's own that counts. */
function ownDisk(): BlockBackend & { closes: number } {
  const nothing = async (): Promise<void> => {};
  const none = { read: nothing, write: nothing, writeZeroes: nothing, discard: nothing, flush: nothing };
  return { ...none, byteCount: 512, isReadOnly: false, closes: 0 };
}

test('a disk and a network come and go; the file is open as long as the device is there', { timeout: 60_000 }, async () => {
  const gone: string[] = [];
  await using machine = await make(
    guest(() => true),
    { onDetached: (id) => gone.push(id) },
  );
  machine.start();
  for (let round = 0; round < 3; round++) {
    const disk = await machine.attach({ disk: image }, { properties: { serial: 'x' } });
    assert.deepEqual(disk, { id: 'disk0', isTaken: true });
    await assert.rejects(machine.attach({ disk: image }), isError('FILE', /in use|lock/i));
    const network = await machine.attach({ network: 'user' }, { id: 'lan' });
    assert.deepEqual(network, { id: 'lan', isTaken: true });
    await machine.detach('disk0');
    await machine.detach('lan');
    assert.deepEqual(gone.splice(0), ['disk0', 'lan']);
  }
});

test('disks given at the start leave with their devices; named ones stay until they are closed', { timeout: 60_000 }, async () => {
  const own = ownDisk();
  await using machine = await make(
    guest(() => true),
    {
      disks: [image],
      drives: { data: own },
      devices: [
        { model: 'virtio-blk-pci', drive: 'data', id: 'd' },
        { model: 'virtio-rng-pci', id: 'net0' },
      ],
      networks: ['user'],
    },
  );
  machine.start();
  await assert.rejects(machine.hotPlug.remove('drive', 'data'), isError('STATE', /attached to a device; detach that first/));
  await machine.detach('net0'); // another device's id, not the network's
  await machine.detach('device1');
  await machine.hotPlug.addNetwork('net0', 'user');
  await machine.detach('disk0');
  await machine.hotPlug.addDrive('again', image);
  await assert.rejects(machine.hotPlug.addDrive('again', image), isError('BAD_OPTION', /a drive "again" already/));
  await machine.detach('d');
  assert.deepEqual(await machine.attach({ device: { model: 'virtio-blk-pci', drive: 'data' } }), { id: 'data', isTaken: true });
  await machine.detach('data');
  await machine.hotPlug.remove('drive', 'data');
  await assert.rejects(machine.attach({ device: { model: 'virtio-blk-pci', drive: 'data' } }), isError('BAD_OPTION', /no drive "data"/));
  await machine.hotPlug.remove('drive', 'again');
  await assert.rejects(machine.hotPlug.remove('drive', 'again'), isError('BAD_OPTION', /no drive "again"/));
});

test('a guest that does not answer: the device stays, and is pulled out by force', { timeout: 60_000 }, async () => {
  let obeys = false;
  await using machine = await make(guest(() => obeys));
  machine.start();
  const { id } = await machine.attach({ disk: image });
  await assert.rejects(machine.detach(id, { timeoutMs: 30 }), isError('STATE', /has not let go of "disk0" within 0\.03 s/));
  await machine.detach(id, { timeoutMs: 30, force: true });
  await machine.attach({ disk: image });
  await machine.detach(id, { timeoutMs: 0, force: true });
  await machine.attach({ disk: image });
  obeys = true;
  await machine.detach(id);
});

test('a guest without a driver; a machine that has stopped', { timeout: 60_000 }, async () => {
  await using machine = await make(() => ({ kind: 'halted' }));
  machine.start();
  assert.deepEqual(await machine.attach({ disk: image }, { timeoutMs: 20 }), { id: 'disk0', isTaken: false });
  const leaving = assert.rejects(machine.detach('disk0'), isError('STATE', /stopped before the guest let go/));
  await machine.stop();
  await leaving;
  await assert.rejects(machine.detach('disk0'), isError('STATE', /has stopped/));
  await assert.rejects(machine.attach({ disk: image }), isError('STATE', /has stopped/));
});

test('what cannot be attached leaves nothing open', { timeout: 60_000 }, async () => {
  await using machine = await make(guest(() => true));
  machine.start();
  const bad = { properties: { addr: '1' } };
  await assert.rejects(machine.attach({ disk: image }, bad), isError('BAD_OPTION', /is taken/));
  await assert.rejects(machine.attach({ disk: join(folder, 'none') }), isError('FILE', /none/));
  await assert.rejects(machine.attach({ device: { model: 'isa-serial' } }), isError('UNSUPPORTED', /cannot be added while/));
  assert.deepEqual(await machine.attach({ disk: image }), { id: 'disk0', isTaken: true });
});
