// The guest's memory behind a resource: pieces, one after the other. Their addresses are translated each time that they are read.

/** Appends views of memory; false: some of it is not there. */
export type AddViews = (address: number, byteCount: number, isWrite: boolean, into: Uint8Array[], most: number) => boolean;

/** Looked at in one go; an IOMMU may divide it into pages. */
const STEP_BYTES = 1024 * 1024;
const MOST_VIEWS = 512;

export class Backing {
  readonly byteCount: number;
  /** Address and length of each piece. */
  readonly pieces: Float64Array;
  /** Where each piece begins. */
  readonly #starts: Float64Array;

  constructor(pieces: Float64Array) {
    this.pieces = pieces;
    this.#starts = new Float64Array(pieces.length / 2);
    let at = 0;
    for (let i = 0; i < this.#starts.length; i++) {
      this.#starts[i] = at;
      at += pieces[i * 2 + 1];
    }
    this.byteCount = at;
  }

  /** The last piece that begins at or before that byte. */
  #pieceAt(offset: number): number {
    let low = 0;
    let high = this.#starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#starts[middle] <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Copies out. False: some of it is not there, and the rest of `into` stays as it is. */
  read(offset: number, into: Uint8Array, addViews: AddViews): boolean {
    if (offset + into.length > this.byteCount) return false;
    let filled = 0;
    for (let piece = this.#pieceAt(offset); filled < into.length; piece++) {
      const within = offset + filled - this.#starts[piece];
      const end = Math.min(this.pieces[piece * 2 + 1], within + into.length - filled);
      for (let at = within; at < end; at += STEP_BYTES) {
        const views: Uint8Array[] = [];
        if (!addViews(this.pieces[piece * 2] + at, Math.min(STEP_BYTES, end - at), false, views, MOST_VIEWS)) return false;
        for (const view of views) {
          into.set(view, filled);
          filled += view.length;
        }
      }
    }
    return true;
  }
}
