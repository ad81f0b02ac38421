// Reads what a machine boots from: files by path, or bytes as they are.

import { host } from '#host';
import { detectKernel } from '@anillo/machine/boot/detect';
import type { BootModule } from '@anillo/machine/boot/load-plan';
import type { BootImages } from '@anillo/machine/machine-spec';

export interface BootSources {
  readonly kernel?: string | Uint8Array;
  readonly initrd?: string | Uint8Array;
  readonly bios?: string | Uint8Array;
}

/** For multiboot kernels: "file arguments,file arguments". A comma in a name or an argument is written twice. */
function splitModules(text: string): string[] {
  return text.split(/(?<!,),(?!,)/).map((part) => part.replaceAll(',,', ','));
}

interface ReadFile {
  readonly bytes: Uint8Array;
  /** Undefined: it can be read only once. */
  readonly again: (() => Uint8Array) | undefined;
}

async function read(source: string | Uint8Array, what: string): Promise<ReadFile> {
  if (typeof source !== 'string') return { bytes: source, again: () => source };
  return { bytes: await host.readFile(source, what), again: host.rereader(source, what) };
}

interface ReadModule extends ReadFile {
  readonly commandLine: string;
}

async function readModule(text: string): Promise<ReadModule> {
  const space = text.indexOf(' ');
  return { ...(await read(space < 0 ? text : text.slice(0, space), 'initrd')), commandLine: text };
}

/** AnilloError FILE. */
export async function readInitrd(source: string | Uint8Array | undefined, multiboot: boolean): Promise<ReadModule[]> {
  if (source === undefined) return [];
  if (typeof source === 'string' && multiboot) return Promise.all(splitModules(source).map(readModule));
  return [{ ...(await read(source, 'initrd')), commandLine: typeof source === 'string' ? source : 'initrd' }];
}

const isOneFile = (source: string | Uint8Array | undefined): boolean => typeof source !== 'string' || !/[ ,]/.test(source);
const modulesOf = (files: readonly ReadModule[]): BootModule[] => files.map(({ bytes, commandLine }) => ({ bytes, commandLine }));

/** Holds no bytes but those that the caller gave. */
function rereader(
  name: string,
  files: readonly (Pick<ReadModule, 'again'> & { readonly commandLine?: string })[],
): BootImages['readAgain'] {
  const sources = files.map(({ again, commandLine = '' }) => ({ again, commandLine }));
  if (sources.some(({ again }) => again === undefined)) return undefined;
  return () => {
    const [kernel, ...initrd] = sources.map(({ again, commandLine }) => ({ bytes: (again as () => Uint8Array)(), commandLine }));
    return { kernel: { bytes: kernel.bytes, name }, initrd };
  };
}

/** AnilloError FILE for a file that cannot be read. */
export async function readFirmware({ bios }: BootSources): Promise<Uint8Array | undefined> {
  return bios === undefined ? undefined : (await read(bios, 'firmware')).bytes;
}

/** AnilloError FILE for a file that cannot be read, BAD_IMAGE for a kernel that is none. */
export async function readBootImages({ kernel, initrd }: BootSources): Promise<BootImages> {
  if (kernel === undefined) return { initrd: modulesOf(await readInitrd(initrd, false)) };
  const reading = read(kernel, 'kernel');
  const name = typeof kernel === 'string' ? kernel : 'kernel';
  // Several files, and arguments, are for multiboot kernels alone; one file is the same for all.
  const [file, early] = await Promise.all([reading, isOneFile(initrd) ? readInitrd(initrd, false) : undefined]);
  const modules = early ?? (await readInitrd(initrd, detectKernel(file.bytes) === 'multiboot'));
  return { kernel: { bytes: file.bytes, name }, initrd: modulesOf(modules), readAgain: rereader(name, [file, ...modules]) };
}
