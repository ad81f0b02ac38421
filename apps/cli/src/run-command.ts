// `anillo run`: its options, and what it does with them.

import { parseTraceCategories } from '@anillo/accel/trace';
import { AnilloError } from '@anillo/base/anillo-error';
import { checkMachineOptions } from 'anillo';
import { BOARD_NAMES } from 'anillo/registry';
import { type DefaultGuest, fetchGuest } from './default-guest/fetch-guest.ts';
import { AttachmentList, splitSettings } from './attachment-options.ts';
import { deviceHelp, parseDevice } from './device-options.ts';
import { runSession } from './machine-session.ts';
import { parseQmpAddress } from './qmp/qmp-server.ts';
import { parseScreenshot } from './screenshot.ts';
import { type OptionValues, optionHelp, parseOptions } from './option-table.ts';

export const RUN_OPTIONS = {
  kernel: {
    argument: 'FILE',
    help: 'Linux bzImage, ELF with a PVH note, or multiboot image.\nWithout --kernel and --bios: what the first disk has in its /boot, or else\nthe default guest, Debian Linux with BusyBox.',
  },
  initrd: { argument: 'FILE', help: 'Initial RAM disk.' },
  append: { argument: 'TEXT', help: "The kernel's command line (added to that of the default guest, or of a\ndisk that is booted)." },
  bios: { argument: 'FILE', help: 'Firmware image at the reset vector, instead of a kernel.' },
  memory: { argument: 'SIZE', help: 'RAM, such as 512M or 2G. Default: 512M.' },
  cpu: {
    argument: 'MODEL',
    help: 'i686, x86-64-v1, x86-64-v2, x86-64-v3 or max,\nalso with changes: x86-64-v3,-avx2,+sha.\nDefault: x86-64-v3.',
  },
  cpus: { argument: 'NUMBER', help: 'CPUs, 1 to 8. Default: 1.' },
  accel: { argument: 'NAME', help: 'auto, jit or interp. Default: auto.', choices: ['auto', 'jit', 'interp'] },
  'no-translation-cache': { help: 'Neither uses nor keeps what earlier runs have translated.' },
  'no-reboot': { help: 'A guest that resets ends the machine.' },
  serial: { argument: 'PORT', help: 'stdio, file:FILE or none. Default: stdio. Again for the second port.', repeatable: true },
  console: {
    argument: 'PORT',
    help: 'A virtio console: stdio or file:FILE. hvc0 in Linux, again for hvc1.\nWith stdio the serial port is none, unless it is given.',
    repeatable: true,
  },
  machine: { argument: 'NAME', help: 'pc, or q35 (PCI Express; an IOMMU may be added). Default: pc.', choices: BOARD_NAMES },
  device: {
    argument: 'NAME',
    help: "Adds a device: NAME[,KEY=VALUE...].\n'help' lists them, 'NAME,help' a device's properties.",
    repeatable: true,
  },
  disk: {
    argument: 'FILE',
    help: 'Adds a disk: FILE[,format=FORMAT][,ro][,snapshot][,PROPERTY=VALUE...].\nsnapshot: what is written is lost at the end. With id=NAME it is\nfor a --device with drive=NAME.',
    repeatable: true,
  },
  net: {
    argument: 'KIND',
    help: 'Adds a network card: user[,hostfwd=tcp::2222-:22...], switch=PATH\n(shared by machines), tap=NAME, stream=PLACE or dgram=PLACE,to=PLACE;\n[,allow=RULE][,deny=RULE][,up=RATE][,down=RATE][,link=off][,pcap=FILE]\n[,mac=ADDRESS][,PROPERTY=VALUE...]. With id=NAME the network is for a\n--device with netdev=NAME.',
    repeatable: true,
  },
  pcap: { argument: 'FILE', help: 'Writes there all that passes the network cards, for Wireshark.' },
  name: {
    argument: 'NAME',
    help: "What the machine is called; its cards' addresses on shared networks are\nmade from it. Default: its first disk's or its kernel's file.",
  },
  share: {
    argument: 'FOLDER',
    help: 'Shares a folder: FOLDER,tag=NAME[,ro][,ownership=mapped|none].\nLinux mounts it with: mount -t 9p -o trans=virtio NAME /mnt.',
    repeatable: true,
  },
  vsock: {
    argument: 'SETTINGS',
    help: "Sockets between the guest's programs (AF_VSOCK) and the host's:\ncid=3,path=PATH. Clients of PATH say CONNECT PORT; where the guest\nconnects to a port, somebody listens on PATH_PORT.",
    repeatable: true,
  },
  screenshot: {
    argument: 'FILE',
    help: 'Adds a display, a keyboard and a tablet: FILE[,size=1280x800]. What is\nseen goes there as PNG with Ctrl-A S, and at the end.',
  },
  qmp: {
    argument: 'ADDRESS',
    help: "Serves QEMU's machine protocol (QMP) at unix:PATH or tcp:HOST:PORT:\nplug in and unplug devices, pause, reset.",
  },
  gdb: { argument: 'HOST:PORT', help: "Serves gdb's remote protocol there; the guest waits for it." },
  trace: {
    argument: 'LIST',
    help: 'Tells on the error output what happens:\ntraps, interrupts, exits, blocks, ports, mmio (several with commas).',
  },
  profile: { argument: 'FILE', help: 'Writes there where the time went, for speedscope.' },
  symbols: {
    argument: 'FILE[@ADDRESS]',
    help: "Names for the profile: an ELF file or a System.map, moved by ADDRESS.\nA Linux kernel's own are found without.",
    repeatable: true,
  },
  stats: { help: "Prints the engine's counters at the end." },
  help: { short: '-h', help: 'This text.' },
} as const;

export const RUN_HELP = `Usage: anillo run [OPTION...]

Runs a machine with its first serial port on this terminal. Ctrl-A X quits, Ctrl-A H tells the other keys.
The exit status is 0 when the guest powers off, 1 when it crashes, 2 when an option or a file is wrong.

${optionHelp(RUN_OPTIONS)}
`;

type RunValues = OptionValues<typeof RUN_OPTIONS>;

/** On a terminal one line that is written over, else a line for each step. */
function showProgress(line: string, percent?: number): void {
  if (process.stderr.isTTY === true) process.stderr.write(`\r\x1b[K${line}${percent === undefined ? '' : ` (${Math.round(percent)} %)`}`);
  else if (percent === undefined) process.stderr.write(`anillo: ${line}\n`);
}

async function defaultGuest(withDrivers: boolean): Promise<DefaultGuest> {
  let shown = false;
  try {
    return await fetchGuest({
      withDrivers,
      onProgress: (line, percent) => {
        shown = true;
        showProgress(`Default guest: ${line}`, percent);
      },
    });
  } finally {
    if (shown && process.stderr.isTTY === true) process.stderr.write('\r\x1b[K');
  }
}

/** Where output goes to a terminal, the guest learns its size and kind. */
function terminalParameters(): string {
  const { stdout } = process;
  if (stdout.isTTY !== true) return '';
  const term = /^[\w.+-]{1,40}$/.exec(process.env.TERM ?? '');
  return ` anillo.rows=${stdout.rows} anillo.cols=${stdout.columns}${term === null ? '' : ` anillo.term=${term[0]}`}`;
}

/** Whether the first disk holds a kernel; if not, why is told. */
async function bootsFromDisk({ drives }: AttachmentList): Promise<boolean> {
  const [first] = Object.values(drives);
  if (first === undefined) return false;
  const { whyNoBoot } = await import('anillo/disk-boot');
  const why = await whyNoBoot(first);
  if (why !== undefined) process.stderr.write(`anillo: The first disk has nothing to boot, so the default guest starts. ${why}\n`);
  return why === undefined;
}

async function bootOptions(
  values: RunValues,
  attachments: AttachmentList,
): Promise<{ kernel?: string; initrd?: string | Uint8Array; append?: string; bios?: string; isDefault: boolean }> {
  const { kernel, initrd, append, bios } = values;
  if (kernel !== undefined || bios !== undefined) return { kernel, initrd, append, bios, isDefault: false };
  if (await bootsFromDisk(attachments)) return { initrd, append, isDefault: false };
  const guest = await defaultGuest(attachments.devices.length > 0 || values.device !== undefined || values.console !== undefined);
  return {
    kernel: guest.kernelPath,
    initrd: initrd ?? guest.initrd,
    append: `console=ttyS0 quiet${terminalParameters()}${append === undefined ? '' : ` ${append}`}`,
    isDefault: true,
  };
}

/** Status for the process. */
export async function runCommand(args: readonly string[]): Promise<number> {
  const values = parseOptions('anillo run', RUN_OPTIONS, args);
  if (values.help === true) {
    process.stdout.write(RUN_HELP);
    return 0;
  }
  const help = deviceHelp(values.device ?? []);
  if (help !== undefined) {
    process.stdout.write(help);
    return 0;
  }
  const attachments = new AttachmentList();
  for (const text of values.disk ?? []) attachments.addDisk(text);
  for (const text of values.net ?? []) attachments.addNet(text);
  for (const text of values.share ?? []) attachments.addShare(text);
  for (const text of values.vsock ?? []) attachments.addVsock('--vsock', splitSettings(text));
  const screenshot = values.screenshot === undefined ? undefined : parseScreenshot(values.screenshot);
  const devices = [...(values.device ?? []).map(parseDevice), ...attachments.devices];
  const trace = values.trace === undefined ? undefined : parseTraceCategories(values.trace);
  if (values.symbols !== undefined && values.profile === undefined)
    throw new AnilloError('BAD_OPTION', '--symbols names code in a profile; add --profile FILE.');
  const cpus = values.cpus === undefined ? undefined : Number(values.cpus);
  checkMachineOptions({ machine: values.machine, cpus, memory: values.memory, cpu: values.cpu, devices });
  const { isDefault, ...boot } = await bootOptions(values, attachments);
  return runSession({
    machine: {
      ...boot,
      name: values.name,
      capture: values.pcap,
      machine: values.machine,
      devices,
      drives: attachments.drives,
      netdevs: attachments.netdevs,
      folders: attachments.folders,
      vsocks: attachments.vsocks,
      display: screenshot?.size,
      memory: values.memory,
      cpus,
      cpu: values.cpu,
      accel: values.accel as 'auto' | 'jit' | 'interp' | undefined,
      noReboot: values['no-reboot'],
      translationCache: values['no-translation-cache'] !== true,
    },
    serial: values.serial ?? (values.console?.includes('stdio') === true ? ['none'] : ['stdio']),
    consoles: values.console ?? [],
    gdb: values.gdb,
    screenshot: screenshot?.path,
    qmp: values.qmp === undefined ? undefined : parseQmpAddress('--qmp', values.qmp, false),
    trace,
    stats: values.stats,
    profile: values.profile === undefined ? undefined : { path: values.profile, symbols: values.symbols ?? [] },
    endOfInput: isDefault,
  });
}
