// Finds the Linux that a disk holds as a boot loader would: kernel and initial RAM disk of a file system's /boot, and where the kernel finds its root. ext2, ext3 and ext4, on the whole
// disk or in a partition; /boot may be a file system of its own.

import { AnilloError } from '@anillo/base/anillo-error';
import { type Ext4File, Ext4Reader } from './ext4/ext4-reader.ts';
import { partitionsOf } from './partition-table.ts';
import { type ReadableDisk, Volume } from './volume.ts';

interface FoundFile {
  readonly name: string;
  read(): Promise<Uint8Array>;
}

export interface LinuxOnDisk {
  readonly kernel: FoundFile;
  readonly initrd: FoundFile | undefined;
  /** Where its root is, and that its console is the first serial port. */
  readonly commandLine: string;
}

/** What there is, or a part of a sentence that says why nothing is: "it has no partition ...". */
export type LinuxSearch = { readonly linux: LinuxOnDisk } | { readonly linux: undefined; readonly why: string };

interface FileSystem {
  readonly reader: Ext4Reader;
  /** Of its partition. */
  readonly partitionId: string | undefined;
}

const MOST_KERNEL_BYTES = 256 << 20;
const MOST_INITRD_BYTES = 1 << 30;
const MOST_FILE_SYSTEMS = 64;

/** Debian's links, kept by its kernel packages; then what other systems call it. */
const KERNEL_LINKS = ['vmlinuz', 'boot/vmlinuz', 'boot/bzImage'];
const KERNEL_NAME = /^(?:vmlinuz|vmlinux|kernel|bzImage)-(.+)$/;
const initrdNames = (version: string): readonly string[] => [
  `initrd.img-${version}`,
  `initramfs-${version}.img`,
  `initrd-${version}`,
  `initrd-${version}.img`,
  `initramfs-${version}`,
];

/** Numbers within count as numbers: 6.1.0-9 comes before 6.1.0-10. */
function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map((text) => text.match(/\d+|\D+/g) ?? []);
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const difference = Number(left[i]) - Number(right[i]);
    if (Number.isNaN(difference) ? left[i] !== right[i] : difference !== 0)
      return Number.isNaN(difference) ? (left[i] < right[i] ? -1 : 1) : difference;
  }
  return left.length - right.length;
}

const isRescue = (version: string): boolean => /rescue|memtest/.test(version);
const baseName = (path: string): string => path.slice(path.lastIndexOf('/') + 1);
const join = (folder: string, name: string): string => (folder === '' ? name : `${folder}/${name}`);

async function findFile(reader: Ext4Reader, path: string): Promise<{ readonly path: string; readonly file: Ext4File } | undefined> {
  const found = await reader.find(path);
  return found?.file.kind === 'file' && found.file.byteCount > 0 ? found : undefined;
}

async function newestKernel(reader: Ext4Reader): Promise<{ readonly path: string; readonly file: Ext4File } | undefined> {
  for (const folder of ['boot', '']) {
    const found = await reader.find(folder);
    if (found?.file.kind !== 'directory') continue;
    const versions = [...(await reader.list(found.file)).keys()].flatMap((name) => {
      const version = KERNEL_NAME.exec(name)?.[1];
      return version === undefined || isRescue(version) ? [] : [{ name, version }];
    });
    versions.sort((a, b) => compareVersions(b.version, a.version));
    for (const { name } of versions) {
      const kernel = await findFile(reader, join(found.path, name));
      if (kernel !== undefined) return kernel;
    }
  }
  return undefined;
}

async function kernelOf(reader: Ext4Reader): Promise<{ readonly path: string; readonly file: Ext4File } | undefined> {
  for (const link of KERNEL_LINKS) {
    const kernel = await findFile(reader, link);
    if (kernel !== undefined) return kernel;
  }
  return newestKernel(reader);
}

/** That of the kernel's version, beside it. */
async function initrdOf(reader: Ext4Reader, kernelPath: string): Promise<{ readonly path: string; readonly file: Ext4File } | undefined> {
  const folder = kernelPath.slice(0, Math.max(0, kernelPath.lastIndexOf('/')));
  const version = KERNEL_NAME.exec(baseName(kernelPath))?.[1];
  const names = version === undefined ? [] : initrdNames(version).map((name) => join(folder, name));
  for (const path of [...names, ...(version === undefined ? ['initrd.img', 'boot/initrd.img', 'boot/initrd'] : [])]) {
    const initrd = await findFile(reader, path);
    if (initrd !== undefined) return initrd;
  }
  return undefined;
}

async function isRoot({ reader }: FileSystem): Promise<boolean> {
  const names = await reader.list((await reader.find(''))!.file);
  return names.has('etc') && (names.has('sbin') || names.has('usr') || names.has('nix'));
}

async function rootOf(boot: FileSystem, all: readonly FileSystem[]): Promise<FileSystem | undefined> {
  for (const candidate of [boot, ...all.filter((other) => other !== boot)]) if (await isRoot(candidate)) return candidate;
  return undefined;
}

/** Without an initial RAM disk the kernel itself looks for its root, and knows no ids of file systems. */
function rootWord({ reader, partitionId }: FileSystem, hasInitrd: boolean): string {
  if (hasInitrd) return `root=UUID=${reader.uuid}`;
  return partitionId === undefined ? 'root=/dev/vda' : `root=PARTUUID=${partitionId}`;
}

/** What of the file system's own is wrong with it is kept for the case that nothing else is there. */
async function fileSystemsOf(
  disk: ReadableDisk,
): Promise<{ readonly found: readonly FileSystem[]; readonly failure: AnilloError | undefined }> {
  const partitions = await partitionsOf(disk);
  const places = [{ offset: 0, byteCount: disk.byteCount, id: undefined }, ...partitions];
  const found: FileSystem[] = [];
  let failure: AnilloError | undefined;
  for (const { offset, byteCount, id } of places.slice(0, MOST_FILE_SYSTEMS)) {
    try {
      const reader = await Ext4Reader.open(new Volume(disk, offset, byteCount));
      if (reader !== undefined) found.push({ reader, partitionId: id });
    } catch (error) {
      failure ??= imageFault(error);
    }
  }
  return { found, failure };
}

/** What the host failed at is thrown on. */
function imageFault(error: unknown): AnilloError {
  if (error instanceof AnilloError && (error.code === 'BAD_IMAGE' || error.code === 'UNSUPPORTED')) return error;
  throw error;
}

async function linuxIn(boot: FileSystem, all: readonly FileSystem[]): Promise<LinuxOnDisk | undefined> {
  const { reader } = boot;
  const kernel = await kernelOf(reader);
  if (kernel === undefined) return undefined;
  const initrd = await initrdOf(reader, kernel.path);
  const root = await rootOf(boot, all);
  const words = root === undefined ? [] : [rootWord(root, initrd !== undefined), 'ro'];
  const file = (found: typeof kernel, most: number): FoundFile => ({ name: `/${found.path}`, read: () => reader.read(found.file, most) });
  return {
    kernel: file(kernel, MOST_KERNEL_BYTES),
    initrd: initrd && file(initrd, MOST_INITRD_BYTES),
    commandLine: [...words, 'console=ttyS0'].join(' '),
  };
}

/** What of the disk cannot be read for what it holds is told by `why`; what the host fails at rejects (FILE, NETWORK). */
export async function findLinux(disk: ReadableDisk): Promise<LinuxSearch> {
  let { found, failure } = await fileSystemsOf(disk);
  for (const fileSystem of found) {
    try {
      const linux = await linuxIn(fileSystem, found);
      if (linux !== undefined) return { linux };
    } catch (error) {
      failure ??= imageFault(error);
    }
  }
  if (failure !== undefined) return { linux: undefined, why: failure.message };
  const why = found.length === 0 ? 'It holds no ext4 file system.' : 'Its file system has no kernel in /boot.';
  return { linux: undefined, why };
}
