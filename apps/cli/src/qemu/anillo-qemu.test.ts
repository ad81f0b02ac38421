import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deviceHelp, deviceList, parseDevice } from '../device-options.ts';
import { anilloQemu } from './anillo-qemu.ts';
import { parseQemuCpu } from './qemu-cpu.ts';
import { parseQemuOptions } from './qemu-options.ts';

test('the line of the runner of kvm-unit-tests is understood', () => {
  const line =
    '-nodefaults -global kvm-pit.lost_tick_policy=discard -device pc-testdev -device isa-debug-exit,iobase=0xf4,iosize=0x4 -vnc none -serial stdio -kernel x.flat -smp 1 -cpu max,+x2apic';
  const values = parseQemuOptions([...line.split(' '), '--no-reboot']);
  assert.deepEqual(values.device, ['pc-testdev', 'isa-debug-exit,iobase=0xf4,iosize=0x4']);
  assert.deepEqual([values.kernel, values['no-reboot'], values.machine], [['x.flat'], [''], []]);
  assert.deepEqual(parseDevice(values.device[1]), { model: 'isa-debug-exit', iobase: '0xf4', iosize: '0x4' });
  assert.deepEqual(parseDevice(values.device[0]), { model: 'pc-testdev' });
});

test('the list of devices is in the form that scripts search', () => {
  assert.match(deviceList(), /^name "isa-debug-exit", bus ISA, /m);
  assert.match(deviceList(), /^name "pc-testdev", bus ISA, /m);
  assert.equal(deviceHelp(['edu', '?']), deviceList());
  assert.match(deviceHelp(['intel-iommu,help']) ?? '', /^ {2}aw-bits=<one of 39, 48> - .*\(default: 39\)$/m);
  assert.equal(deviceHelp(['edu']), undefined);
});

test('CPU models and features', () => {
  assert.equal(parseQemuCpu('max'), 'max');
  assert.equal(parseQemuCpu('qemu64,+x2apic,-umip,pcid=on,sha=off,-warp,host-phys-bits,model-id=x'), 'x86-64-v1,+x2apic,-umip,+pcid,-sha');
  assert.equal(parseQemuCpu('max,vendor=AuthenticAMD'), 'max,vendor=AuthenticAMD');
  assert.throws(() => parseQemuCpu('max,+warp'), /no CPU feature warp; leave "\+warp" out/);
  assert.throws(() => parseQemuCpu('max,vmx=on'), /no CPU feature vmx/);
  assert.throws(() => parseQemuCpu('max,avx=yes'), /does not take "avx=yes"/);
  assert.throws(() => parseQemuCpu('max,vendor=Cyrix'), /vendor is GenuineIntel or AuthenticAMD, not "Cyrix"/);
  assert.throws(() => parseQemuCpu('EPYC-Rome-v9'), /no CPU model "EPYC-Rome-v9"/);
});

test('what is not known is refused by name', async () => {
  const refused = (message: RegExp, ...args: string[]): Promise<void> => assert.rejects(anilloQemu(args), { name: 'AnilloError', message });
  await refused(/no option -kernal; did you mean -kernel\?/, '-kernal', 'x');
  await refused(/disk image \("disk.img"\)/, 'disk.img');
  await refused(/-kernel needs a value/, '-kernel');
  await refused(/1 to 8 CPUs, not 9/, '-smp', '9', '-kernel', 'x');
  await refused(/no accelerator kvm here/, '-accel', 'kvm', '-kernel', 'x');
  await refused(/no machine "virt"/, '-machine', 'virt', '-kernel', 'x');
  await refused(/-display gtk: this version/, '-display', 'gtk', '-kernel', 'x');
  await refused(/no device "virtio-net"/, '-device', 'virtio-net', '-kernel', 'x');
  await refused(/isa-debug-exit has no property "iosise"; it has iobase, iosize/, '-device', 'isa-debug-exit,iosise=4', '-kernel', 'x');
  await refused(/could not open kernel file 'no-such-kernel'/, '-kernel', 'no-such-kernel');
  await refused(/-serial takes/, '-serial', 'tcp::99', '-kernel', import.meta.filename);
});
