// What a format of disk images is to the rest: how it is recognised, opened and created. `formats.ts` lists them.

import type { ByteStore } from './byte-store.ts';
import type { Codecs } from './codecs.ts';
import type { Disk } from './disk.ts';

/** What an image needs beyond its own store. */
export interface ImageHost {
  readonly codecs: Codecs;
  /**
   * Opens another file that an image names (its backing file, an extent). `beside` is the name of the store whose image names it, from where relative names go.
   * AnilloError FILE where it is missing.
   */
  openStore(name: string, beside: string, isReadOnly: boolean): Promise<ByteStore>;
  /** An empty store that is gone once it is closed. Absent: this host has none but memory. */
  openTemporary?(): Promise<ByteStore>;
}

export interface OpenOptions {
  readonly isReadOnly: boolean;
  /** What lies behind, instead of what the image names; null: nothing, for whoever looks at this image alone. */
  readonly backing?: Disk | null;
  /**
   * Opens the image that this one names as lying behind it, read-only; `format` is what it says of that one's. Absent: nobody has said what format this image has, so
   * what it names is not believed.
   */
  readonly openBehind?: (fileName: string, format: string | undefined) => Promise<Disk>;
  /** For whoever checks and repairs: a damaged image opens as far as it can be read, and is not repaired on the way. */
  readonly isForCheck?: boolean;
  /** An internal snapshot, by its id or name, read-only. */
  readonly snapshot?: string;
}

/** Options of `create`, by their names in `qemu-img -o`. */
export type CreateOptions = Readonly<Record<string, string>>;

export interface DiskFormat {
  readonly name: string;
  /** Is it this, to judge by the first bytes (4096, or fewer where the store has fewer)? Never for raw. */
  probe(head: Uint8Array): boolean;
  /** The store is the disk's from then on: `close` closes it, and so does a failure. AnilloError BAD_IMAGE, UNSUPPORTED. */
  open(store: ByteStore, options: OpenOptions, host: ImageHost): Promise<Disk>;
  /** Writes an empty image into an empty store, which stays the caller's. Absent: only read. AnilloError BAD_OPTION. */
  create?(store: ByteStore, byteCount: number, options: CreateOptions, host: ImageHost): Promise<void>;
  /** What `create` takes: name and one line for the help. */
  readonly createOptions?: Readonly<Record<string, string>>;
}
