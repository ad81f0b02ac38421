// What a disk image lies in: a row of bytes that can grow. Host files, memory and browsers' files have this shape.

/** A part of a store, in order; `isHole`: reads as zeros and takes no room. */
export interface Stretch {
  readonly offset: number;
  readonly byteCount: number;
  readonly isHole: boolean;
}

/**
 * Any number of calls may be on their way; those that overlap have no order. Each rejects with AnilloError FILE, or NETWORK where the store is reached by
 * one. Buffers are lent until the promise settles.
 */
export interface ByteStore {
  readonly isReadOnly: boolean;
  /** What messages call it. */
  readonly name: string;
  size(): Promise<number>;
  /** Fills the buffers one after the other; what lies behind the end reads as zeros. */
  read(offset: number, into: readonly Uint8Array[]): Promise<void>;
  /** Reads at once, where that takes no longer than a copy; false: `read` has to do it, and what the buffers hold is not said. Absent: the host cannot tell. */
  readNow?(offset: number, into: readonly Uint8Array[]): boolean;
  /** Writes at once; false: `write` has to do it. */
  writeNow?(offset: number, from: readonly Uint8Array[]): boolean;
  /** Writes the buffers one after the other; grows the store. */
  write(offset: number, from: readonly Uint8Array[]): Promise<void>;
  /** Cuts, or grows by zeros. */
  resize(byteCount: number): Promise<void>;
  /** Makes a range read as zeros, and gives its room back where the host can. */
  writeZeroes(offset: number, byteCount: number): Promise<void>;
  /** Makes sure that the range has room on the host; it reads as before, or as zeros behind the end. Absent: the host cannot. */
  allocate?(offset: number, byteCount: number): Promise<void>;
  /** Resolves when all writes that have resolved are on stable storage. */
  flush(): Promise<void>;
  /** The range by stretches, or one stretch of data where the host does not tell. */
  stretches(offset: number, byteCount: number): Promise<readonly Stretch[]>;
  close(): Promise<void>;
}
