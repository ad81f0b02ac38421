// Chooses the boot protocol by what a kernel file holds, and names what it is when it cannot be booted.

import { AnilloError } from '@anillo/base/anillo-error';
import { isElf, readElf } from './elf.ts';
import { isBzImage, planBzImage } from './linux-bzimage.ts';
import type { BootContext, BootModule, BootPlan } from './load-plan.ts';
import { findMultibootHeader, planMultiboot } from './multiboot.ts';
import { planPvh, pvhEntry } from './pvh.ts';

export type KernelKind = 'bzimage' | 'multiboot' | 'pvh';

/** Files that people give by mistake: bytes at an offset, and the rest of the sentence "The kernel ...". */
const MISTAKES: readonly { readonly at: number; readonly bytes: readonly number[]; readonly is: string }[] = [
  { at: 0x38, bytes: [0x41, 0x52, 0x4d, 0x64], is: 'is a Linux Image for AArch64; give one for x86' },
  { at: 0x38, bytes: [0x52, 0x53, 0x43, 0x05], is: 'is a Linux Image for RISC-V; give one for x86' },
  { at: 0x24, bytes: [0x18, 0x28, 0x6f, 0x01], is: 'is a Linux zImage for 32-bit ARM; give one for x86' },
  { at: 4, bytes: [0x7a, 0x69, 0x6d, 0x67], is: 'is an EFI zboot image; unpack the kernel in it, or give the vmlinuz (bzImage)' },
  { at: 0, bytes: [0x27, 0x05, 0x19, 0x56], is: 'is a U-Boot image; give the vmlinuz (bzImage) in it' },
  { at: 0, bytes: [0xd0, 0x0d, 0xfe, 0xed], is: 'is a device tree or FIT image; give a vmlinuz (bzImage)' },
  { at: 0, bytes: [0x1f, 0x8b], is: 'is gzip-compressed; unpack it with gunzip first (a bzImage is not packed again)' },
  { at: 0, bytes: [0xfd, 0x37, 0x7a, 0x58, 0x5a], is: 'is xz-compressed; unpack it with unxz first' },
  { at: 0, bytes: [0x28, 0xb5, 0x2f, 0xfd], is: 'is zstd-compressed; unpack it with unzstd first' },
  { at: 0, bytes: [0x42, 0x5a, 0x68], is: 'is bzip2-compressed; unpack it with bunzip2 first' },
  { at: 0, bytes: [0x04, 0x22, 0x4d, 0x18], is: 'is lz4-compressed; unpack it with unlz4 first' },
  {
    at: 0,
    bytes: [0x30, 0x37, 0x30, 0x37, 0x30],
    is: 'is a cpio archive, that is an initrd; give it with --initrd and the vmlinuz with --kernel',
  },
  {
    at: 0,
    bytes: [0x21, 0x3c, 0x61, 0x72, 0x63, 0x68, 0x3e],
    is: 'is a Debian package or archive; take the vmlinuz out of it (dpkg-deb -x)',
  },
  { at: 0, bytes: [0x51, 0x46, 0x49, 0xfb], is: 'is a qcow2 disk image, not a kernel' },
  { at: 0x8001, bytes: [0x43, 0x44, 0x30, 0x30, 0x31], is: 'is a CD image; give the vmlinuz on it' },
  { at: 0, bytes: [0x4d, 0x5a], is: 'is an EFI program without the Linux boot header; give a vmlinuz (bzImage)' },
  { at: 0x1fe, bytes: [0x55, 0xaa], is: 'is a boot sector or a kernel older than Linux 2.4; use a kernel from 2.4 on' },
];

function mistake(file: Uint8Array): string {
  const known = MISTAKES.find((m) => m.bytes.every((b, i) => file[m.at + i] === b));
  return known?.is ?? 'is none that can be booted here; give a Linux bzImage (vmlinuz), an ELF with a PVH note or a multiboot image';
}

/** AnilloError BAD_IMAGE, with what the file seems to be, for what no boot protocol takes. */
export function detectKernel(file: Uint8Array): KernelKind {
  if (file.length === 0)
    throw new AnilloError(
      'BAD_IMAGE',
      'The kernel file is empty; give a Linux bzImage (vmlinuz), an ELF with a PVH note or a multiboot image.',
    );
  if (isBzImage(file)) return 'bzimage';
  if (findMultibootHeader(file) !== undefined) return 'multiboot';
  if (!isElf(file)) throw new AnilloError('BAD_IMAGE', `The kernel ${mistake(file)}.`);
  if (pvhEntry(readElf(file, 'kernel')) !== undefined) return 'pvh';
  throw new AnilloError(
    'BAD_IMAGE',
    'The kernel is an x86 ELF file without a PVH note or multiboot header; give the vmlinuz (bzImage), or build Linux with CONFIG_PVH=y.',
  );
}

export interface KernelSource {
  readonly bytes: Uint8Array;
  /** As the user named it; multiboot kernels see it as argv[0]. */
  readonly name: string;
  /** One for Linux; any number for multiboot. */
  readonly modules: readonly BootModule[];
  readonly append: string;
}

export function planKernel(source: KernelSource, context: BootContext): BootPlan {
  const kind = detectKernel(source.bytes);
  if (kind === 'multiboot') return planMultiboot(source.bytes, source.name, source.modules, source.append, context);
  if (source.modules.length > 1)
    throw new AnilloError('BAD_OPTION', 'This kernel takes one initrd and several were given; join the archives into one file.');
  const [initrd] = source.modules;
  if (initrd !== undefined && initrd.bytes.length === 0)
    throw new AnilloError('BAD_IMAGE', 'The initrd is empty; give a cpio archive, or leave it out.');
  if (kind === 'bzimage') return planBzImage(source.bytes, initrd, source.append, context);
  return planPvh(readElf(source.bytes, 'kernel'), initrd, source.append, context);
}
