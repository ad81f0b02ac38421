// The south bridge's two functions that firmware looks for: ISA bridge (Intel 82371SB PIIX3, order number 290550) at 0:1.0 and power management
// (82371AB PIIX4, 290562, 7.1 and 7.2) at 0:1.3. What they stand for are devices of their own; here is what configuration tells of them.
// The power management block is where firmware puts it: nowhere after reset, until PMBA and PMREGMISC are written.
// Departures: there is no SMBus, and no system management mode: APMC_EN is set at reset, by which firmware sees that nothing is left to set up.

import type { Device } from '../device.ts';
import { ConfigSpace } from './config-space.ts';
import type { HostBridge } from './host-bridge.ts';

const SLOT = 1;
const ISA_FUNCTION = 0;
const POWER_FUNCTION = 3;
const ISA_BRIDGE = { vendor: 0x8086, device: 0x7000, revision: 0, classCode: 0x060100 } as const;
const POWER_MANAGEMENT = { vendor: 0x8086, device: 0x7113, revision: 3, classCode: 0x068000 } as const;

const COMMAND = 0x04;
const IO_SPACE = 0x0001;
const ISA_COMMAND = 0x0007;
const STATUS = 0x06;
const MEDIUM_DEVSEL = 0x0200;
const HEADER_TYPE = 0x0e;
const MULTIPLE_FUNCTIONS = 0x80;
const INTERRUPT_LINE = 0x3c;
/** Interrupt routing of PIRQA..PIRQD: bit 7 set routes nowhere. */
const PIRQ_ROUTE = { at: 0x60, count: 4, reset: 0x80, writable: 0x8f } as const;
const PMBA = { at: 0x40, ioSpace: 1, writable: 0xffc0 } as const;
const DEVACTB = { at: 0x58, apmcEnabled: 0x02000000 } as const;
const PMREGMISC = { at: 0x80, ioSpaceEnabled: 1 } as const;

export interface SouthBridgeOptions {
  readonly bridge: HostBridge;
  /** The power management block moved: to these ports, or nowhere. */
  readonly onPowerPort: (port: number | undefined) => void;
}

export class SouthBridge implements Device {
  readonly name = 'pci-south-bridge';
  readonly #onPowerPort: SouthBridgeOptions['onPowerPort'];
  #powerPort: number | undefined = undefined;
  readonly #isa = new ConfigSpace(ISA_BRIDGE);
  readonly #power = new ConfigSpace(POWER_MANAGEMENT);

  constructor(options: SouthBridgeOptions) {
    this.#onPowerPort = options.onPowerPort;
    for (let i = 0; i < PIRQ_ROUTE.count; i++) this.#isa.allow(PIRQ_ROUTE.at + i, PIRQ_ROUTE.writable, 1);
    this.#power.allow(COMMAND, IO_SPACE, 2);
    this.#power.allow(INTERRUPT_LINE, 0xff, 1);
    this.#power.allow(PMBA.at, PMBA.writable, 4);
    this.#power.allow(DEVACTB.at, -1, 4);
    this.#power.allow(PMREGMISC.at, PMREGMISC.ioSpaceEnabled, 1);
    options.bridge.attach(SLOT, ISA_FUNCTION, this.#isa);
    options.bridge.attach(SLOT, POWER_FUNCTION, {
      readConfig: (offset, byteCount) => this.#power.readConfig(offset, byteCount),
      writeConfig: (offset, byteCount, value) => {
        this.#power.writeConfig(offset, byteCount, value);
        this.#placePower();
      },
    });
    this.reset();
  }

  reset(): void {
    this.#isa.reset();
    this.#isa.set(COMMAND, ISA_COMMAND, 2);
    this.#isa.set(STATUS, MEDIUM_DEVSEL, 2);
    this.#isa.set(HEADER_TYPE, MULTIPLE_FUNCTIONS, 1);
    for (let i = 0; i < PIRQ_ROUTE.count; i++) this.#isa.set(PIRQ_ROUTE.at + i, PIRQ_ROUTE.reset, 1);
    this.#power.reset();
    this.#power.set(COMMAND, IO_SPACE, 2);
    this.#power.set(STATUS, MEDIUM_DEVSEL, 2);
    this.#power.set(PMBA.at, PMBA.ioSpace, 4);
    this.#power.set(DEVACTB.at, DEVACTB.apmcEnabled, 4);
    this.#placePower();
  }

  #placePower(): void {
    const isEnabled = (this.#power.readConfig(PMREGMISC.at, 1) & PMREGMISC.ioSpaceEnabled) !== 0;
    const port = isEnabled ? this.#power.readConfig(PMBA.at, 4) & PMBA.writable : undefined;
    if (port === this.#powerPort) return;
    this.#powerPort = port;
    this.#onPowerPort(port);
  }

  /** The ISA bridge's configuration space, then power management's. */
  save(): Uint8Array {
    const isa = this.#isa.save();
    const power = this.#power.save();
    const bytes = new Uint8Array(isa.length + power.length);
    bytes.set(isa);
    bytes.set(power, isa.length);
    return bytes;
  }

  restore(state: Uint8Array): void {
    const half = this.#isa.save().length;
    this.#isa.restore(state.subarray(0, half));
    this.#power.restore(state.subarray(half));
    this.#placePower();
  }
}
