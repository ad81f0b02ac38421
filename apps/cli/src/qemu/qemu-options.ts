// The options of QEMU that `anillo-qemu` takes, with one or two dashes as QEMU does (QEMU's documentation, "Invocation").

import { AnilloError } from '@anillo/base/anillo-error';
import { nearest } from '../option-table.ts';

/** What an option is followed by, and what becomes of it. 'ignored': it asks for what Anillo does anyway, or for a device that it does not have to add. */
interface QemuOption {
  readonly argument: boolean;
  readonly repeatable?: boolean;
}

const WITH_ARGUMENT: QemuOption = { argument: true };
const SWITCH: QemuOption = { argument: false };

export const QEMU_OPTIONS = {
  kernel: WITH_ARGUMENT,
  initrd: WITH_ARGUMENT,
  append: WITH_ARGUMENT,
  bios: WITH_ARGUMENT,
  m: WITH_ARGUMENT,
  smp: WITH_ARGUMENT,
  cpu: WITH_ARGUMENT,
  machine: { argument: true, repeatable: true },
  M: { argument: true, repeatable: true },
  accel: { argument: true, repeatable: true },
  device: { argument: true, repeatable: true },
  serial: { argument: true, repeatable: true },
  drive: { argument: true, repeatable: true },
  blockdev: { argument: true, repeatable: true },
  netdev: { argument: true, repeatable: true },
  snapshot: SWITCH,
  display: WITH_ARGUMENT,
  vnc: WITH_ARGUMENT,
  vga: WITH_ARGUMENT,
  virtfs: { argument: true, repeatable: true },
  fsdev: { argument: true, repeatable: true },
  net: { argument: true, repeatable: true },
  nic: { argument: true, repeatable: true },
  monitor: { argument: true, repeatable: true },
  object: { argument: true, repeatable: true },
  parallel: { argument: true, repeatable: true },
  gdb: WITH_ARGUMENT,
  qmp: WITH_ARGUMENT,
  name: WITH_ARGUMENT,
  rtc: WITH_ARGUMENT,
  overcommit: WITH_ARGUMENT,
  global: { argument: true, repeatable: true },
  nodefaults: SWITCH,
  'no-user-config': SWITCH,
  nographic: SWITCH,
  'no-reboot': SWITCH,
  s: SWITCH,
  version: SWITCH,
  help: SWITCH,
  h: SWITCH,
} as const satisfies Readonly<Record<string, QemuOption>>;

export type QemuOptionName = keyof typeof QEMU_OPTIONS;
export type QemuValues = Readonly<Record<QemuOptionName, readonly string[]>>;

/** Every option's values in order ('' for a switch). AnilloError BAD_OPTION names what is not known. */
export function parseQemuOptions(args: readonly string[]): QemuValues {
  const values = Object.fromEntries(Object.keys(QEMU_OPTIONS).map((name) => [name, [] as string[]])) as Record<QemuOptionName, string[]>;
  for (let at = 0; at < args.length; at++) {
    const word = args[at];
    const name = word.replace(/^--?/, '');
    if (!word.startsWith('-') || !Object.hasOwn(QEMU_OPTIONS, name)) {
      const close = nearest(name, Object.keys(QEMU_OPTIONS));
      const what = word.startsWith('-') ? `There is no option ${word}` : `A disk image ("${word}") cannot be attached`;
      throw new AnilloError(
        'BAD_OPTION',
        `${what}; ${word.startsWith('-') && close !== undefined ? `did you mean -${close}?` : "'anillo-qemu -help' lists the options."}`,
      );
    }
    const option: QemuOption = QEMU_OPTIONS[name as QemuOptionName];
    const value = option.argument ? args[++at] : '';
    if (value === undefined) throw new AnilloError('BAD_OPTION', `-${name} needs a value.`);
    const list = values[name as QemuOptionName];
    // As in QEMU, the last one counts.
    if (option.repeatable !== true) list.length = 0;
    list.push(value);
  }
  return values;
}
