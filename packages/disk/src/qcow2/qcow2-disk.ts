// A qcow2 image as a disk. Requests go side by side; what changes the tables as a whole (snapshots, sizes) is alone.

import { AnilloError } from '@anillo/base/anillo-error';
import type { Codecs } from '../codecs.ts';
import type { Disk, Extent } from '../disk.ts';
import { Gate } from '../mutex.ts';
import { checkRange, checkWritable, listByteCount } from '../request.ts';
import { Bitmaps } from './bitmaps.ts';
import { ClusterReader } from './cluster-reader.ts';
import { ClusterWriter } from './cluster-writer.ts';
import { imageFacts } from './facts.ts';
import { backingFormat } from './header.ts';
import { preallocateImage } from './preallocate.ts';
import { applySnapshot, createSnapshot, deleteSnapshot } from './snapshots.ts';
import type { Snapshot } from './snapshot-table.ts';
import { readSnapshotTable } from './snapshot-table.ts';
import { resizeImage } from './resize.ts';
import { setBackingName } from './set-backing.ts';
import type { Tables } from './tables.ts';

export class Qcow2Disk implements Disk {
  readonly format = 'qcow2';
  readonly tables: Tables;
  readonly #reader: ClusterReader;
  readonly #writer: ClusterWriter;
  readonly #bitmaps: Bitmaps;
  readonly #gate = new Gate();
  readonly #ownsBacking: boolean;

  private constructor(tables: Tables, backing: Disk | undefined, ownsBacking: boolean, codecs: Codecs, bitmaps: Bitmaps) {
    const codec = tables.header.compression === 'zstd' ? codecs.zstd : codecs.deflate;
    this.tables = tables;
    this.#reader = new ClusterReader(tables, backing, codec);
    this.#writer = new ClusterWriter(tables, this.#reader, codec);
    this.#bitmaps = bitmaps;
    this.#ownsBacking = ownsBacking;
    tables.onRelease = () => this.#reader.forgetDecompressed();
  }

  /** `ownsBacking`: closes it too. AnilloError BAD_IMAGE. */
  static async open(tables: Tables, backing: Disk | undefined, ownsBacking: boolean, codecs: Codecs): Promise<Qcow2Disk> {
    return new Qcow2Disk(tables, backing, ownsBacking, codecs, await Bitmaps.open(tables));
  }

  get byteCount(): number {
    return this.tables.header.byteCount;
  }

  get isReadOnly(): boolean {
    return this.tables.isReadOnly;
  }

  get clusterByteCount(): number {
    return this.tables.geometry.clusterBytes;
  }

  get facts(): Readonly<Record<string, unknown>> {
    return imageFacts(this.tables.header, this.#bitmaps.facts);
  }

  get backing(): Disk['backing'] {
    const { backingFile } = this.tables.header;
    const disk = this.#reader.backing;
    if (backingFile === undefined && disk === undefined) return undefined;
    return { fileName: backingFile ?? '', format: backingFormat(this.tables.header), disk };
  }

  /** Inside the gate, so that no snapshot is made meanwhile. */
  async #among<T>(work: () => Promise<T>): Promise<T> {
    const wait = this.#gate.enter();
    if (wait !== undefined) await wait;
    try {
      return await work();
    } finally {
      this.#gate.leave();
    }
  }

  #checkWrite(offset: number, byteCount: number): void {
    checkWritable(this);
    checkRange(this, offset, byteCount);
    if (this.tables.isCorrupt)
      throw new AnilloError(
        'BAD_IMAGE',
        `${this.tables.store.name} is damaged and not written to any more; run 'anillo image check -r all' on it.`,
      );
  }

  async read(offset: number, into: readonly Uint8Array[]): Promise<void> {
    checkRange(this, offset, listByteCount(into));
    return this.#among(() => this.#reader.read(offset, into));
  }

  readNow(offset: number, into: readonly Uint8Array[]): boolean {
    return this.#now(() => {
      checkRange(this, offset, listByteCount(into));
      return this.#reader.readNow(offset, into);
    });
  }

  writeNow(offset: number, from: readonly Uint8Array[]): boolean {
    const byteCount = listByteCount(from);
    const isDone = this.#now(() => {
      this.#checkWrite(offset, byteCount);
      return this.#bitmaps.isReady && this.#writer.writeNow(offset, from);
    });
    if (!isDone) return false;
    this.#bitmaps.changed(offset, byteCount);
    return true;
  }

  /** What is wrong with the image is said by who does it in other ways. */
  #now(work: () => boolean): boolean {
    try {
      return this.#gate.isOpen && work();
    } catch {
      return false;
    }
  }

  async write(offset: number, from: readonly Uint8Array[]): Promise<void> {
    const byteCount = listByteCount(from);
    this.#checkWrite(offset, byteCount);
    return this.#among(async () => {
      if (!this.#bitmaps.isReady) await this.#bitmaps.prepare();
      await this.#writer.write(offset, from);
      this.#bitmaps.changed(offset, byteCount);
    });
  }

  async writeZeroes(offset: number, byteCount: number, mayUnmap: boolean): Promise<void> {
    this.#checkWrite(offset, byteCount);
    return this.#among(async () => {
      if (!this.#bitmaps.isReady) await this.#bitmaps.prepare();
      await this.#writer.writeZeroes(offset, byteCount, mayUnmap);
      this.#bitmaps.changed(offset, byteCount);
    });
  }

  async discard(offset: number, byteCount: number): Promise<void> {
    this.#checkWrite(offset, byteCount);
    return this.#among(async () => {
      if (!this.#bitmaps.isReady) await this.#bitmaps.prepare();
      await this.#writer.discard(offset, byteCount);
      this.#bitmaps.changed(offset, byteCount);
    });
  }

  async writeCompressed(offset: number, bytes: Uint8Array): Promise<void> {
    this.#checkWrite(offset, Math.ceil(bytes.length / 512) * 512);
    if (offset % this.clusterByteCount !== 0)
      throw new AnilloError('STATE', 'Only whole clusters are written compressed; begin at a cluster.');
    return this.#among(async () => {
      if (!this.#bitmaps.isReady) await this.#bitmaps.prepare();
      await this.#writer.writeCompressed(offset, bytes);
      this.#bitmaps.changed(offset, bytes.length);
    });
  }

  async flush(): Promise<void> {
    if (this.isReadOnly) return;
    if (this.tables.isDirty && !this.tables.isCorrupt) await this.#among(() => this.tables.writeBack());
    await this.tables.store.flush();
  }

  async extents(offset: number, byteCount: number): Promise<readonly Extent[]> {
    checkRange(this, offset, byteCount);
    return this.#among(() => this.#reader.extents(offset, byteCount));
  }

  /** With nothing else on its way and everything written back. */
  #alone<T>(work: () => Promise<T>): Promise<T> {
    this.#checkWrite(0, 0);
    return this.#gate.alone(async () => {
      await this.tables.settle();
      try {
        return await work();
      } finally {
        this.#reader.forgetDecompressed();
      }
    });
  }

  async resize(byteCount: number): Promise<void> {
    if (byteCount % 512 !== 0) throw new AnilloError('STATE', 'The size of a disk is a multiple of 512 bytes.');
    return this.#alone(() => resizeImage(this.tables, this.#reader, this.#writer, byteCount));
  }

  snapshots(): Promise<readonly Snapshot[]> {
    return this.#among(() => readSnapshotTable(this.tables.store, this.tables.header));
  }

  /** Keeps what the disk holds now under a name. AnilloError BAD_OPTION, STATE. */
  createSnapshot(name: string, at: Date): Promise<void> {
    return this.#alone(() => createSnapshot(this.tables, name, at));
  }

  /** Makes the disk what it was. */
  applySnapshot(idOrName: string): Promise<void> {
    return this.#alone(async () => {
      await this.#bitmaps.prepare();
      await applySnapshot(this.tables, idOrName);
      this.#bitmaps.changed(0, this.byteCount);
    });
  }

  deleteSnapshot(idOrName: string): Promise<void> {
    return this.#alone(() => deleteSnapshot(this.tables, idOrName));
  }

  /** Names another image as the one behind; what the disk reads as is the caller's business. */
  setBackingName(fileName: string | undefined, format: string | undefined): Promise<void> {
    return this.#alone(() => setBackingName(this.tables, fileName, format));
  }

  /** Drops everything that this image keeps itself, so that what lies behind shows. */
  empty(): Promise<void> {
    return this.#alone(async () => {
      await this.#writer.discard(0, this.byteCount, true);
      await this.tables.settle();
    });
  }

  /** Gives every cluster a place before it is written: only counted and named, or with room on the host, or written full of zeros. */
  preallocate(mode: 'metadata' | 'falloc' | 'full'): Promise<void> {
    return this.#alone(async () => {
      await preallocateImage(this.tables, this.#writer, mode);
    });
  }

  async close(): Promise<void> {
    try {
      await this.#gate.alone(async () => {
        if (!this.isReadOnly && !this.tables.isCorrupt) await this.#bitmaps.store();
        await this.tables.close();
      });
    } finally {
      try {
        await this.tables.store.close();
      } finally {
        if (this.#ownsBacking) await this.#reader.backing?.close();
      }
    }
  }
}
