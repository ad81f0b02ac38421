// Opens an image by the name of its file, with what lies behind it.
//
// A guest writes what it likes into a raw disk, a qcow2 header as well. Who guesses a format from such bytes could be made to open any file of the host as "backing
// file". So an image whose format nobody has said opens no file that it names, and a raw image that was only guessed to be raw takes no first sector that would be
// guessed as something else.

import { AnilloError } from '@anillo/base/anillo-error';
import type { ByteStore } from './byte-store.ts';
import type { Disk } from './disk.ts';
import type { DiskFormat, ImageHost, OpenOptions } from './disk-format.ts';
import { FORMATS, formatNamed, probeFormat } from './formats.ts';
import { Mutex } from './mutex.ts';
import { checkRange, listByteCount, listSlice } from './request.ts';

const HEAD = 4096;
/** A chain that leads back to itself ends here. */
const MAX_DEPTH = 200;

export interface OpenImageOptions extends OpenOptions {
  /** Absent: guessed. */
  readonly format?: string;
  /** The store from whose place relative names go. */
  readonly beside?: string;
  /** A guessed format's own backing files are opened too: for whoever was given the file by its owner, not by an image. */
  readonly trustsProbe?: boolean;
}

export function requireFormat(name: string): DiskFormat {
  const format = formatNamed(name);
  if (format === undefined)
    throw new AnilloError(
      'BAD_OPTION',
      `There is no disk format "${name}"; choose one of ${FORMATS.map((known) => known.name).join(', ')}.`,
    );
  return format;
}

async function probeStore(store: ByteStore): Promise<DiskFormat> {
  const head = new Uint8Array(Math.min(HEAD, await store.size()));
  await store.read(0, [head]);
  return probeFormat(head);
}

/** Keeps a disk that was guessed to be raw from becoming something else. What is judged is what is written: the buffers are the guest's, which may change them meanwhile. */
function guardFirstSector(disk: Disk): Disk {
  const write = disk.write.bind(disk);
  const writeNow = disk.writeNow?.bind(disk);
  disk.writeNow = (offset, from) => offset >= HEAD && writeNow?.(offset, from) === true;
  const one = new Mutex();
  const writeHead = (offset: number, from: readonly Uint8Array[]): Promise<void> =>
    one.run(async () => {
      const head = new Uint8Array(HEAD);
      await disk.read(0, [head.subarray(0, Math.min(HEAD, disk.byteCount))]);
      let at = offset;
      for (const part of from) {
        head.set(part, at);
        at += part.length;
      }
      const format = probeFormat(head);
      if (format.name !== 'raw')
        throw new AnilloError(
          'STATE',
          `The disk's first bytes would make it look like ${format.name}, and its format was only guessed; open it with format raw.`,
        );
      await write(offset, [head.subarray(offset, at)]);
    });
  disk.write = async (offset, from) => {
    const byteCount = listByteCount(from);
    if (offset >= HEAD) return write(offset, from);
    checkRange(disk, offset, byteCount);
    const inHead = Math.min(byteCount, HEAD - offset);
    await writeHead(offset, listSlice(from, 0, inHead));
    if (inHead < byteCount) await write(HEAD, listSlice(from, inHead, byteCount - inHead));
  };
  return disk;
}

/** AnilloError FILE, BAD_IMAGE, UNSUPPORTED, BAD_OPTION. */
export async function openImage(name: string, options: OpenImageOptions, host: ImageHost, depth = 0): Promise<Disk> {
  if (depth > MAX_DEPTH)
    throw new AnilloError('BAD_IMAGE', `${name} has more than ${MAX_DEPTH} images behind it, or itself; look at its chain.`);
  const format = options.format === undefined ? undefined : requireFormat(options.format);
  const store = await host.openStore(name, options.beside ?? '', options.isReadOnly);
  const openBehind = (fileName: string, behind: string | undefined): Promise<Disk> =>
    openImage(fileName, { isReadOnly: true, format: behind, beside: store.name }, host, depth + 1);
  if (format !== undefined) return format.open(store, { ...options, openBehind }, host);
  let probed: DiskFormat;
  try {
    probed = await probeStore(store);
  } catch (error) {
    await store.close();
    throw error;
  }
  const disk = await probed.open(store, options.trustsProbe === true ? { ...options, openBehind } : options, host);
  return probed.name === 'raw' && !disk.isReadOnly ? guardFirstSector(disk) : disk;
}
