// PVH direct boot (xen/include/public/arch-x86/hvm/start_info.h, version 1): an ELF kernel that names its 32-bit entry in a Xen note.

import { AnilloError } from '@anillo/base/anillo-error';
import { ByteBuilder, utf8 } from '../byte-builder.ts';
import { flatGdt } from './cpu-tables.ts';
import type { Elf } from './elf.ts';
import { type BootContext, type BootModule, type BootPlan, LoadPlan } from './load-plan.ts';

const XEN_ELFNOTE_PHYS32_ENTRY = 18;
const START_MAGIC = 0x336ec578;
const START_BYTES = 56;
const CODE_SELECTOR = 0x08;
const FOUR_GIB_LAST = 0xffffffff;

/** The entry that the note names; undefined: not a PVH kernel. */
export function pvhEntry(elf: Elf): number | undefined {
  const note = elf.notes.find((n) => n.owner === 'Xen' && n.type === XEN_ELFNOTE_PHYS32_ENTRY && n.bytes.length >= 4);
  return note === undefined ? undefined : new DataView(note.bytes.buffer, note.bytes.byteOffset).getUint32(0, true);
}

/** `elf` has a PVH entry. */
export function planPvh(elf: Elf, initrd: BootModule | undefined, append: string, context: BootContext): BootPlan {
  if (elf.bits === 64 && !context.longMode) {
    throw new AnilloError(
      'BAD_IMAGE',
      'The kernel is 64-bit and the CPU model is not; choose one with long mode (--cpu x86-64-v1 or later) or give a 32-bit kernel.',
    );
  }
  const plan = new LoadPlan(context.map);
  for (const s of elf.segments) plan.put(s.physicalAddress, s.bytes, s.byteCount, 'kernel');
  const gdt = flatGdt(CODE_SELECTOR, 32);
  const gdtAt = plan.placeLow(gdt, 'descriptor table');
  const commandLineAt = plan.placeLow(utf8(`${append}\0`), 'kernel command line');

  const memoryMap = new ByteBuilder();
  for (const e of context.map.e820) memoryMap.u64(e.start).u64(e.byteCount).u32(e.type).u32(0);
  const memoryMapAt = plan.placeLow(memoryMap.build(), 'memory map');
  let modulesAt = 0;
  if (initrd !== undefined && initrd.bytes.length > 0) {
    const initrdAt = plan.placeHigh(initrd.bytes, FOUR_GIB_LAST, 'initrd');
    modulesAt = plan.placeLow(new ByteBuilder().u64(initrdAt).u64(initrd.bytes.length).u64(0).u64(0).build(), 'module list');
  }
  const start = new ByteBuilder()
    .u32(START_MAGIC)
    .u32(1)
    .u32(0)
    .u32(modulesAt === 0 ? 0 : 1)
    .u64(modulesAt)
    .u64(commandLineAt);
  start
    .u64(context.rsdpAddress)
    .u64(memoryMapAt)
    .u32(context.map.e820.length)
    .zeros(START_BYTES - start.byteCount);
  const startAt = plan.placeLow(start.build(), 'start information');
  return {
    description: `PVH kernel (${elf.bits}-bit ELF)`,
    segments: plan.segments,
    start: {
      mode: 'protected32',
      pc: pvhEntry(elf) ?? elf.entry,
      registers: { rbx: startAt },
      gdt: { base: gdtAt, limit: gdt.length - 1, codeSelector: CODE_SELECTOR, dataSelector: CODE_SELECTOR + 8 },
    },
  };
}
