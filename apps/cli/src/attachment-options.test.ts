import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AttachmentList, splitSettings } from './attachment-options.ts';
import { qemuAttachments, qemuDevices } from './qemu/qemu-attachments.ts';
import { parseQemuOptions } from './qemu/qemu-options.ts';
import { parseScreenshot } from './screenshot.ts';

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

test('a vsock is sockets with a device; with an id it is sockets alone', () => {
  const list = new AttachmentList();
  list.addVsock('--vsock', splitSettings('cid=5,path=/run/a,,b.sock,packed=on'));
  list.addVsock('--vsock', splitSettings('path=c,id=second'));
  assert.deepEqual(list.vsocks, { vsock0: '/run/a,b.sock', second: 'c' });
  assert.deepEqual(list.devices, [{ model: 'virtio-vsock-pci', sockets: 'vsock0', 'guest-cid': '5', packed: 'on' }]);
  assert.throws(() => list.addVsock('--vsock', splitSettings('cid=5')), /--vsock takes .*cid=3,path=PATH/);
  assert.throws(() => list.addVsock('--vsock', splitSettings('path=c,cid=5,id=x')), /--vsock takes/);
  assert.throws(() => list.addVsock('--vsock', splitSettings('path=c,id=second')), /Two vsocks are called "second"/);
  assert.throws(() => list.addVsock('--vsock', splitSettings('path=c,id=d,packed=on')), /give packed to the --device that has sockets=d/);
});

test("QEMU's vsock, with a path", () => {
  const values = parseQemuOptions(['-device', 'vhost-vsock-pci,id=v,guest-cid=7,path=/run/v', '-device', 'virtio-rng-pci']);
  const list = qemuAttachments(values);
  assert.deepEqual(qemuDevices(list, values), ['virtio-rng-pci']);
  assert.deepEqual(list.devices, [{ model: 'virtio-vsock-pci', sockets: 'vsock0', 'guest-cid': '7' }]);
  const without = parseQemuOptions(['-device', 'vhost-vsock-pci,guest-cid=7']);
  assert.throws(() => qemuDevices(qemuAttachments(without), without), /-device vhost-vsock-pci needs path=/);
});

test('a picture goes to a file, and has a size', () => {
  assert.deepEqual(parseScreenshot('a=b.png,size=640x480'), { path: 'a=b.png', size: { width: 640, height: 480 } });
  assert.deepEqual(parseScreenshot('x.png').size, { width: 1280, height: 800 });
  for (const bad of ['', 'x,size=1x1', 'x,size=99999x1', 'x,depth=8'])
    assert.throws(() => parseScreenshot(bad), /--screenshot takes a file/);
});
