// QEMU's isa-debug-exit: a write of any width ends the machine with status (value << 1) | 1, so that a test's 0 becomes 1.

import type { BoardControl, Device, IoRange } from '../device.ts';
import { declareDevice } from '../device-declaration.ts';

const DEFAULT_BASE = 0x501;
const DEFAULT_BYTES = 2;

export interface IsaDebugExitOptions {
  readonly control: BoardControl;
  readonly iobase?: number;
  readonly iosize?: number;
}

/** It has no state. */
export class IsaDebugExit implements Device {
  readonly name = 'isa-debug-exit';
  readonly ports: readonly IoRange[];

  constructor(options: IsaDebugExitOptions) {
    this.ports = [
      {
        start: options.iobase ?? DEFAULT_BASE,
        byteCount: options.iosize ?? DEFAULT_BYTES,
        read: () => 0,
        write: (_offset, _bytes, value) => options.control.debugExit(((value << 1) | 1) & 0xff),
      },
    ];
  }

  reset(): void {}

  save(): Uint8Array {
    return new Uint8Array(0);
  }

  restore(): void {}
}

export const isaDebugExit = declareDevice({
  name: 'isa-debug-exit',
  bus: 'ISA',
  summary: 'A write of V ends the machine with status 2 * V + 1',
  properties: {
    iobase: { kind: 'number', summary: 'First I/O port', default: DEFAULT_BASE, minimum: 0, maximum: 0xffff },
    iosize: { kind: 'number', summary: 'Number of ports', default: DEFAULT_BYTES, minimum: 1, maximum: 4 },
  },
  create: ({ control }, { iobase, iosize }) => new IsaDebugExit({ control, iobase, iosize }),
});
