// The pictures that a guest keeps in a graphics device, by number, within bounds: bytes of pixels, and pieces of memory behind them.

import { AnilloError } from '@anillo/base/anillo-error';
import type { StatePart } from '../../state-list.ts';
import { Backing } from './backing.ts';
import { PIXEL_BYTES, type PixelFormat, pixelFormat } from './pixel-format.ts';

const MOST_RESOURCES = 4096;
const LONGEST_SIDE = 16_384;
/** Of one resource, and of all. */
export const MOST_PIECES = 16_384;
const MOST_PIECES_IN_ALL = 256 * 1024;

export interface Resource {
  readonly id: number;
  readonly format: PixelFormat;
  readonly width: number;
  readonly height: number;
  readonly pixels: Uint8Array;
  backing: Backing | undefined;
}

/** Numbers of a resource in a snapshot, before its pieces. */
const SAVED_NUMBERS = 5;

export class ResourceTable implements StatePart {
  readonly #mostBytes: number;
  readonly #resources = new Map<number, Resource>();
  #byteCount = 0;
  #pieceCount = 0;

  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  get(id: number): Resource | undefined {
    return this.#resources.get(id);
  }

  clear(): void {
    this.#resources.clear();
    this.#byteCount = 0;
    this.#pieceCount = 0;
  }

  create(id: number, formatCode: number, width: number, height: number): 'made' | 'bad id' | 'bad parameter' | 'no room' {
    const format = pixelFormat(formatCode);
    if (id === 0 || this.#resources.has(id)) return 'bad id';
    if (format === undefined || width < 1 || height < 1 || width > LONGEST_SIDE || height > LONGEST_SIDE) return 'bad parameter';
    const byteCount = width * height * PIXEL_BYTES;
    if (this.#resources.size >= MOST_RESOURCES || this.#byteCount + byteCount > this.#mostBytes) return 'no room';
    let pixels: Uint8Array;
    try {
      pixels = new Uint8Array(byteCount);
    } catch {
      return 'no room'; // the host has none
    }
    this.#resources.set(id, { id, format, width, height, pixels, backing: undefined });
    this.#byteCount += byteCount;
    return 'made';
  }

  remove(resource: Resource): void {
    this.detach(resource);
    this.#resources.delete(resource.id);
    this.#byteCount -= resource.pixels.length;
  }

  /** False: there are too many pieces. */
  attach(resource: Resource, pieces: Float64Array): boolean {
    if (this.#pieceCount + pieces.length / 2 > MOST_PIECES_IN_ALL) return false;
    this.#pieceCount += pieces.length / 2;
    resource.backing = new Backing(pieces);
    return true;
  }

  detach(resource: Resource): void {
    this.#pieceCount -= (resource.backing?.pieces.length ?? 0) / 2;
    resource.backing = undefined;
  }

  // --- Snapshots: a count of numbers, the numbers of each resource with its pieces, the pixels of each ---

  save(): Uint8Array {
    const resources = [...this.#resources.values()];
    const numbers = resources.flatMap(({ id, format, width, height, backing }) => {
      const pieces = backing === undefined ? [] : [...backing.pieces];
      return [id, format.code, width, height, backing === undefined ? -1 : pieces.length, ...pieces];
    });
    const bytes = new Uint8Array((1 + numbers.length) * 8 + this.#byteCount);
    const view = new DataView(bytes.buffer);
    [numbers.length, ...numbers].forEach((number, i) => {
      view.setFloat64(i * 8, number, true);
    });
    let at = (1 + numbers.length) * 8;
    for (const { pixels } of resources) {
      bytes.set(pixels, at);
      at += pixels.length;
    }
    return bytes;
  }

  restore(state: Uint8Array): void {
    const view = new DataView(state.buffer, state.byteOffset, state.length);
    const count = state.length < 8 ? -1 : view.getFloat64(0, true);
    if (!(count >= 0) || (1 + count) * 8 > state.length) throw unfit();
    const numbers = Array.from({ length: count }, (_, i) => view.getFloat64((1 + i) * 8, true));
    this.clear();
    let pixelsAt = (1 + count) * 8;
    for (let at = 0; at < count; ) {
      const [id, format, width, height, pieceNumbers] = numbers.slice(at, at + SAVED_NUMBERS);
      at += SAVED_NUMBERS;
      const resource = this.create(id, format, width, height) === 'made' ? this.get(id) : undefined;
      if (resource === undefined || pixelsAt + resource.pixels.length > state.length) throw unfit();
      if (pieceNumbers >= 0) this.attach(resource, Float64Array.from(numbers.slice(at, at + pieceNumbers)));
      at += Math.max(0, pieceNumbers);
      resource.pixels.set(state.subarray(pixelsAt, pixelsAt + resource.pixels.length));
      pixelsAt += resource.pixels.length;
    }
  }
}

const unfit = (): AnilloError =>
  new AnilloError('STATE', 'The saved state of a graphics device does not fit; restore it with the version and options that saved it.');
