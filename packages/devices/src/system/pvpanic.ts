// ISA pvpanic device (QEMU, docs/specs/pvpanic): one port; a read tells the events that the host understands, a write reports one.

import type { AcpiPart, BoardControl, Device, IoRange } from '../device.ts';
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
  readonly acpi: AcpiPart;

  constructor(options: PvPanicOptions) {
    const start = options.port ?? DEFAULT_PORT;
    this.acpi = { node: { path: 'PEVT', hardwareId: 'QEMU0001', numbers: { PEST: start }, ports: [{ start, byteCount: 1 }] } };
    this.ports = [
      {
        start,
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
  bus: 'ISA',
  summary: 'Reports crashes of the guest; every board has one',
  properties: { ioport: { kind: 'number', summary: 'I/O port', default: DEFAULT_PORT, minimum: 0, maximum: 0xffff } },
  create: ({ control }, { ioport }) => new PvPanic({ control, port: ioport }),
});
