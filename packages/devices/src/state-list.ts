// The state of a device that is made of parts: theirs, one after the other, each with its length before it.

import { AnilloError } from '@anillo/base/anillo-error';

export interface StatePart {
  save(): Uint8Array;
  restore(state: Uint8Array): void;
}

const LENGTH_BYTES = 4;

export class StateList implements StatePart {
  readonly #parts: readonly StatePart[];

  constructor(...parts: readonly StatePart[]) {
    this.#parts = parts;
  }

  save(): Uint8Array {
    const saved = this.#parts.map((part) => part.save());
    const bytes = new Uint8Array(saved.reduce((sum, part) => sum + LENGTH_BYTES + part.length, 0));
    const view = new DataView(bytes.buffer);
    let at = 0;
    for (const part of saved) {
      view.setUint32(at, part.length, true);
      bytes.set(part, at + LENGTH_BYTES);
      at += LENGTH_BYTES + part.length;
    }
    return bytes;
  }

  restore(state: Uint8Array): void {
    const view = new DataView(state.buffer, state.byteOffset, state.length);
    const saved: Uint8Array[] = [];
    let at = 0;
    while (at + LENGTH_BYTES <= state.length) {
      const end = at + LENGTH_BYTES + view.getUint32(at, true);
      saved.push(state.subarray(at + LENGTH_BYTES, end));
      at = end;
    }
    if (at !== state.length || saved.length !== this.#parts.length)
      throw new AnilloError('STATE', `Device state of ${state.length} bytes does not fit; restore it with the version that saved it.`);
    this.#parts.forEach((part, i) => part.restore(saved[i]));
  }
}
