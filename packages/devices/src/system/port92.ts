// System control port A (port 0x92; IBM PS/2 Hardware Interface Technical Reference): bit 0 rising resets the board, bit 1 is A20, which reads back
// while memory behaves as if it were always on.

import { struct } from '@anillo/base/struct';
import type { BoardControl, Device, IoRange } from '../device.ts';
import { DeviceState } from '../device-state.ts';

const FAST_RESET = 1;
const A20 = 2;

const STATE = struct({ value: 'u8' });

export interface Port92Options {
  readonly control: BoardControl;
  readonly onA20?: (enabled: boolean) => void;
  readonly stateBuffer?: ArrayBufferLike;
}

export class Port92 implements Device {
  readonly name = 'port92';
  readonly ports: readonly IoRange[];
  readonly #state: DeviceState<(typeof STATE)['spec']>;

  constructor(options: Port92Options) {
    this.#state = new DeviceState(STATE, options.stateBuffer);
    const s = this.#state.view;
    this.ports = [
      {
        start: 0x92,
        byteCount: 1,
        widestBytes: 1,
        read: () => s.value,
        write: (_offset, _bytes, value) => {
          const before = s.value;
          s.value = value & (FAST_RESET | A20);
          if (((before ^ value) & A20) !== 0) options.onA20?.((value & A20) !== 0);
          if ((value & ~before & FAST_RESET) !== 0) options.control.reset();
        },
      },
    ];
    this.reset();
  }

  reset(): void {
    this.#state.view.value = A20;
  }

  save(): Uint8Array {
    return this.#state.save();
  }

  restore(state: Uint8Array): void {
    this.#state.restore(state);
  }
}
