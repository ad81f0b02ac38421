// QEMU's pc-testdev, as kvm-unit-tests use it: ports 0xe0..0xe3 hold what was written, 0xe4 makes a hypervisor drop the mapping of a page (nothing to do
// here), ports 0x2000..0x2017 set the levels of the board's interrupt lines, and 64 KiB at 0xff000000 behave as memory reached by device accesses.

import { struct } from '@anillo/base/struct';
import type { AccessBytes, Device, IoRange, IrqLine } from '../device.ts';
import { declareDevice } from '../device-declaration.ts';
import { DeviceState } from '../device-state.ts';

const LINES = 24;
const MEMORY_BYTES = 0x10000;

const STATE = struct({ registers: ['u8', 4], memory: ['u8', MEMORY_BYTES] });

export interface PcTestdevOptions {
  /** A new input of a GSI. */
  readonly irq: (gsi: number) => IrqLine;
  readonly stateBuffer?: ArrayBufferLike;
}

export class PcTestdev implements Device {
  readonly name = 'pc-testdev';
  readonly ports: readonly IoRange[];
  readonly mmio: readonly IoRange[];
  readonly #state: DeviceState<(typeof STATE)['spec']>;
  readonly #lines: readonly IrqLine[];

  constructor(options: PcTestdevOptions) {
    this.#state = new DeviceState(STATE, options.stateBuffer);
    this.#lines = Array.from({ length: LINES }, (_, gsi) => options.irq(gsi));
    const { registers, memory } = this.#state.view;
    const over = (bytes: Uint8Array, start: number): IoRange => {
      const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      return {
        start,
        byteCount: bytes.length,
        read: (offset, byteCount) => get(data, offset, byteCount),
        write: (offset, byteCount, value) => put(data, offset, byteCount, value),
      };
    };
    this.ports = [
      over(registers, 0xe0),
      { start: 0xe4, byteCount: 4, read: () => 0, write: () => {} },
      {
        start: 0x2000,
        byteCount: LINES,
        widestBytes: 1,
        read: () => 0xff,
        write: (offset, _, value) => {
          if (value !== 0) this.#lines[offset].raise();
          else this.#lines[offset].lower();
        },
      },
    ];
    this.mmio = [over(memory, 0xff000000)];
  }

  reset(): void {
    this.#state.clear();
    for (const line of this.#lines) line.lower();
  }

  save(): Uint8Array {
    return this.#state.save();
  }

  restore(state: Uint8Array): void {
    this.#state.restore(state);
  }
}

function get(data: DataView, offset: number, byteCount: AccessBytes): number {
  return byteCount === 1 ? data.getUint8(offset) : byteCount === 2 ? data.getUint16(offset, true) : data.getUint32(offset, true);
}

function put(data: DataView, offset: number, byteCount: AccessBytes, value: number): void {
  if (byteCount === 1) data.setUint8(offset, value);
  else if (byteCount === 2) data.setUint16(offset, value, true);
  else data.setUint32(offset, value, true);
}

export const pcTestdev = declareDevice({
  name: 'pc-testdev',
  bus: 'ISA',
  summary: 'The test device of kvm-unit-tests',
  properties: {},
  create: (context) => new PcTestdev({ irq: (gsi) => context.irq(gsi) }),
});
