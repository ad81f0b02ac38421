// The library: `import { Machine } from 'anillo'`.
//
//   await using machine = await Machine.create({ kernel: 'vmlinuz', initrd: 'initrd.gz', append: 'console=ttyS0' });
//   machine.start();
//   await machine.serial.waitForOutput('login:');
//   machine.serial.write('root\n');
//   const { reason, status } = await machine.waitForExit();

import { host } from '#host';
import type { Accelerator, VcpuStats } from '@anillo/accel/accelerator';
import type { Profile } from '@anillo/accel/profile';
import type { Trace } from '@anillo/accel/trace';
import { AnilloError } from '@anillo/base/anillo-error';
import { checkDevice } from '@anillo/devices/catalog';
import type { CharBackend } from '@anillo/devices/device';
import type { DeviceOptions } from '@anillo/devices/device-declaration';
import type { BalloonControl } from '@anillo/devices/virtio/balloon-control';
import type { DisplayTarget, Size } from '@anillo/devices/virtio/gpu/display-target';
import type { InputSource } from '@anillo/devices/virtio/input/input-source';
import { Machine as CoreMachine, type MachineState } from '@anillo/machine/machine';
import type { MachineSpec } from '@anillo/machine/machine-spec';
import type { MachineDebug } from '@anillo/machine/machine-debug';
import type { BoardModel } from '@anillo/machine/boards/board-model';
import type { MachineExit } from '@anillo/machine/machine-exit';
import type { MachineHost } from '@anillo/machine/machine-host';
import type { GuestMemory } from '@anillo/memory/guest-memory';
import { parseMemory } from '@anillo/machine/machine-memory';
import { readBootImages, readFirmware } from './boot-files.ts';
import { type Attachments, attach } from './attachments.ts';
import { readDiskImages } from './disk-boot.ts';
import type { FolderOption } from './folder-option.ts';
import { type Attachable, type Attached, type AttachOptions, type DetachOptions, HotPlug } from './hot-plug.ts';
import type { DiskOption } from './disk-option.ts';
import type { Display } from './display.ts';
import type { MachineNetwork } from './machine-network.ts';
import type { NetworkOption } from './network-option.ts';
import type { VsockOption, VsockPlace } from './vsock-option.ts';
import {
  type AcceleratorName,
  acceleratorTier,
  type CpuChoice,
  chooseBoard,
  chooseCpu,
  createAccelerator,
  DEFAULT_CPU,
} from './registry.ts';
import { SerialStream } from './serial-stream.ts';

export interface MachineOptions {
  /** What the machine is called. On networks that machines share, its cards' addresses are made from it. */
  readonly name?: string;
  /** "pc" (default), or "q35" with PCI Express and a place for an IOMMU. */
  readonly machine?: string;
  /** Linux bzImage, ELF with a PVH note, or multiboot image: a path or the bytes. This or `bios`; without both, what the first disk has in its /boot. */
  readonly kernel?: string | Uint8Array;
  /** Path or bytes. For a multiboot kernel a path may be several, separated by commas, each with arguments after a space. */
  readonly initrd?: string | Uint8Array;
  /** Kernel command line; behind what a disk that is booted says of it (its root, the serial console). */
  readonly append?: string;
  /** Firmware image at the reset vector: path or bytes. */
  readonly bios?: string | Uint8Array;
  /** "512M", "2G", or a number of MiB; 1 MiB to 3584 MiB. Default 512M. */
  readonly memory?: string | number;
  /** "i686", "x86-64-v1", "x86-64-v2", "x86-64-v3" (default) or "max"; features may be changed: "x86-64-v3,-avx2". */
  readonly cpu?: string;
  /** Number of CPUs, 1 (default) to 8. */
  readonly cpus?: number;
  /** How guest code is run. Default "auto". */
  readonly accel?: AcceleratorName;
  /** Uses what earlier runs have translated, and keeps what this one does, in the user's cache folder. Default true. */
  readonly translationCache?: boolean;
  /** A guest that resets ends the machine instead of starting again. */
  readonly noReboot?: boolean;
  /** COM1, COM2...: "stream" (COM1 as `machine.serial`), "none" (nothing attached), or a back end of one's own. Default: COM1 as a stream. */
  readonly serial?: SerialOption | readonly SerialOption[];
  /** What the guest writes to ports 0xe9 and 0x402. */
  readonly debugConsole?: CharBackend;
  /** Devices beyond those of the board, by model with properties: `[{ model: 'isa-debug-exit', iobase: 0xf4, iosize: 4 }]`. `anillo run --device help` lists them. */
  readonly devices?: readonly DeviceOptions[];
  /** Disks, each as a virtio-blk-pci device: /dev/vda and on in Linux. A path, `{ file, format, readOnly, snapshot }`, or a back end of one's own. */
  readonly disks?: readonly DiskOption[];
  /** Disks by name, for devices that say `drive: NAME`. */
  readonly drives?: Readonly<Record<string, DiskOption>>;
  /**
   * Networks, each as a virtio-net-pci device: "user" (the host's network by a NAT), that with options
   * (`{ kind: 'user', forwards: [{ protocol: 'tcp', hostPort: 2222, guestPort: 22 }] }`), a switch that machines share (`{ kind: 'switch', path: 'net.socket' }`), a tap, a socket
   * (network-option.ts), or an end of a cable of one's own.
   */
  readonly networks?: readonly NetworkOption[];
  /** Networks by name, for devices that say `netdev: NAME`. */
  readonly netdevs?: Readonly<Record<string, NetworkOption>>;
  /** A file for all that passes the network cards, for Wireshark (pcapng). */
  readonly capture?: string;
  /** Folders that the guest mounts (`mount -t 9p -o trans=virtio TAG /mnt`), by tag, each as a virtio-9p-pci device. */
  readonly shares?: Readonly<Record<string, FolderOption>>;
  /** Folders by name, for devices that say `fsdev: NAME`. */
  readonly folders?: Readonly<Record<string, FolderOption>>;
  /**
   * Sockets between programs of the guest (AF_VSOCK) and of the host: `{ cid: 3, sockets: '/run/vm.sock' }` for Unix sockets around a path, or a back end of one's
   * own. A virtio-vsock-pci device.
   */
  readonly vsock?: VsockOption;
  /** Paths, or back ends, by name for devices that say `sockets: NAME`. */
  readonly vsocks?: Readonly<Record<string, VsockPlace>>;
  /** A display, keyboard and pointer, as `machine.display`; true: of 1280 by 800 pixels. Devices virtio-gpu-pci, virtio-keyboard-pci and virtio-tablet-pci. */
  readonly display?: boolean | Size;
  /** Displays of one's own, for virtio-gpu devices that say `display: NAME`. */
  readonly displays?: Readonly<Record<string, DisplayTarget>>;
  /** Where events come from, for virtio-keyboard, virtio-mouse and virtio-tablet devices that say `source: NAME`. */
  readonly inputs?: Readonly<Record<string, InputSource>>;
  /** The host's ends of virtio-balloon devices that say `control: NAME`: `new BalloonControl()` of `anillo/balloon-control`. */
  readonly balloons?: Readonly<Record<string, BalloonControl>>;
  /** Back ends by name for ports of virtio-console devices. */
  readonly consoles?: Readonly<Record<string, CharBackend>>;
  /** Told when a device has left the machine: because it was detached, or the guest let go of it by itself. */
  readonly onDetached?: (id: string) => void;
  /** Told what the host failed at for a device, and whether the machine pauses for it until `resume`. */
  readonly onHostFailure?: (sentence: string, isPaused: boolean) => void;
  /** Tells what happens in the machine, a line an event: `{ traps: true, ports: true, line: console.error }`. */
  readonly trace?: Trace;
  /** Told where host time goes: a `GuestProfile` of `anillo/profile/guest-profile`. Costs some per cent of speed. */
  readonly profile?: Profile;
}

export type SerialOption = 'stream' | 'none' | CharBackend;

const DEFAULT_MEMORY = '512M';
const DEFAULT_BOARD = 'pc';
/** Each has a thread, and its part of a 32-bit memory. */
const MOST_CPUS = 8;

const machineHost = (): MachineHost => ({ nowNs: host.nowNs, wallMs: host.wallMs, ...host.createEventLoop() });

/** What needs no files: AnilloError as `Machine.create` would throw it, for a caller that fetches the files first. */
export function checkMachineOptions(options: MachineOptions): {
  readonly board: BoardModel;
  readonly tier: 'jit' | 'interp';
  readonly cpu: CpuChoice;
  readonly memoryBytes: number;
  readonly cpuCount: number;
} {
  const { machine = DEFAULT_BOARD, accel = 'auto', cpu = DEFAULT_CPU, memory = DEFAULT_MEMORY, devices = [], cpus = 1 } = options;
  for (const device of devices) checkDevice(device);
  if (!Number.isInteger(cpus) || cpus < 1 || cpus > MOST_CPUS)
    throw new AnilloError('BAD_OPTION', `A machine has 1 to ${MOST_CPUS} CPUs, not ${cpus}.`);
  return {
    board: chooseBoard(machine),
    tier: acceleratorTier(accel),
    cpu: chooseCpu(cpu),
    memoryBytes: parseMemory(memory),
    cpuCount: cpus,
  };
}

export class Machine {
  /** For a debugger: registers, memory, breakpoints, stepping. Hold the machine (`pause`) first. */
  readonly debug: MachineDebug;
  readonly #core: CoreMachine;
  readonly #serial: SerialStream | undefined;
  /** What the machine's devices are attached to. */
  readonly #attached: Attachments;
  readonly #hotPlug: HotPlug;

  private constructor(core: CoreMachine, serial: SerialStream | undefined, attached: Attachments, hotPlug: HotPlug) {
    this.#core = core;
    this.#attached = attached;
    this.#hotPlug = hotPlug;
    this.#serial = serial;
    this.debug = core.debug;
    const ended = (why: string): void => {
      serial?.end(why);
      hotPlug.stop();
    };
    core.waitForExit().then(
      (exit) => ended(exit.detail.split('\n', 1)[0]),
      () => ended('Anillo failed.'),
    );
  }

  /**
   * Reads the files and sets the machine up; the guest does not run yet. AnilloError BAD_OPTION, BAD_MEMORY, BAD_IMAGE or FILE for what the options got wrong.
   * `accelerator`: for one of one's own instead of `options.accel`.
   */
  static async create(options: MachineOptions, accelerator?: Accelerator): Promise<Machine> {
    const { serial = 'stream' } = options;
    const { board, tier, cpu, memoryBytes, cpuCount } = checkMachineOptions(options);
    const { text: cpuModel, longMode, tscHz } = cpu;
    const ports = typeof serial === 'object' && 'length' in serial ? serial : [serial];
    if (ports.length > 4)
      throw new AnilloError('BAD_OPTION', `${ports.length} serial ports were asked for and the board has 4; leave some out.`);
    if (ports.slice(1).includes('stream'))
      throw new AnilloError('BAD_OPTION', 'Only the first serial port can be "stream"; give the others a back end.');
    // Read while the machine is set up, which needs nothing of them.
    const reading = readBootImages(options);
    reading.catch(() => {});
    const bios = await readFirmware(options);
    const stream = ports[0] === 'stream' ? new SerialStream() : undefined;
    const attached = await attach(options);
    const backends = { ...attached.backends, drives: { ...attached.backends.drives }, networks: { ...attached.backends.networks } };
    const spec: MachineSpec = {
      board,
      bios,
      append: options.append,
      memoryBytes,
      cpuCount,
      cpuModel,
      longMode,
      tscHz,
      tier,
      noReboot: options.noReboot,
      serial: ports.map((p) => (p === 'stream' ? stream?.backend : p === 'none' ? undefined : p)),
      debugConsole: options.debugConsole,
      devices: [...(options.devices ?? []), ...attached.devices],
      backends,
      onHostFailure: options.onHostFailure,
      trace: options.trace,
      profile: options.profile,
    };
    let core: CoreMachine | undefined;
    try {
      core = new CoreMachine(spec, accelerator ?? (await createAccelerator(options.translationCache)), machineHost());
      const isFromDisk = options.kernel === undefined && bios === undefined && attached.bootDisk !== undefined;
      core.load(isFromDisk ? await readDiskImages(attached.bootDisk, options.initrd) : await reading);
      const hotPlug = new HotPlug(core.board.userDevices, backends, attached, options.onDetached);
      return new Machine(core, stream, attached, hotPlug);
    } catch (error) {
      await core?.[Symbol.asyncDispose]();
      await attached.close().catch(() => {});
      throw error;
    }
  }

  /** created, running, paused or stopped. */
  get state(): MachineState {
    return this.#core.state;
  }

  /** COM1. AnilloError STATE if it was given a back end of its own. */
  get serial(): SerialStream {
    if (this.#serial === undefined)
      throw new AnilloError(
        'STATE',
        'The first serial port is attached to something else; create the machine with serial: "stream" to use it here.',
      );
    return this.#serial;
  }

  /** What the guest shows, and its keys. AnilloError STATE without the option `display`. */
  get display(): Display {
    const { display } = this.#attached;
    if (display === undefined) throw new AnilloError('STATE', 'This machine has no display; create it with display: true.');
    return display;
  }

  /** What was loaded, for people: "Linux 6.1.0-37-amd64 (64-bit entry, 8.3 MiB)". */
  get bootDescription(): string {
    return this.#core.bootDescription;
  }

  /** Starts the guest and comes back at once: it runs whenever the program awaits. `held`: paused before its first instruction, for a debugger. */
  start(options: { readonly held?: boolean } = {}): void {
    this.#core.start(options);
  }

  /** Resolves when the machine has stopped, with the reason and a status for the process that stands for it. */
  waitForExit(): Promise<MachineExit> {
    return this.#core.waitForExit();
  }

  /** Pulls the plug; works whatever the guest does. */
  stop(): Promise<MachineExit> {
    return this.#core.stop();
  }

  /** Presses the power button: an operating system with ACPI shuts itself down. */
  powerButton(): void {
    this.#core.board.pressPowerButton();
  }

  /** Presses the reset button. */
  reset(): void {
    this.#core.reset();
  }

  /**
   * Plugs in a disk, a network or a device while the guest runs; resolves when a driver of the guest has taken it, or after the timeout. AnilloError as for
   * `create`, or UNSUPPORTED for what cannot come while the machine runs; then nothing is attached.
   */
  attach(what: Attachable, options: AttachOptions = {}): Promise<Attached> {
    return this.#hotPlug.attach(what, options);
  }

  /**
   * Asks the guest for a device; resolves when it is gone and what it was attached to is closed, or free for another device. AnilloError STATE when the guest has not
   * let go of it in time (it still may; `force` pulls it out), UNSUPPORTED for a device that cannot leave.
   */
  detach(id: string, options: DetachOptions = {}): Promise<void> {
    return this.#hotPlug.detach(id, options);
  }

  /** Disks and networks by name, for devices that are attached with `drive: NAME` or `netdev: NAME`; and the devices that there are. */
  get hotPlug(): Pick<HotPlug, 'addDrive' | 'addNetwork' | 'remove' | 'ask' | 'pciTree'> {
    return this.#hotPlug;
  }

  /** The host failed at something for a device, and the machine is paused until `resume`. */
  get isHeld(): boolean {
    return this.#core.isHeld;
  }

  /** Resolves when the guest stands still; so does its time. */
  pause(): Promise<void> {
    return this.#core.pause();
  }

  resume(): void {
    this.#core.resume();
  }

  /** Guest-physical memory. While the guest runs it changes between any two turns of the host's events. */
  get memory(): GuestMemory {
    return this.#core.memory;
  }

  /** Its networks by name (`net0` and on where nobody named them), but for ends of cables of one's own: to plug and unplug, limit, forward and rule while it runs. */
  get networks(): ReadonlyMap<string, MachineNetwork> {
    return this.#hotPlug.networks;
  }

  /** Counters of the engine since the start. */
  stats(): VcpuStats {
    return this.#core.stats();
  }

  /** Stops the machine, closes what it opened, and gives its memory back: `await using`. AnilloError FILE where a disk could not be written to its end. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#core[Symbol.asyncDispose]();
    await this.#core.settled();
    await this.#hotPlug.close().finally(() => this.#attached.close());
  }
}
