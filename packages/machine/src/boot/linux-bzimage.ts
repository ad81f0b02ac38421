// Linux/x86 boot protocol 2.02 to 2.15 (Documentation/arch/x86/boot.rst): zero page, 32-bit entry, 64-bit entry.
// The real-mode part of the image is not run: what it would ask the BIOS comes from the board.

import type { CpuStart } from '@anillo/accel/accelerator';
import { AnilloError } from '@anillo/base/anillo-error';
import { KIB, MIB, PC_MEMORY } from '../boards/memory-map.ts';
import { utf8 } from '../byte-builder.ts';
import { encodeE820 } from '../firmware/e820.ts';
import { flatGdt, IDENTITY_TABLE_BYTES, identityPageTables } from './cpu-tables.ts';
import { type BootContext, type BootModule, type BootPlan, inMib, LoadPlan } from './load-plan.ts';

/** Offsets in the image's first sectors and, the same, in the zero page. */
const AT = {
  EXT_MEM_K: 0x002,
  ACPI_RSDP: 0x070,
  ALT_MEM_K: 0x1e0,
  E820_COUNT: 0x1e8,
  SETUP_SECTS: 0x1f1,
  SYSSIZE: 0x1f4,
  VID_MODE: 0x1fa,
  BOOT_FLAG: 0x1fe,
  JUMP_BYTES: 0x201,
  MAGIC: 0x202,
  VERSION: 0x206,
  KERNEL_VERSION: 0x20e,
  TYPE_OF_LOADER: 0x210,
  LOADFLAGS: 0x211,
  CODE32_START: 0x214,
  RAMDISK_IMAGE: 0x218,
  RAMDISK_SIZE: 0x21c,
  HEAP_END: 0x224,
  CMD_LINE: 0x228,
  INITRD_MAX: 0x22c,
  ALIGNMENT: 0x230,
  RELOCATABLE: 0x234,
  XLOADFLAGS: 0x236,
  CMDLINE_SIZE: 0x238,
  PREF_ADDRESS: 0x258,
  INIT_SIZE: 0x260,
  E820_TABLE: 0x2d0,
} as const;

const MAGIC = 0x53726448; // "HdrS"
const LOADED_HIGH = 0x01;
const CAN_USE_HEAP = 0x80;
const XLF_KERNEL_64 = 0x01;
const UNREGISTERED_LOADER = 0xff;
const SECTOR = 512;
const ZERO_PAGE_BYTES = 0x1000;
/** `__BOOT_CS`; `__BOOT_DS` is the next. */
const BOOT_CS = 0x10;
const ENTRY_64 = 0x200;

export interface BzImage {
  /** 0x020f is protocol 2.15. */
  readonly protocol: number;
  /** Text such as "6.1.0-37-amd64 (...)"; empty: none. */
  readonly version: string;
  /** Has the 64-bit entry, so it is a 64-bit kernel. */
  readonly is64: boolean;
  /** Setup header as the zero page wants it, from 0x1f1. */
  readonly header: Uint8Array;
  readonly kernel: Uint8Array;
  readonly loadAddress: number;
  /** Memory that the kernel needs from `runAddress` on before it reads the memory map. */
  readonly runAddress: number;
  readonly initBytes: number;
  readonly initrdLast: number;
  readonly commandLineMax: number;
}

const bad = (message: string): AnilloError => new AnilloError('BAD_IMAGE', message);

/** Has the header's magic number. */
export function isBzImage(file: Uint8Array): boolean {
  return (
    file.length >= AT.MAGIC + 4 &&
    file[AT.BOOT_FLAG] === 0x55 &&
    file[AT.BOOT_FLAG + 1] === 0xaa &&
    new DataView(file.buffer, file.byteOffset).getUint32(AT.MAGIC, true) === MAGIC
  );
}

function versionText(file: Uint8Array, pointer: number): string {
  if (pointer === 0 || pointer + SECTOR >= file.length) return '';
  const bytes = file.subarray(pointer + SECTOR, pointer + SECTOR + 200);
  const end = bytes.indexOf(0);
  return end > 0 ? String.fromCharCode(...bytes.subarray(0, end)) : '';
}

/** Takes the image apart and checks it. `file` has passed `isBzImage`. */
export function readBzImage(file: Uint8Array): BzImage {
  const data = new DataView(file.buffer, file.byteOffset, file.length);
  const truncated = (wanted: number): AnilloError =>
    bad(`The kernel is truncated: its header announces ${wanted} bytes and the file has ${file.length}; copy it again.`);
  const headerEnd = AT.MAGIC + file[AT.JUMP_BYTES];
  if (file.length < 2 * SECTOR || headerEnd > file.length) throw truncated(Math.max(headerEnd, 2 * SECTOR));
  const protocol = data.getUint16(AT.VERSION, true);
  if (protocol < 0x202) {
    throw bad(
      `The kernel speaks Linux boot protocol ${protocol >>> 8}.${String(protocol & 0xff).padStart(2, '0')}, which needs a real-mode loader; use a kernel from 2.4 on (protocol 2.02).`,
    );
  }
  const setupBytes = ((file[AT.SETUP_SECTS] || 4) + 1) * SECTOR;
  const kernelBytes = (protocol >= 0x204 ? data.getUint32(AT.SYSSIZE, true) : data.getUint16(AT.SYSSIZE, true)) * 16;
  if (file.length <= setupBytes || file.length < setupBytes + kernelBytes) throw truncated(setupBytes + kernelBytes);

  const since = (version: number, at: number, otherwise: number): number => (protocol >= version ? data.getUint32(at, true) : otherwise);
  const highLoad = (file[AT.LOADFLAGS] & LOADED_HIGH) !== 0;
  const fixedAddress = highLoad ? 0x100000 : 0x10000;
  const kernel = file.subarray(setupBytes);
  const prefAddress = protocol >= 0x20a ? Number(data.getBigUint64(AT.PREF_ADDRESS, true)) : fixedAddress;
  const relocatable = protocol >= 0x205 && file[AT.RELOCATABLE] !== 0;
  return {
    protocol,
    version: versionText(file, data.getUint16(AT.KERNEL_VERSION, true)),
    is64: protocol >= 0x20c && (data.getUint16(AT.XLOADFLAGS, true) & XLF_KERNEL_64) !== 0,
    header: file.slice(AT.SETUP_SECTS, headerEnd),
    kernel,
    loadAddress: relocatable ? prefAddress : fixedAddress,
    runAddress: Math.max(prefAddress, fixedAddress),
    initBytes: since(0x20a, AT.INIT_SIZE, kernel.length),
    initrdLast: since(0x203, AT.INITRD_MAX, 0x37ffffff),
    commandLineMax: since(0x206, AT.CMDLINE_SIZE, 255),
  };
}

interface Placed {
  readonly initrdAt: number;
  readonly initrdBytes: number;
  readonly commandLineAt: number;
}

/** boot_params ("zero page"): the image's header with the loader's fields filled in. */
function zeroPage(image: BzImage, context: BootContext, placed: Placed): Uint8Array {
  const page = new Uint8Array(ZERO_PAGE_BYTES);
  const data = new DataView(page.buffer);
  page.set(image.header, AT.SETUP_SECTS);
  const NORMAL_VIDEO = 0xffff;
  data.setUint16(AT.VID_MODE, NORMAL_VIDEO, true);
  page[AT.TYPE_OF_LOADER] = UNREGISTERED_LOADER;
  page[AT.LOADFLAGS] |= CAN_USE_HEAP;
  data.setUint16(AT.HEAP_END, 0xfe00, true);
  data.setUint32(AT.CODE32_START, image.loadAddress, true);
  data.setUint32(AT.RAMDISK_IMAGE, placed.initrdAt, true);
  data.setUint32(AT.RAMDISK_SIZE, placed.initrdBytes, true);
  data.setUint32(AT.CMD_LINE, placed.commandLineAt, true);
  const aboveOneMibK = (context.map.lowEnd - PC_MEMORY.HIGH) / KIB;
  data.setUint16(AT.EXT_MEM_K, Math.min(aboveOneMibK, 0xfc00), true);
  data.setUint32(AT.ALT_MEM_K, aboveOneMibK, true);
  data.setUint32(AT.ACPI_RSDP, context.rsdpAddress, true);
  page[AT.E820_COUNT] = context.map.e820.length;
  page.set(encodeE820(context.map.e820), AT.E820_TABLE);
  return page;
}

function checkFit(image: BzImage, context: BootContext, commandLine: Uint8Array): void {
  if (image.is64 && !context.longMode)
    throw bad(
      'The kernel is 64-bit and the CPU model is not; choose one with long mode (--cpu x86-64-v1 or later) or give a 32-bit kernel.',
    );
  if (image.runAddress + image.initBytes > context.map.lowEnd) {
    const need = inMib(image.runAddress + image.initBytes);
    throw new AnilloError(
      'BAD_MEMORY',
      `The kernel needs at least ${need} to start and the machine has ${inMib(context.map.memoryBytes)}; give more with --memory.`,
    );
  }
  if (commandLine.length - 1 > image.commandLineMax) {
    throw new AnilloError(
      'BAD_OPTION',
      `The kernel command line has ${commandLine.length - 1} bytes and this kernel takes ${image.commandLineMax}; shorten --append.`,
    );
  }
}

export function planBzImage(file: Uint8Array, initrd: BootModule | undefined, append: string, context: BootContext): BootPlan {
  const image = readBzImage(file);
  const commandLine = utf8(`${append}\0`);
  checkFit(image, context, commandLine);

  const plan = new LoadPlan(context.map);
  plan.put(image.loadAddress, image.kernel, image.kernel.length, 'kernel');
  plan.take(image.runAddress, image.initBytes);
  const long = image.is64;
  const gdt = flatGdt(BOOT_CS, long ? 64 : 32);
  const gdtAt = plan.placeLow(gdt, 'descriptor table');
  let cr3: number | undefined;
  if (long) {
    // Where the tables go is known only once they are placed, and what they hold depends on it.
    const tables = new Uint8Array(IDENTITY_TABLE_BYTES);
    cr3 = plan.placeLow(tables, 'page tables');
    tables.set(identityPageTables(cr3));
  }
  const commandLineAt = plan.placeLow(commandLine, 'kernel command line');
  const initrdBytes = initrd?.bytes.length ?? 0;
  const initrdAt = initrd === undefined || initrdBytes === 0 ? 0 : plan.placeHigh(initrd.bytes, image.initrdLast, 'initrd');
  const zeroPageAt = plan.placeLow(zeroPage(image, context, { initrdAt, initrdBytes, commandLineAt }), 'boot parameters');

  const start: CpuStart = {
    mode: long ? 'long64' : 'protected32',
    pc: image.loadAddress + (long ? ENTRY_64 : 0),
    registers: { rsi: zeroPageAt, rbx: 0, rbp: 0, rdi: 0 },
    gdt: { base: gdtAt, limit: gdt.length - 1, codeSelector: BOOT_CS, dataSelector: BOOT_CS + 8 },
    ...(cr3 === undefined ? {} : { cr3 }),
  };
  const version = image.version === '' ? '' : ` ${image.version.split(' ')[0]}`;
  return {
    description: `Linux${version} (${long ? '64' : '32'}-bit entry, ${(image.kernel.length / MIB).toFixed(1)} MiB)`,
    segments: plan.segments,
    start,
  };
}
