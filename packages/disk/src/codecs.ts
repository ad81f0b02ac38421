// Compression that a host has. Each call is one whole unit; what is damaged rejects.

export interface Codec {
  /** The bytes that were compressed, at most `byteCount` of them. */
  decompress(bytes: Uint8Array, byteCount: number): Promise<Uint8Array>;
  compress(bytes: Uint8Array): Promise<Uint8Array>;
}

/** Absent: this host has it not; images that need it are refused with AnilloError UNSUPPORTED. */
export interface Codecs {
  /** RFC 1951, without zlib's head and checksum. */
  readonly deflate?: Codec;
  /** RFC 1950. */
  readonly zlib?: Codec;
  /** RFC 8878. */
  readonly zstd?: Codec;
}
