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
  assert.deepEqual(list.netdevs, { net0: { kind: 'user', forwards, mac: '02:00:00:00:00:01' } });
  assert.deepEqual(list.devices, [{ model: 'virtio-net-pci', netdev: 'net0' }]);
  assert.throws(() => list.addNet('bridge'), /takes user, switch=PATH/);
  assert.throws(() => list.addNet('user,hostfwd=2222-22'), /is no port to forward/);
});

/** The network of one `--net`, and the device's properties. */
function net(text: string): readonly unknown[] {
  const list = new AttachmentList();
  list.addNet(text);
  const { model: _, netdev: __, ...properties } = list.devices[0] ?? { model: '' };
  return [Object.values(list.netdevs)[0], properties];
}

test('kinds of networks, and what any of them takes', () => {
  assert.deepEqual(net('switch=/run/net,up=8Mbit,down=1.5MB,link=off,pcap=a,,b.pcap,strict=on,queues=2'), [
    { kind: 'switch', path: '/run/net', upLimit: 1e6, downLimit: 1.5e6, isConnected: false, capture: 'a,b.pcap', isStrict: true },
    { queues: '2' },
  ]);
  assert.deepEqual(net('tap=tap0')[0], { kind: 'tap', interfaceName: 'tap0' });
  assert.deepEqual(net('stream=./s,server')[0], { kind: 'stream', place: { path: './s' }, isServer: true });
  assert.deepEqual(net('stream=:99')[0], { kind: 'stream', place: { address: '127.0.0.1', port: 99 }, isServer: false });
  const [local, remote] = [
    { address: '127.0.0.1', port: 1 },
    { address: '::1', port: 2 },
  ];
  assert.deepEqual(net('dgram=:1,to=[::1]:2')[0], { kind: 'dgram', local, remote });
  for (const [text, why] of [
    ['switch', /takes user, switch=PATH/],
    ['user,up=10', /no rate; write for example 10Mbit/],
    ['user,link=up', /link=on or link=off/],
    ['tap=t,hostfwd=tcp::1-:2', /hostfwd= is for user networks/],
    ['dgram=:1', /no address and port/],
    ['stream=x', /no address and port/],
    ['dgram=:1,to=:70000', /no address and port/],
  ] as const)
    assert.throws(() => net(text), why);
});

test("a user network's addresses, and servers that it lends addresses to", () => {
  const [network] = net(
    'user,net=10.9.0.0/255.255.0.0,host=10.9.0.1,dns=10.9.0.2,dhcpstart=10.9.1.0,ipv6=off,guestfwd=tcp:10.9.0.100:80-tcp:127.0.0.1:8080,restrict=on',
  );
  const ipv4 = { prefix: '10.9.0.0/16', gateway: '10.9.0.1', nameServer: '10.9.0.2', firstLease: '10.9.1.0' };
  const guestForwards = [{ address: '10.9.0.100', port: 80, hostAddress: '127.0.0.1', hostPort: 8080 }];
  assert.deepEqual(network, { kind: 'user', ipv4, ipv6: { prefix: false }, guestForwards, isRestricted: true });
  assert.throws(() => net('user,guestfwd=tcp:10.0.2.100:80-cmd:rm'), /is nothing to lead out/);
});

test('rules: what none fits gets the opposite of the last', () => {
  const egress = (text: string) => (net(text)[0] as { egress: unknown }).egress;
  assert.deepEqual(egress('user,deny=10.0.2.2,allow=tcp:*.debian.org:80-443'), {
    rules: [
      { action: 'deny', address: '10.0.2.2' },
      { action: 'allow', name: '*.debian.org', protocol: 'tcp', ports: [80, 443] },
    ],
    otherwise: 'deny',
  });
  assert.deepEqual(egress('user,deny=udp:[fd00::/8]:53,deny=*'), {
    rules: [{ action: 'deny', address: 'fd00::/8', protocol: 'udp', ports: [53, 53] }, { action: 'deny' }],
    otherwise: 'allow',
  });
  const { rules, otherwise } = (net('tap=t,allow=icmp:10.0.0.0/8')[0] as { filter: { rules: unknown[]; otherwise: string } }).filter;
  assert.equal(otherwise, 'deny');
  assert.deepEqual(
    rules.slice(-2).map((rule) => (rule as { protocol: string }).protocol),
    ['icmp', 'icmpv6'],
  );
  assert.throws(() => net('tap=t,allow=example.org'), /A rule by name/);
  for (const wrong of ['user,allow=', 'user,allow=tcp:', 'user,allow=a:b', 'user,allow=[x]', 'user,deny=ftp:a:1'])
    assert.throws(() => net(wrong), { code: 'BAD_OPTION' }, wrong);
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
  assert.throws(() => qemu('-netdev', 'tap,id=t'), /-netdev needs ifname=/);
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

test("QEMU's kinds of networks", () => {
  const netdev = (text: string) => qemu('-netdev', `${text},id=n`).netdevs.n;
  assert.deepEqual(netdev('tap,ifname=tap3,script=no,downscript=no,vhost=off'), { kind: 'tap', interfaceName: 'tap3' });
  const place = { address: '0.0.0.0', port: 1234 };
  assert.deepEqual(netdev('socket,listen=:1234'), { kind: 'stream', place, isServer: true });
  assert.deepEqual(netdev('socket,connect=0.0.0.0:1234'), { kind: 'stream', place });
  const dgram = { kind: 'dgram', local: place, remote: { address: '127.0.0.1', port: 9 } };
  assert.deepEqual(netdev('socket,udp=127.0.0.1:9,localaddr=:1234'), dgram);
  assert.deepEqual(
    netdev('dgram,local.type=inet,local.host=0.0.0.0,local.port=1234,remote.type=inet,remote.host=127.0.0.1,remote.port=9'),
    dgram,
  );
  assert.deepEqual(netdev('stream,server=on,addr.type=unix,addr.path=/s'), { kind: 'stream', place: { path: '/s' }, isServer: true });
  assert.deepEqual(netdev('stream,addr.type=inet,addr.host=0.0.0.0,addr.port=1234'), { kind: 'stream', place, isServer: false });
  assert.deepEqual(netdev('user,net=10.1.0.0/24,ipv6=off'), { kind: 'user', ipv4: { prefix: '10.1.0.0/24' }, ipv6: { prefix: false } });
  const dumped = qemu('-netdev', 'user,id=n', '-object', 'filter-dump,id=f,netdev=n,file=a.pcap,maxlen=65536');
  assert.deepEqual(dumped.netdevs.n, { kind: 'user', capture: 'a.pcap' });
  for (const [text, why] of [
    ['socket,mcast=230.0.0.1:1', /takes listen=, connect= or udp=/],
    ['vde', /-netdev vde is not there; use user, tap/],
    ['user,tftp=/x', /does not take tftp= here/],
    ['stream,addr.type=fd,addr.str=3', /type=fd is not there/],
  ] as const)
    assert.throws(() => netdev(text), why);
  assert.throws(() => qemu('-object', 'filter-dump,netdev=x,file=y'), /there is no -netdev "x"/);
  assert.throws(() => qemu('-object', 'secret,id=s'), /-object secret is not there/);
});
