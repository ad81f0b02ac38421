// State of a device: one declared struct over a buffer of its own, which may be shared between threads. Snapshots are its bytes.

import { AnilloError } from '@anillo/base/anillo-error';
import type { Struct, StructSpec, View } from '@anillo/base/struct';

export class DeviceState<S extends StructSpec> {
  readonly view: View<S>;
  readonly #bytes: Uint8Array;

  constructor(layout: Struct<S>, buffer: ArrayBufferLike = new ArrayBuffer(layout.bytes)) {
    this.view = layout.view(buffer, 0);
    this.#bytes = new Uint8Array(buffer, 0, layout.bytes);
  }

  /** All fields to zero. */
  clear(): void {
    this.#bytes.fill(0);
  }

  save(): Uint8Array {
    return this.#bytes.slice();
  }

  restore(state: Uint8Array): void {
    if (state.length !== this.#bytes.length) {
      throw new AnilloError(
        'STATE',
        `Device state of ${state.length} bytes does not fit (${this.#bytes.length} expected); restore it with the version that saved it.`,
      );
    }
    this.#bytes.set(state);
  }
}
