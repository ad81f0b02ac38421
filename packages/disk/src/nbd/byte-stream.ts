// A connection to a peer: bytes both ways, in order. What NBD asks of its host.

export interface ByteStream {
  /** What messages call the peer. */
  readonly peer: string;
  /** Fills the buffer. False: the peer has ended before its first byte. AnilloError NETWORK where it ends later, or fails. One call at a time. */
  read(into: Uint8Array): Promise<boolean>;
  /**
   * Sends the buffers, one call's after the other's; several may be on their way. Resolves when there is room for more; the buffers are lent until then. AnilloError NETWORK.
   */
  write(from: readonly Uint8Array[]): Promise<void>;
  /** Goes on encrypted; nothing is being read or written. Absent: it cannot. AnilloError NETWORK. */
  startTls?(): Promise<void>;
  /** Ends it both ways, after what has been sent; what waits for bytes gets none. */
  close(): void;
}
