// Fragments of IP packets until all have come (RFC 791, 3.2; RFC 8200, 4.5). Bounded in packets, bytes, pieces and time. Fragments that overlap end their packet (RFC 5722), but the
// very same once more does not.

const PACKET_LIMIT = 16;
const PIECE_LIMIT = 128;
const TIMEOUT_MS = 30_000;
const LARGEST_BYTES = 0xffff;

interface Piece {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

interface Gathering {
  readonly startedMs: number;
  readonly pieces: Piece[];
  /** Of the payload; known with the last fragment. */
  totalBytes: number | undefined;
  isSpoilt: boolean;
}

export class FragmentStore {
  readonly #gatherings = new Map<string, Gathering>();

  get size(): number {
    return this.#gatherings.size;
  }

  /** Adds a piece of the payload of a packet. Returns the whole payload with the piece that completes it. */
  add(key: string, piece: { offset: number; bytes: Uint8Array; isLast: boolean }, nowMs: number): Uint8Array | undefined {
    const gathering = this.#gatheringOf(key, nowMs);
    const { offset, bytes, isLast } = piece;
    const end = offset + bytes.length;
    if (gathering.isSpoilt) return undefined;
    const isKnown = gathering.pieces.some((other) => other.offset === offset && other.bytes.length === bytes.length);
    if (isKnown) return undefined;
    const isWrong =
      end > LARGEST_BYTES ||
      (!isLast && (bytes.length === 0 || (bytes.length & 7) !== 0)) ||
      gathering.pieces.length >= PIECE_LIMIT ||
      gathering.pieces.some((other) => offset < other.offset + other.bytes.length && other.offset < end) ||
      (gathering.totalBytes !== undefined && (isLast || end > gathering.totalBytes)) ||
      (isLast && gathering.pieces.some((other) => other.offset + other.bytes.length > end));
    if (isWrong) {
      // It stays, empty, so that what comes late does not begin it anew.
      gathering.isSpoilt = true;
      gathering.pieces.length = 0;
      return undefined;
    }
    gathering.pieces.push({ offset, bytes: bytes.slice() });
    if (isLast) gathering.totalBytes = end;
    return this.#wholeOf(key, gathering);
  }

  #gatheringOf(key: string, nowMs: number): Gathering {
    for (const [other, { startedMs }] of this.#gatherings) {
      if (nowMs - startedMs < TIMEOUT_MS) break;
      this.#gatherings.delete(other);
    }
    let gathering = this.#gatherings.get(key);
    if (gathering === undefined) {
      if (this.#gatherings.size >= PACKET_LIMIT) {
        const [oldest] = this.#gatherings.keys();
        this.#gatherings.delete(oldest);
      }
      gathering = { startedMs: nowMs, pieces: [], totalBytes: undefined, isSpoilt: false };
      this.#gatherings.set(key, gathering);
    }
    return gathering;
  }

  #wholeOf(key: string, gathering: Gathering): Uint8Array | undefined {
    const { totalBytes, pieces } = gathering;
    if (totalBytes === undefined) return undefined;
    let sum = 0;
    for (const piece of pieces) sum += piece.bytes.length;
    if (sum < totalBytes) return undefined;
    this.#gatherings.delete(key);
    const whole = new Uint8Array(totalBytes);
    for (const piece of pieces) whole.set(piece.bytes, piece.offset);
    return whole;
  }
}
