// A VMDK image as a disk (VMware's Virtual Disk Format 5.0): a sparse file that has its descriptor in itself, or a descriptor that names the files of its extents.

import { AnilloError } from '@anillo/base/anillo-error';
import { BufferCursor } from '../buffer-cursor.ts';
import type { ByteStore } from '../byte-store.ts';
import type { Disk } from '../disk.ts';
import type { ImageHost, OpenOptions } from '../disk-format.ts';
import { type ImageMap, MappedDisk, type Run } from '../mapped-disk.ts';
import { listByteCount } from '../request.ts';
import { settleAll } from '../settle-all.ts';
import { utf8Bytes, utf8Text } from '../text-bytes.ts';
import { SparseExtent } from './sparse-extent.ts';
import { SECTOR_BYTES, isSparseExtent } from './sparse-header.ts';
import {
  MAX_DESCRIPTOR_BYTES,
  NO_PARENT_CID,
  type VmdkDescriptor,
  type VmdkExtentLine,
  isVmdkDescriptor,
  parseVmdkDescriptor,
} from './vmdk-descriptor.ts';

/** What a flat extent's bytes are: those of a file, from some place on. */
class FlatExtent implements ImageMap {
  readonly #store: ByteStore;
  readonly #start: number;

  constructor(store: ByteStore, start: number) {
    this.#store = store;
    this.#start = start;
  }

  async locate(offset: number, byteCount: number): Promise<Run> {
    return { kind: 'data', byteCount, store: this.#store, storeOffset: this.#start + offset };
  }

  fill(offset: number, from: readonly Uint8Array[]): Promise<void> {
    return this.#store.write(this.#start + offset, from);
  }

  flush(): Promise<void> {
    return this.#store.flush();
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}

const ZERO_EXTENT: ImageMap = {
  locate: async (_offset, byteCount) => ({ kind: 'zero', byteCount }),
  fill: () => Promise.reject(new AnilloError('UNSUPPORTED', 'An extent of zeros cannot be written; convert the image first.')),
  flush: async () => {},
  close: async () => {},
};

interface Extent {
  readonly start: number;
  readonly byteCount: number;
  readonly map: ImageMap;
}

/** The extents one after the other. */
class VmdkMap implements ImageMap {
  readonly #extents: readonly Extent[];
  readonly #beforeFirstChange: () => Promise<void>;
  #firstChange: Promise<void> | undefined;

  constructor(extents: readonly Extent[], beforeFirstChange: () => Promise<void>) {
    this.#extents = extents;
    this.#beforeFirstChange = beforeFirstChange;
  }

  #at(offset: number): Extent {
    let low = 0;
    for (let high = this.#extents.length - 1; low < high; ) {
      const middle = (low + high + 1) >> 1;
      if (this.#extents[middle].start <= offset) low = middle;
      else high = middle - 1;
    }
    return this.#extents[low];
  }

  locate(offset: number, byteCount: number): Promise<Run> {
    const { start, byteCount: extentBytes, map } = this.#at(offset);
    return map.locate(offset - start, Math.min(byteCount, start + extentBytes - offset));
  }

  async fill(offset: number, from: readonly Uint8Array[]): Promise<void> {
    const cursor = new BufferCursor(from);
    const end = offset + listByteCount(from);
    for (let at = offset; at < end; ) {
      const { start, byteCount, map } = this.#at(at);
      const count = Math.min(end, start + byteCount) - at;
      await map.fill(at - start, cursor.take(count));
      at += count;
    }
  }

  beforeChange(): Promise<void> {
    this.#firstChange ??= this.#beforeFirstChange().then(() =>
      settleAll(this.#extents.map(({ map }) => map.beforeChange?.() ?? Promise.resolve())),
    );
    this.#firstChange.catch(() => {
      this.#firstChange = undefined;
    });
    return this.#firstChange;
  }

  flush(): Promise<void> {
    return settleAll(this.#extents.map(({ map }) => map.flush()));
  }

  close(): Promise<void> {
    return settleAll(this.#extents.map(({ map }) => map.close()));
  }
}

async function readText(store: ByteStore, offset: number, byteCount: number): Promise<string> {
  const bytes = new Uint8Array(Math.max(0, Math.min(byteCount, MAX_DESCRIPTOR_BYTES, (await store.size()) - offset)));
  await store.read(offset, [bytes]);
  const end = bytes.indexOf(0);
  return utf8Text(end < 0 ? bytes : bytes.subarray(0, end));
}

/** Whoever has this image behind theirs sees by the CID that it has changed. */
async function renewCid(store: ByteStore, offset: number, text: string): Promise<void> {
  const found = /^CID\s*=\s*([0-9a-f]{8})/im.exec(text);
  if (found === null) return;
  const next = (Math.imul(Number.parseInt(found[1], 16), 1664525) + 1013904223) >>> 0;
  const place = utf8Bytes(text.slice(0, found.index + found[0].length - 8)).length;
  await store.write(offset + place, [utf8Bytes((next === NO_PARENT_CID ? 1 : next).toString(16).padStart(8, '0'))]);
}

/** What opens an image: how, and with what of the host. */
interface Opening {
  readonly options: OpenOptions;
  readonly host: ImageHost;
  readonly isReadOnly: boolean;
}

const notTrusted = (name: string): AnilloError =>
  new AnilloError('BAD_OPTION', `${name} names further files, and its format was only guessed; say that its format is vmdk.`);

async function openParent(name: string, descriptor: VmdkDescriptor, { options }: Opening): Promise<Disk | undefined> {
  const { parentCid, parentFileName } = descriptor;
  if (parentCid === NO_PARENT_CID || options.backing === null) return undefined;
  if (options.backing !== undefined) return options.backing;
  if (parentFileName === undefined || parentFileName === '')
    throw new AnilloError('BAD_IMAGE', `${name} is the difference to another image and does not tell which.`);
  if (options.openBehind === undefined) throw notTrusted(name);
  const parent = await options.openBehind(parentFileName, 'vmdk');
  const cid = parent instanceof VmdkDisk ? parent.cid : undefined;
  if (cid === parentCid) return parent;
  await parent.close();
  throw new AnilloError('BAD_IMAGE', `${parentFileName} has changed since ${name} was made as the difference to it, or is another image.`);
}

class VmdkDisk extends MappedDisk {
  readonly cid: number;
  constructor(cid: number, options: ConstructorParameters<typeof MappedDisk>[0]) {
    super(options);
    this.cid = cid;
  }
}

interface ImageParts {
  readonly store: ByteStore;
  readonly descriptor: VmdkDescriptor;
  readonly extents: readonly Extent[];
  readonly readOnlyReason: string | undefined;
  beforeFirstChange(): Promise<void>;
}

async function assemble(parts: ImageParts, opening: Opening): Promise<Disk> {
  const { store, descriptor, extents, readOnlyReason, beforeFirstChange } = parts;
  const parent = await openParent(store.name, descriptor, opening);
  const byteCount = extents.reduce((sum, extent) => sum + extent.byteCount, 0);
  const hasParent = descriptor.parentCid !== NO_PARENT_CID;
  const behind = !hasParent ? undefined : `${store.name} is the difference to another image; convert it to write to it.`;
  return new VmdkDisk(descriptor.cid, {
    ...{ format: 'vmdk', byteCount, map: new VmdkMap(extents, beforeFirstChange), parent },
    ...{ parentName: hasParent ? descriptor.parentFileName : undefined, clusterByteCount: 65536 },
    facts: { cid: descriptor.cid, 'parent-cid': descriptor.parentCid, 'create-type': descriptor.createType },
    readOnlyReason: opening.isReadOnly ? `${store.name} is open for reading only.` : (behind ?? readOnlyReason),
  });
}

async function openMonolithic(store: ByteStore, opening: Opening): Promise<Disk> {
  const map = await SparseExtent.open(store, opening.host.codecs);
  const { capacityBytes, descriptorOffset, descriptorBytes } = map.header;
  const text = descriptorOffset > 0 ? await readText(store, descriptorOffset, descriptorBytes) : '';
  if (text === '')
    throw new AnilloError('BAD_IMAGE', `${store.name} is one of several files of a VMDK image; open the one with the descriptor.`);
  const descriptor = parseVmdkDescriptor(store.name, text);
  return assemble(
    {
      ...{ store, descriptor, extents: [{ start: 0, byteCount: capacityBytes, map }] },
      readOnlyReason: map.isWritable ? undefined : `${store.name} is stream-optimised; convert it to write to it.`,
      beforeFirstChange: () => renewCid(store, descriptorOffset, text),
    },
    opening,
  );
}

const FLAT_TYPES = ['FLAT', 'VMFS', 'VMFSRDM', 'VMFSRAW'];

async function openExtent(
  line: VmdkExtentLine,
  name: string,
  { host, isReadOnly }: Opening,
): Promise<{ readonly map: ImageMap; readonly isWritable: boolean }> {
  const { type, fileName, firstSector, sectorCount, access } = line;
  if (type === 'ZERO') return { map: ZERO_EXTENT, isWritable: false };
  if (access === 'NOACCESS' || fileName === undefined)
    throw new AnilloError('BAD_IMAGE', `${name} has an extent that cannot be read (${access} ${type}).`);
  if (type !== 'SPARSE' && !FLAT_TYPES.includes(type))
    throw new AnilloError('UNSUPPORTED', `${name} has extents of type ${type}; convert it to another type with VMware's tools first.`);
  const store = await host.openStore(fileName, name, isReadOnly);
  try {
    const isWritable = access === 'RW' && !store.isReadOnly;
    if (type !== 'SPARSE') {
      if ((await store.size()) < (firstSector + sectorCount) * SECTOR_BYTES)
        throw new AnilloError('BAD_IMAGE', `${fileName}, an extent of ${name}, is too short; copy it again.`);
      return { map: new FlatExtent(store, firstSector * SECTOR_BYTES), isWritable };
    }
    const map = await SparseExtent.open(store, host.codecs);
    if (map.header.capacityBytes < sectorCount * SECTOR_BYTES)
      throw new AnilloError('BAD_IMAGE', `${fileName} holds fewer sectors than ${name} says.`);
    return { map, isWritable: isWritable && map.isWritable };
  } catch (error) {
    await store.close();
    throw error;
  }
}

async function openDescribed(store: ByteStore, text: string, opening: Opening): Promise<Disk> {
  if (opening.options.openBehind === undefined) throw notTrusted(store.name);
  const descriptor = parseVmdkDescriptor(store.name, text);
  const extents: Extent[] = [];
  let isWritable = true;
  try {
    let start = 0;
    for (const line of descriptor.extents) {
      const byteCount = line.sectorCount * SECTOR_BYTES;
      if (byteCount === 0) continue;
      if (start + byteCount > Number.MAX_SAFE_INTEGER)
        throw new AnilloError('BAD_IMAGE', `${store.name} describes a disk that is too large.`);
      const extent = await openExtent(line, store.name, opening);
      isWritable = isWritable && extent.isWritable;
      extents.push({ start, byteCount, map: extent.map });
      start += byteCount;
    }
    if (extents.length === 0) throw new AnilloError('BAD_IMAGE', `${store.name} names no extents.`);
    // The descriptor's own file is closed with the first extent.
    const [first, ...rest] = extents;
    const map: ImageMap = { ...bound(first.map), close: () => settleAll([first.map.close(), store.close()]) };
    return await assemble(
      {
        ...{ store, descriptor, extents: [{ ...first, map }, ...rest] },
        readOnlyReason: isWritable ? undefined : `Not all extents of ${store.name} can be written.`,
        beforeFirstChange: () => renewCid(store, 0, text),
      },
      opening,
    );
  } catch (error) {
    await Promise.allSettled(extents.map(({ map }) => map.close()));
    throw error;
  }
}

const bound = (map: ImageMap): Omit<ImageMap, 'close'> => ({
  locate: (offset, byteCount) => map.locate(offset, byteCount),
  fill: (offset, from) => map.fill(offset, from),
  beforeChange: () => map.beforeChange?.() ?? Promise.resolve(),
  flush: () => map.flush(),
});

export function isVmdk(head: Uint8Array): boolean {
  return isSparseExtent(head) || isVmdkDescriptor(utf8Text(head.subarray(0, 512)));
}

/** AnilloError BAD_IMAGE, UNSUPPORTED. */
export async function openVmdk(store: ByteStore, options: OpenOptions, host: ImageHost): Promise<Disk> {
  const opening = { options, host, isReadOnly: options.isReadOnly || store.isReadOnly };
  const head = new Uint8Array(SECTOR_BYTES);
  await store.read(0, [head]);
  if (isSparseExtent(head)) return openMonolithic(store, opening);
  const text = await readText(store, 0, MAX_DESCRIPTOR_BYTES);
  if (!isVmdkDescriptor(text)) throw new AnilloError('BAD_IMAGE', `${store.name} is no VMDK image.`);
  return openDescribed(store, text, opening);
}
