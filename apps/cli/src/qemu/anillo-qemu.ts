// `anillo-qemu`: Anillo behind the command line of qemu-system-x86_64 (and -i386), for scripts that were written for it.

import { existsSync } from 'node:fs';
import { AnilloError } from '@anillo/base/anillo-error';
import type { MachineOptions } from 'anillo';
import { OPTIONAL_DEVICES, parseDevice } from '../device-options.ts';
import { runSession } from '../machine-session.ts';
import { VERSION } from '../version.ts';
import { parseQemuCpu } from './qemu-cpu.ts';
import { parseQemuOptions, QEMU_OPTIONS, type QemuValues } from './qemu-options.ts';

const ACCELERATORS: Readonly<Record<string, 'auto' | 'jit' | 'interp'>> = { tcg: 'auto', auto: 'auto', jit: 'jit', interp: 'interp' };
const MACHINES = ['pc', 'q35', 'microvm', 'none', 'accel'] as const;

const last = (values: readonly string[]): string | undefined => values.at(-1);

/** In QEMU's own form, which scripts search with grep. */
export function deviceList(): string {
  const lines = Object.entries(OPTIONAL_DEVICES).map(([name, { bus }]) => `name "${name}", bus ${bus}\n`);
  return `Misc devices:\n${lines.join('')}`;
}

/** `SIZE`, `size=SIZE`; a bare number is in MiB. */
function memorySize(text: string): string | number {
  const size = text.split(',')[0].replace(/^size=/, '');
  return /^\d+$/.test(size) ? Number(size) : size;
}

function checkCpuCount(text: string): void {
  const count = /^(?:cpus=)?(\d+)/.exec(text)?.[1];
  if (count === undefined || Number(count) < 1) throw new AnilloError('BAD_OPTION', `-smp takes a number of CPUs, not "${text}".`);
  if (Number(count) > 1) throw new AnilloError('UNSUPPORTED', `-smp ${count}: this version runs one CPU; use -smp 1.`);
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

function checkMachine(text: string): void {
  const name = text.split(',')[0].replace(/^type=/, '');
  if (name.includes('=') || MACHINES.some((known) => name === known || name.startsWith(`${known}-`))) return;
  throw new AnilloError('BAD_OPTION', `There is no machine "${name}"; use pc.`);
}

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
  const allowed = ['none', 'off', 'curses', 'nographic', 'std', 'null', 'user'];
  const unwanted = (['display', 'vga', 'vnc', 'net', 'nic', 'monitor', 'parallel'] as const).flatMap((name) =>
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
  if (values.device.some((device) => device === '?' || device === 'help')) return print(deviceList());
  for (const machine of [...values.machine, ...values.M]) checkMachine(machine);
  checkNoDisplay(values);
  checkCpuCount(last(values.smp) ?? '1');
  const cpu = parseQemuCpu(last(values.cpu) ?? 'qemu64');
  const accel = acceleratorOf(values);
  const memory = last(values.m);
  const devices: Partial<MachineOptions> = Object.assign({}, ...values.device.map(parseDevice));
  const serial = serialPorts(values);
  checkKernel(last(values.kernel));
  return runSession({
    machine: {
      kernel: last(values.kernel),
      initrd: last(values.initrd),
      append: last(values.append),
      bios: last(values.bios),
      memory: memory === undefined ? 128 : memorySize(memory),
      cpu,
      accel,
      noReboot: values['no-reboot'].length > 0,
      ...devices,
    },
    serial,
    gdb: last(values.gdb)?.replace(/^tcp:/, '') ?? (values.s.length > 0 ? ':1234' : undefined),
  });
}
