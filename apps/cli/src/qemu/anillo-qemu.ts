// `anillo-qemu`: Anillo behind the command line of qemu-system-x86_64 (and -i386), for scripts that were written for it.

import { existsSync } from 'node:fs';
import { AnilloError } from '@anillo/base/anillo-error';
import { checkMachineOptions } from 'anillo';
import { deviceHelp, parseDevice } from '../device-options.ts';
import { runSession } from '../machine-session.ts';
import { parseQmpAddress } from '../qmp/qmp-server.ts';
import { VERSION } from '../version.ts';
import { qemuAttachments, qemuDevices } from './qemu-attachments.ts';
import { parseQemuCpu } from './qemu-cpu.ts';
import { parseQemuOptions, QEMU_OPTIONS, type QemuValues } from './qemu-options.ts';

const ACCELERATORS: Readonly<Record<string, 'auto' | 'jit' | 'interp'>> = { tcg: 'auto', auto: 'auto', jit: 'jit', interp: 'interp' };
/** QEMU's machines, also with a version after them ("pc-q35-7.2"), and what stands for them here. */
const MACHINES: readonly (readonly [prefix: string, machine: string])[] = [
  ['pc-q35', 'q35'],
  ['q35', 'q35'],
  ['pc', 'pc'],
];

const last = (values: readonly string[]): string | undefined => values.at(-1);

/** `SIZE`, `size=SIZE`; a bare number is in MiB. */
function memorySize(text: string): string | number {
  const size = text.split(',')[0].replace(/^size=/, '');
  return /^\d+$/.test(size) ? Number(size) : size;
}

function cpuCount(text: string): number {
  const count = /^(?:cpus=)?(\d+)/.exec(text)?.[1];
  if (count === undefined || Number(count) < 1) throw new AnilloError('BAD_OPTION', `-smp takes a number of CPUs, not "${text}".`);
  return Number(count);
}

function acceleratorOf(values: QemuValues): 'auto' | 'jit' | 'interp' | undefined {
  const fromMachine = [...values.machine, ...values.M].flatMap((text) => /(?:^|,)accel=([^,]*)/.exec(text)?.[1] ?? []);
  const wanted = last([...fromMachine, ...values.accel]);
  if (wanted === undefined) return undefined;
  // "kvm:tcg" and "-accel tcg,thread=single": the first that is to be had, without its settings.
  const names = wanted.split(',')[0].split(':');
  const name = names.find((candidate) => Object.hasOwn(ACCELERATORS, candidate));
  if (name === undefined) throw new AnilloError('UNSUPPORTED', `There is no accelerator ${names.join(' or ')} here; use -accel tcg.`);
  return ACCELERATORS[name];
}

/** `NAME[,setting=value...]`; a text of settings only names no machine. */
function machineOf(texts: readonly string[]): string | undefined {
  const name = last(texts.map((text) => text.split(',')[0].replace(/^type=/, '')).filter((word) => !word.includes('=')));
  if (name === undefined) return undefined;
  const found = MACHINES.find(([prefix]) => name === prefix || name.startsWith(`${prefix}-`));
  if (found !== undefined) return found[1];
  throw new AnilloError('BAD_OPTION', `There is no machine "${name}"; use pc or q35.`);
}

/** Settings that ask for what is so in any case: buses that are no PCI buses, several functions in a slot, no legacy interface of virtio. */
const withoutGiven = (text: string): string =>
  text.replaceAll(
    /,(bus=(isa|virtio-mmio-bus|virtio-bus)\.\d+|(bootindex|romfile|multifunction|disable-legacy|disable-modern)=[^,]*)/g,
    '',
  );

function serialSpec(text: string): string {
  if (text === 'stdio' || text === 'mon:stdio') return 'stdio';
  if (text === 'none' || text === 'null') return 'none';
  if (text.startsWith('file:')) return text;
  throw new AnilloError('BAD_OPTION', `-serial takes stdio, mon:stdio, file:FILE, null or none, not "${text}".`);
}

function serialPorts(values: QemuValues): readonly string[] {
  if (values.serial.length > 0) return values.serial.map(serialSpec);
  if (values.nographic.length > 0) return ['stdio'];
  if (values.nodefaults.length > 0) return ['none'];
  // QEMU would open a window with a console in it; here the serial port is the one console.
  return ['stdio'];
}

function checkNoDisplay(values: QemuValues): void {
  const allowed = ['none', 'off', 'curses', 'nographic', 'std', 'null'];
  const unwanted = (['display', 'vga', 'vnc', 'monitor', 'parallel'] as const).flatMap((name) =>
    values[name].filter((value) => !allowed.includes(value.split(',')[0])).map((value) => `-${name} ${value}`),
  );
  if (unwanted.length > 0) throw new AnilloError('UNSUPPORTED', `${unwanted[0]}: this version has no such thing; use "none".`);
}

/** In QEMU's own words, by which scripts find out whether QEMU itself would start. */
function checkKernel(path: string | undefined): void {
  if (path !== undefined && !existsSync(path))
    throw new AnilloError('FILE', `could not open kernel file '${path}': there is none; check the path.`);
}

const OPTION_LIST = `Usage: anillo-qemu [OPTION...]

Takes these of QEMU's options: ${Object.keys(QEMU_OPTIONS)
  .map((name) => `-${name}`)
  .join(' ')}.
`;

/** Status for the process: with isa-debug-exit the guest's. */
export async function anilloQemu(args: readonly string[]): Promise<number> {
  const values = parseQemuOptions(args);
  const print = (text: string): number => {
    process.stdout.write(text);
    return 0;
  };
  if (values.version.length > 0) return print(`QEMU emulator version 7.2.0 (compatible front end of Anillo ${VERSION})\n`);
  if (values.help.length > 0 || values.h.length > 0) return print(OPTION_LIST);
  const help = deviceHelp(values.device);
  if (help !== undefined) return print(help);
  const machine = machineOf([...values.machine, ...values.M]);
  checkNoDisplay(values);
  const cpus = cpuCount(last(values.smp) ?? '1');
  const cpu = parseQemuCpu(last(values.cpu) ?? 'qemu64');
  const accel = acceleratorOf(values);
  const memory = last(values.m);
  const attachments = qemuAttachments(values);
  const devices = [...qemuDevices(attachments, values).map((text) => parseDevice(withoutGiven(text))), ...attachments.devices];
  checkMachineOptions({ machine, devices, cpus });
  const serial = serialPorts(values);
  checkKernel(last(values.kernel));
  return runSession({
    machine: {
      name: last(values.name)
        ?.replace(/^guest=/, '')
        .split(',')[0],
      kernel: last(values.kernel),
      initrd: last(values.initrd),
      append: last(values.append),
      bios: last(values.bios),
      memory: memory === undefined ? 128 : memorySize(memory),
      cpu,
      cpus,
      accel,
      noReboot: values['no-reboot'].length > 0,
      machine,
      devices,
      drives: attachments.drives,
      netdevs: attachments.netdevs,
      folders: attachments.folders,
      vsocks: attachments.vsocks,
    },
    serial,
    qmp: values.qmp.length === 0 ? undefined : parseQmpAddress('-qmp', values.qmp[0], true),
    gdb: last(values.gdb)?.replace(/^tcp:/, '') ?? (values.s.length > 0 ? ':1234' : undefined),
  });
}
