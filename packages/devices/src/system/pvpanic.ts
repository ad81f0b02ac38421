// ISA pvpanic device (QEMU, docs/specs/pvpanic): one port; a read tells the events that the host understands, a write reports one.

import type { BoardControl, Device, IoRange } from '../device.ts';
import { declareDevice } from '../device-declaration.ts';

const DEFAULT_PORT = 0x505;
const EVENT = { panicked: 1, crashLoaded: 2 } as const;

export interface PvPanicOptions {
  readonly control: BoardControl;
  readonly port?: number;
}

/** It has no state. */
export class PvPanic implements Device {
  readonly name = 'pvpanic';
  readonly ports: readonly IoRange[];

  constructor(options: PvPanicOptions) {
    this.ports = [
      {
        start: options.port ?? DEFAULT_PORT,
        byteCount: 1,
        widestBytes: 1,
        read: () => EVENT.panicked | EVENT.crashLoaded,
        write: (_offset, _bytes, value) => {
          if ((value & EVENT.panicked) !== 0) options.control.panicked();
        },
      },
    ];
  }

  reset(): void {}

  save(): Uint8Array {
    return new Uint8Array(0);
  }

  restore(): void {}
}

export const pvPanic = declareDevice({
  name: 'pvpanic',
  summary: 'Reports guest crashes to the host',
  options: { ioport: { summary: 'I/O port', default: DEFAULT_PORT, minimum: 0, maximum: 0xffff } },
  create: (context, options) => new PvPanic({ control: context.control, port: options.ioport }),
});
