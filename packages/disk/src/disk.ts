// A disk as a guest sees it, whatever format it is kept in.

/** A part of a disk, in order. */
export interface Extent {
  readonly offset: number;
  readonly byteCount: number;
  /** 'data': bytes are kept; 'zero': reads as zeros; 'absent': reads as zeros because neither this image nor one behind it has it. */
  readonly kind: 'data' | 'zero' | 'absent';
  /** How many images behind this one it comes from: 0 is this one. */
  readonly depth: number;
  readonly isCompressed: boolean;
  /** Where its bytes are in that image's store, if they lie there as they are. */
  readonly storeOffset: number | undefined;
}

/**
 * Offsets and counts are multiples of 512 within the disk; AnilloError STATE for others. Any number of calls may be on their way; those that overlap have no order. What
 * the host fails at rejects with AnilloError (FILE, NETWORK; BAD_IMAGE: the image is damaged) and leaves the disk usable. Buffers are lent until the promise settles.
 */
export interface Disk {
  readonly byteCount: number;
  readonly isReadOnly: boolean;
  /** Name of the format: 'raw', 'qcow2'... */
  readonly format: string;
  /** Requests on such borders are the cheapest. */
  readonly clusterByteCount?: number;
  /** What `anillo image info` tells of the format: what QEMU calls its "format-specific" data, by QEMU's names. */
  readonly facts?: Readonly<Record<string, unknown>>;
  /** The image behind this one, by what the image says of it; `disk` is absent where it was not opened. */
  readonly backing?: { readonly fileName: string; readonly format: string | undefined; readonly disk: Disk | undefined };
  read(offset: number, into: readonly Uint8Array[]): Promise<void>;
  /** Reads at once, where that takes no longer than a copy; false: `read` has to do it, and what the buffers hold is not said. Absent: never. */
  readNow?(offset: number, into: readonly Uint8Array[]): boolean;
  /** Writes at once; false: `write` has to do it. */
  writeNow?(offset: number, from: readonly Uint8Array[]): boolean;
  write(offset: number, from: readonly Uint8Array[]): Promise<void>;
  /** `mayUnmap`: the room may be given back. */
  writeZeroes(offset: number, byteCount: number, mayUnmap: boolean): Promise<void>;
  /** The guest does not need the range any more; it reads as zeros or as before. */
  discard(offset: number, byteCount: number): Promise<void>;
  /** Resolves when all writes that have resolved are on stable storage. */
  flush(): Promise<void>;
  /** May stop early, behind at least one extent, where the rest of the range takes long to tell. */
  extents(offset: number, byteCount: number): Promise<readonly Extent[]>;
  /** Writes a whole cluster (or what is left of the last one) compressed; absent: the format cannot. */
  writeCompressed?(offset: number, bytes: Uint8Array): Promise<void>;
  /** Cuts, or grows by zeros; nothing else is on its way. Absent: the format cannot. */
  resize?(byteCount: number): Promise<void>;
  /** Flushes, marks the image as closed properly, lets its files go. */
  close(): Promise<void>;
}
