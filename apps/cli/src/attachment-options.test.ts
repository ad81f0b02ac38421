import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AttachmentList, splitSettings } from './attachment-options.ts';
import { qemuAttachments } from './qemu/qemu-attachments.ts';
import { parseQemuOptions } from './qemu/qemu-options.ts';

test('settings are KEY=VALUE, a comma is written twice', () => {
  assert.deepEqual(splitSettings('a,,b=c,d=e,,f,g'), [
    ['a,b', 'c'],
    ['d', 'e,f'],
    ['g', 'on'],
  ]);
});

test('a disk is a drive with a device; with an id it is a drive alone', () => {
  const list = new AttachmentList();
  list.addDisk('a.qcow2,format=qcow2,ro,serial=X');
  list.addDisk('b=c,,d.raw,snapshot=on,id=second');
  assert.deepEqual(list.drives, {
    disk0: { file: 'a.qcow2', format: 'qcow2', readOnly: true },
    second: { file: 'b=c,d.raw', snapshot: true },
  });
  assert.deepEqual(list.devices, [{ model: 'virtio-blk-pci', drive: 'disk0', serial: 'X' }]);
  assert.throws(() => list.addDisk('c,id=second'), /Two disks are called "second"/);
  assert.throws(() => list.addDisk('c,id=third,serial=1'), /give serial to the --device that has drive=third/);
  assert.throws(() => list.addDisk('c,ro=maybe'), /ro=on or ro=off/);
  assert.throws(() => list.addDisk(''), /needs a file/);
});

test('a network with its forwards', () => {
  const list = new AttachmentList();
  list.addNet('user,hostfwd=tcp::2222-:22,hostfwd=udp:127.0.0.1:53-10.0.2.15:5353,mac=02:00:00:00:00:01');
  list.addNet('none');
  const forwards = [
    { protocol: 'tcp', hostPort: 2222, guestPort: 22 },
    { protocol: 'udp', hostAddress: '127.0.0.1', hostPort: 53, guest: '10.0.2.15', guestPort: 5353 },
  ];
  assert.deepEqual(list.netdevs, { net0: { kind: 'user', forwards, isRestricted: undefined } });
  assert.deepEqual(list.devices, [{ model: 'virtio-net-pci', netdev: 'net0', mac: '02:00:00:00:00:01' }]);
  assert.throws(() => list.addNet('bridge'), /takes user or none/);
  assert.throws(() => list.addNet('user,hostfwd=2222-22'), /is no port to forward/);
});

const qemu = (...args: string[]) => qemuAttachments(parseQemuOptions(args));

test("QEMU's words for them", () => {
  const list = qemu(
    ...['-drive', 'file=a.img,if=virtio,format=raw,cache=none,werror=stop', '-drive', 'file=b.img,if=none,id=b,readonly=on'],
    ...['-blockdev', 'driver=qcow2,node-name=c,file.driver=file,file.filename=c.qcow2', '-netdev', 'user,id=n,hostfwd=tcp::1-:2'],
    ...['-nic', 'user,model=virtio-net-pci', '-net', 'nic', '-snapshot'],
  );
  assert.deepEqual(Object.keys(list.drives), ['disk0', 'b', 'c']);
  assert.deepEqual(list.drives.c, { file: 'c.qcow2', format: 'qcow2', readOnly: false, snapshot: true });
  assert.deepEqual(Object.keys(list.netdevs), ['n', 'net1']);
  assert.deepEqual(list.devices, [
    { model: 'virtio-blk-pci', drive: 'disk0', werror: 'stop' },
    { model: 'virtio-net-pci', netdev: 'net1' },
  ]);
  assert.throws(() => qemu('-drive', 'file=a'), /there is no ide bus here; add if=virtio/);
  assert.throws(() => qemu('-drive', 'if=virtio'), /needs file=/);
  assert.throws(() => qemu('-netdev', 'tap,id=t'), /-netdev tap is not there/);
  assert.throws(() => qemu('-nic', 'user,model=e1000'), /no network card e1000/);
  assert.throws(() => qemu('-blockdev', 'driver=raw,node-name=x,throttling=1,filename=f'), /does not take throttling=/);
});
