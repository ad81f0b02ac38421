// v86-run.ts PACKAGE KERNEL INITRD APPEND MEMORY_MIB: boots a Linux guest in v86, its first serial port on standard output, until it powers off.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { SEABIOS_FOLDER } from './v86.ts';

/** As much of v86.d.ts as is used here. */
interface Emulator {
  add_listener(event: 'serial0-output-byte', listener: (byte: number) => void): void;
  destroy(): Promise<void>;
}
type EmulatorClass = new (options: Readonly<Record<string, unknown>>) => Emulator;

const [, , folder, kernelPath, initrdPath, append, memoryMib] = process.argv;
const buffer = (path: string): { readonly buffer: ArrayBuffer } => {
  const bytes = readFileSync(path);
  return { buffer: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) };
};

const { V86 } = (await import(pathToFileURL(join(folder, 'build/libv86.mjs')).href)) as { readonly V86: EmulatorClass };
const emulator = new V86({
  wasm_path: join(folder, 'build/v86.wasm'),
  memory_size: Number(memoryMib) << 20,
  vga_memory_size: 2 << 20,
  bios: buffer(join(SEABIOS_FOLDER, 'bios.bin')),
  bzimage: buffer(kernelPath),
  initrd: buffer(initrdPath),
  cmdline: append,
  acpi: true,
  autostart: true,
  disable_keyboard: true,
  disable_mouse: true,
  disable_speaker: true,
});

/** By lines: a write for each byte would be most of the work. */
let line = '';
emulator.add_listener('serial0-output-byte', (byte) => {
  line += String.fromCharCode(byte);
  if (byte !== 0x0a) return;
  process.stdout.write(line, 'latin1');
  // v86 goes on after the guest has switched itself off.
  if (line.includes('reboot: Power down')) void emulator.destroy();
  line = '';
});
