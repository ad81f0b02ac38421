// Reads what a machine boots from: files by path, or bytes as they are.

import { host } from '#host';
import { detectKernel } from '@anillo/machine/boot/detect';
import type { BootModule } from '@anillo/machine/boot/load-plan';

export interface BootFiles {
  readonly kernel?: { readonly bytes: Uint8Array; readonly name: string };
  readonly initrd: readonly BootModule[];
  readonly bios?: Uint8Array;
}

export interface BootSources {
  readonly kernel?: string | Uint8Array;
  readonly initrd?: string | Uint8Array;
  readonly bios?: string | Uint8Array;
}

/** For multiboot kernels: "file arguments,file arguments". A comma in a name or an argument is written twice. */
function splitModules(text: string): string[] {
  return text.split(/(?<!,),(?!,)/).map((part) => part.replaceAll(',,', ','));
}

async function readModule(text: string): Promise<BootModule> {
  const space = text.indexOf(' ');
  const path = space < 0 ? text : text.slice(0, space);
  return { bytes: await host.readFile(path, 'initrd'), commandLine: text };
}

async function readInitrd(source: string | Uint8Array | undefined, multiboot: boolean): Promise<BootModule[]> {
  if (source === undefined) return [];
  if (typeof source !== 'string') return [{ bytes: source, commandLine: 'initrd' }];
  if (multiboot) return Promise.all(splitModules(source).map(readModule));
  return [{ bytes: await host.readFile(source, 'initrd'), commandLine: source }];
}

/** AnilloError FILE for a file that cannot be read, BAD_IMAGE for a kernel that is none. */
export async function readBootFiles(sources: BootSources): Promise<BootFiles> {
  const { kernel, initrd, bios } = sources;
  const biosBytes = typeof bios === 'string' ? await host.readFile(bios, 'firmware') : bios;
  if (kernel === undefined) return { initrd: await readInitrd(initrd, false), bios: biosBytes };
  const bytes = typeof kernel === 'string' ? await host.readFile(kernel, 'kernel') : kernel;
  const multiboot = detectKernel(bytes) === 'multiboot';
  return {
    kernel: { bytes, name: typeof kernel === 'string' ? kernel : 'kernel' },
    initrd: await readInitrd(initrd, multiboot),
    bios: biosBytes,
  };
}
