// What a block device needs of whoever keeps its bytes. `packages/disk` has this shape.

/**
 * Offsets and counts are multiples of 512 within the disk. Any number of calls may be on their way, and their order is not told. A call rejects for what the host
 * fails at, and may be made again. Buffers are lent until it settles.
 */
export interface BlockBackend {
  readonly byteCount: number;
  readonly isReadOnly: boolean;
  read(offset: number, into: readonly Uint8Array[]): Promise<void>;
  /** Reads at once, where that takes no longer than a copy; false: `read` has to do it, and what the buffers hold is not said. Absent: never. */
  readNow?(offset: number, into: readonly Uint8Array[]): boolean;
  /** Writes at once; false: `write` has to do it. */
  writeNow?(offset: number, from: readonly Uint8Array[]): boolean;
  write(offset: number, from: readonly Uint8Array[]): Promise<void>;
  /** `mayUnmap`: the room may be given back. */
  writeZeroes(offset: number, byteCount: number, mayUnmap: boolean): Promise<void>;
  discard(offset: number, byteCount: number): Promise<void>;
  /** Resolves when all writes that have resolved are on stable storage. */
  flush(): Promise<void>;
}
