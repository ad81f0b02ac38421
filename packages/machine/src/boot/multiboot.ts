// Multiboot Specification 0.6.96 (multiboot 1): ELF images and those that give their addresses in the header ("a.out kludge").

import { AnilloError } from '@anillo/base/anillo-error';
import { KIB, PC_MEMORY } from '../boards/memory-map.ts';
import { ByteBuilder, utf8 } from '../byte-builder.ts';
import { flatGdt } from './cpu-tables.ts';
import { isElf, readElf } from './elf.ts';
import { type BootContext, type BootModule, type BootPlan, LoadPlan } from './load-plan.ts';

const HEADER_MAGIC = 0x1badb002;
const BOOT_MAGIC = 0x2badb002;
const SEARCH_BYTES = 8192;
const CODE_SELECTOR = 0x08;
const FOUR_GIB_LAST = 0xffffffff;

/** Header flags: 0..15 must be understood by the loader. */
const NEEDS = { PAGE_ALIGNED_MODULES: 1 << 0, MEMORY_INFO: 1 << 1, VIDEO: 1 << 2 } as const;
const UNDERSTOOD = NEEDS.PAGE_ALIGNED_MODULES | NEEDS.MEMORY_INFO | NEEDS.VIDEO;
const HAS_ADDRESSES = 1 << 16;

/** Flags of the information structure. */
const INFO = { MEMORY: 1 << 0, COMMAND_LINE: 1 << 2, MODULES: 1 << 3, MEMORY_MAP: 1 << 6, LOADER_NAME: 1 << 9 } as const;
const INFO_BYTES = 120;

export interface MultibootHeader {
  /** Offset in the file. */
  readonly at: number;
  readonly flags: number;
}

/** Looks for the header: 4-aligned in the first 8 KiB, its first three words adding up to 0. */
export function findMultibootHeader(file: Uint8Array): MultibootHeader | undefined {
  const data = new DataView(file.buffer, file.byteOffset, file.length);
  for (let at = 0; at + 12 <= Math.min(file.length, SEARCH_BYTES); at += 4) {
    if (data.getUint32(at, true) !== HEADER_MAGIC) continue;
    const flags = data.getUint32(at + 4, true);
    if (((HEADER_MAGIC + flags + data.getUint32(at + 8, true)) & 0xffffffff) === 0) return { at, flags };
  }
  return undefined;
}

/** Puts the kernel where its header says; gives the entry point. */
function loadByHeader(file: Uint8Array, header: MultibootHeader, plan: LoadPlan): number {
  const bad = (what: string): AnilloError => new AnilloError('BAD_IMAGE', `The kernel's multiboot header is damaged: ${what}.`);
  if (header.at + 32 > file.length) throw bad('its address fields lie past the end of the file');
  const data = new DataView(file.buffer, file.byteOffset, file.length);
  const [headerAddress, loadAddress, loadEnd, bssEnd, entry] = [12, 16, 20, 24, 28].map((o) => data.getUint32(header.at + o, true));
  const from = header.at - (headerAddress - loadAddress);
  const fileBytes = loadEnd === 0 ? file.length - from : loadEnd - loadAddress;
  if (headerAddress < loadAddress || from < 0 || from > file.length || fileBytes <= 0) throw bad('its addresses contradict each other');
  if (from + fileBytes > file.length)
    throw new AnilloError(
      'BAD_IMAGE',
      `The kernel is truncated: its multiboot header announces ${from + fileBytes} bytes and the file has ${file.length}; copy it again.`,
    );
  plan.put(loadAddress, file.subarray(from, from + fileBytes), Math.max(fileBytes, bssEnd === 0 ? 0 : bssEnd - loadAddress), 'kernel');
  return entry;
}

function loadElf(file: Uint8Array, plan: LoadPlan, context: BootContext): number {
  const elf = readElf(file, 'kernel');
  if (elf.bits === 64 && !context.longMode) {
    throw new AnilloError(
      'BAD_IMAGE',
      'The kernel is 64-bit and the CPU model is not; choose one with long mode (--cpu x86-64-v1 or later) or give a 32-bit kernel.',
    );
  }
  for (const s of elf.segments) plan.put(s.physicalAddress, s.bytes, s.byteCount, 'kernel');
  return elf.entry;
}

const zeroTerminated = (text: string): Uint8Array => utf8(`${text}\0`);

function moduleList(modules: readonly BootModule[], plan: LoadPlan): number {
  if (modules.length === 0) return 0;
  const list = new ByteBuilder();
  for (const m of modules) {
    const start = m.bytes.length === 0 ? 0 : plan.placeHigh(m.bytes, FOUR_GIB_LAST, 'initrd');
    const text = plan.placeLow(zeroTerminated(m.commandLine), 'module command line');
    list
      .u32(start)
      .u32(start + m.bytes.length)
      .u32(text)
      .u32(0);
  }
  return plan.placeLow(list.build(), 'module list');
}

/** Each entry is preceded by its size, which does not count itself. */
function memoryMap(context: BootContext): Uint8Array {
  const ENTRY_BYTES = 20;
  const out = new ByteBuilder();
  for (const e of context.map.e820) out.u32(ENTRY_BYTES).u64(e.start).u64(e.byteCount).u32(e.type);
  return out.build();
}

/** `kernelName` becomes the first word of the command line, as GRUB and others do. */
export function planMultiboot(
  file: Uint8Array,
  kernelName: string,
  modules: readonly BootModule[],
  append: string,
  context: BootContext,
): BootPlan {
  const header = findMultibootHeader(file);
  if (header === undefined) throw new AnilloError('BAD_IMAGE', 'The kernel has no multiboot header.');
  const unknown = header.flags & 0xffff & ~UNDERSTOOD;
  if (unknown !== 0)
    throw new AnilloError(
      'BAD_IMAGE',
      `The kernel asks for multiboot features that do not exist in version 1 (flags 0x${unknown.toString(16)}); rebuild it without them.`,
    );
  const plan = new LoadPlan(context.map);
  const byAddresses = (header.flags & HAS_ADDRESSES) !== 0;
  if (!byAddresses && !isElf(file))
    throw new AnilloError('BAD_IMAGE', 'The kernel has a multiboot header without addresses and is not ELF; link it as ELF.');
  const entry = byAddresses ? loadByHeader(file, header, plan) : loadElf(file, plan, context);

  const gdt = flatGdt(CODE_SELECTOR, 32);
  const gdtAt = plan.placeLow(gdt, 'descriptor table');
  const commandLineAt = plan.placeLow(zeroTerminated(`${kernelName} ${append}`), 'kernel command line');
  const loaderAt = plan.placeLow(zeroTerminated('Anillo'), 'loader name');
  const modulesAt = moduleList(modules, plan);
  const map = memoryMap(context);
  const mapAt = plan.placeLow(map, 'memory map');
  const info = new ByteBuilder()
    .u32(INFO.MEMORY | INFO.COMMAND_LINE | INFO.MODULES | INFO.MEMORY_MAP | INFO.LOADER_NAME)
    .u32(PC_MEMORY.EBDA / KIB)
    .u32((context.map.lowEnd - PC_MEMORY.HIGH) / KIB)
    .u32(0)
    .u32(commandLineAt)
    .u32(modules.length)
    .u32(modulesAt)
    .zeros(16)
    .u32(map.length)
    .u32(mapAt)
    .zeros(12)
    .u32(loaderAt);
  const infoAt = plan.placeLow(info.zeros(INFO_BYTES - info.byteCount).build(), 'multiboot information');
  return {
    description: `multiboot kernel ${kernelName}`,
    segments: plan.segments,
    start: {
      mode: 'protected32',
      pc: entry,
      registers: { rax: BOOT_MAGIC, rbx: infoAt },
      gdt: { base: gdtAt, limit: gdt.length - 1, codeSelector: CODE_SELECTOR, dataSelector: CODE_SELECTOR + 8 },
    },
  };
}
