// One machine in the foreground: its serial ports, the escape keys, signals, the debugger, and the status with which the process ends.

import { constants } from 'node:os';
import type { TraceChoice } from '@anillo/accel/trace';
import { AnilloError } from '@anillo/base/anillo-error';
import type { CharBackend } from '@anillo/devices/device';
import { CharFile } from '@anillo/host-node/char-file';
import { CharStdio } from '@anillo/host-node/char-stdio';
import { Machine, type MachineOptions } from 'anillo';
import { ClosedInput } from './closed-input.ts';
import { handleConsoleKey } from './console-keys.ts';
import { GdbServer } from './gdb/gdb-server.ts';
import { ProfileFile } from './profile-file.ts';
import { type QmpAddress, QmpServer } from './qmp/qmp-server.ts';
import { writeScreenshot } from './screenshot.ts';
import { statsReport } from './stats-report.ts';

export interface SessionOptions {
  /** Everything but the serial ports. */
  readonly machine: MachineOptions;
  /** "stdio", "file:PATH" or "none", COM1 first. */
  readonly serial: readonly string[];
  /** "stdio" or "file:PATH", hvc0 first. */
  readonly consoles?: readonly string[];
  readonly gdb?: string;
  /** Where pictures of the machine's display go. */
  readonly screenshot?: string;
  /** Where programs may control the machine. */
  readonly qmp?: QmpAddress;
  /** What to tell on the error output. */
  readonly trace?: TraceChoice;
  readonly stats?: boolean;
  /** Where to write a profile, and files with symbols for it. */
  readonly profile?: { readonly path: string; readonly symbols: readonly string[] };
  /** The end of piped input is typed to the guest as Ctrl-D. */
  readonly endOfInput?: boolean;
  /** Says on the error output how an orderly end came about too. */
  readonly verbose?: boolean;
}

interface SerialPorts {
  readonly backends: readonly (CharBackend | 'none')[];
  readonly stdio: CharStdio | undefined;
  close(): Promise<void>;
}

function complain(text: string): void {
  process.stderr.write(`${text.replaceAll(/\r?\n/g, process.stdin.isTTY === true && process.stdin.isRaw ? '\r\n' : '\n')}`);
}

function openSerial(specs: readonly string[], endOfInput: boolean, onKey: (key: string) => void): SerialPorts {
  const files: CharFile[] = [];
  let stdio: CharStdio | undefined;
  let closed: ClosedInput | undefined;
  const backends = specs.map((spec): CharBackend | 'none' => {
    if (spec === 'none') return 'none';
    if (spec.startsWith('file:') && spec.length > 5) {
      const file = new CharFile(spec.slice(5), { onError: (error) => complain(`anillo: ${error.message}\n`) });
      files.push(file);
      return file;
    }
    if (spec !== 'stdio') throw new AnilloError('BAD_OPTION', `A serial port is stdio, file:PATH or none, not "${spec}".`);
    if (stdio !== undefined) throw new AnilloError('BAD_OPTION', 'Only one serial port can be stdio; give the others a file or none.');
    stdio = new CharStdio({ onEscape: onKey, onEnd: () => closed?.end() });
    if (!endOfInput || process.stdin.isTTY === true) return stdio;
    closed = new ClosedInput(stdio);
    return closed;
  });
  return {
    backends,
    stdio,
    async close() {
      closed?.dispose();
      for (const file of files) file.close();
      await stdio?.close();
    },
  };
}

/** One device with a port for each, where there are any. */
function virtioConsoles({ devices = [] }: MachineOptions, backends: readonly (CharBackend | 'none')[]): Partial<MachineOptions> {
  if (backends.includes('none')) throw new AnilloError('BAD_OPTION', 'A --console is stdio or file:PATH; leave out the one that is none.');
  if (backends.length === 0) return {};
  const consoles = Object.fromEntries(backends.map((backend, i) => [`console${i}`, backend as CharBackend]));
  const ports = Object.fromEntries(Object.keys(consoles).map((name, i) => [`port${i}`, name]));
  return { consoles, devices: [...devices, { ...ports, model: 'virtio-console-pci' }] };
}

/** What the host failed at for a device. */
function tellFailure(sentence: string, isPaused: boolean): void {
  const how = process.stdin.isTTY === true ? 'Ctrl-A C goes on' : `kill -CONT ${process.pid} goes on`;
  complain(`anillo: ${sentence}${isPaused ? ` The machine is paused: ${how} when it is mended.` : ''}\n`);
}

/** A debugger is to see the first instruction: the guest stops there at once and goes on when the debugger says so. */
async function startHeld(machine: Machine, listen: string): Promise<GdbServer> {
  const { cpu } = machine.debug;
  const bytes = cpu.readRegister('rip') ?? cpu.readRegister('eip') ?? new Uint8Array(4);
  const code = cpu.readRegister('cs') ?? new Uint8Array(2);
  const pc = Buffer.from(bytes).reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
  // In real mode the linear address is the one at the reset vector.
  const start = pc === 0xfff0n && code[1] === 0xf0 ? 0xfffffff0n : pc;
  const server = await GdbServer.listen({ listen, target: machine.debug, onKill: () => void machine.stop() });
  complain(`anillo: waiting for gdb: target remote :${server.port}\n`);
  const held = new Promise<void>((done) => {
    machine.debug.onPause = () => done();
  });
  cpu.setBreakpoint(start);
  machine.start();
  await Promise.race([held, machine.waitForExit()]);
  cpu.clearBreakpoint(start);
  return server;
}

/** Runs the machine to its end. AnilloError for what the options got wrong, before the guest runs. */
export async function runSession(options: SessionOptions): Promise<number> {
  const trace = options.trace === undefined ? undefined : { ...options.trace, line: (text: string) => complain(`${text}\n`) };
  let machine: Machine | undefined;
  let signalStatus: number | undefined;
  const quit = (): void => void machine?.stop();
  const goOn = (): void => {
    if (machine?.isHeld === true) machine.resume();
  };
  const takePicture = async (): Promise<void> => {
    if (machine === undefined || options.screenshot === undefined) return;
    complain(`anillo: ${await writeScreenshot(options.screenshot, machine.display)}\n`);
  };
  const { serial, consoles = [] } = options;
  const ports = openSerial([...serial, ...consoles], options.endOfInput === true, (key) =>
    handleConsoleKey(key, {
      quit,
      screenshot: () => void takePicture(),
      powerButton: () => machine?.powerButton(),
      reset: () => machine?.reset(),
      goOn,
      say: complain,
    }),
  );
  process.on('SIGCONT', goOn);
  const onSignal = (signal: NodeJS.Signals): void => {
    signalStatus = 128 + constants.signals[signal];
    quit();
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, onSignal);
  let gdb: GdbServer | undefined;
  let qmp: QmpServer | undefined;
  let firstInstructionMs: number | undefined;
  let profile: ProfileFile | undefined;
  try {
    if (options.profile !== undefined) profile = await ProfileFile.open(options.profile.path, options.profile.symbols);
    machine = await Machine.create({
      ...options.machine,
      trace,
      profile: profile?.profile,
      serial: ports.backends.slice(0, serial.length),
      ...virtioConsoles(options.machine, ports.backends.slice(serial.length)),
      onHostFailure: tellFailure,
      onDetached: (device) => qmp?.event('DEVICE_DELETED', { device, path: `/machine/peripheral/${device}` }),
    });
    if (options.qmp !== undefined) qmp = await QmpServer.listen(options.qmp, machine);
    if (qmp !== undefined && options.qmp?.waits === true) await Promise.race([qmp.connected, machine.waitForExit()]);
    if (signalStatus !== undefined) return signalStatus;
    ports.stdio?.open();
    if (options.gdb === undefined) machine.start();
    else gdb = await startHeld(machine, options.gdb);
    // Queued behind the machine's first turn, some 4 ms of guest code.
    setImmediate(() => {
      firstInstructionMs = performance.now();
    });
    const exit = await machine.waitForExit();
    await takePicture();
    await gdb?.close(exit.status);
    await qmp?.close(exit.reason !== 'stopped');
    qmp = undefined;
    await ports.close();
    if (exit.reason === 'triple-fault' || exit.reason === 'panicked' || options.verbose === true) complain(`anillo: ${exit.detail}\n`);
    const { kernel } = options.machine;
    await profile?.write(machine, typeof kernel === 'string' ? kernel : undefined);
    if (options.stats === true) complain(statsReport(machine.stats(), firstInstructionMs));
    return signalStatus ?? exit.status;
  } finally {
    await qmp?.close(false);
    await ports.close();
    for (const signal of signals) process.off(signal, onSignal);
    process.off('SIGCONT', goOn);
    await machine?.[Symbol.asyncDispose]();
    await profile?.[Symbol.asyncDispose]();
  }
}
