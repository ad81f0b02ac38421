// The south bridge's two functions that firmware looks for: ISA bridge (Intel 82371SB PIIX3, order number 290550) at 0:1.0 and power management
// (82371AB PIIX4, 290562, 7.1 and 7.2) at 0:1.3. What they stand for are devices of their own; here is what configuration tells of them.
// Departures: the power management block's base address is fixed, so writes to its address bits are dropped; there is no SMBus. There is no
// system management mode either: APMC_EN is set at reset, by which firmware sees that nothing is left to set up.

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
const PMBA = { at: 0x40, ioSpace: 1 } as const;
const DEVACTB = { at: 0x58, apmcEnabled: 0x02000000 } as const;
const PMREGMISC = { at: 0x80, ioSpaceEnabled: 1 } as const;

export interface SouthBridgeOptions {
  readonly bridge: HostBridge;
  /** Where the power management block is. */
  readonly powerPort: number;
}

export class SouthBridge implements Device {
  readonly name = 'pci-south-bridge';
  readonly #powerPort: number;
  readonly #isa = new ConfigSpace(ISA_BRIDGE);
  readonly #power = new ConfigSpace(POWER_MANAGEMENT);

  constructor(options: SouthBridgeOptions) {
    this.#powerPort = options.powerPort;
    for (let i = 0; i < PIRQ_ROUTE.count; i++) this.#isa.allow(PIRQ_ROUTE.at + i, PIRQ_ROUTE.writable, 1);
    this.#power.allow(COMMAND, IO_SPACE, 2);
    this.#power.allow(INTERRUPT_LINE, 0xff, 1);
    this.#power.allow(DEVACTB.at, -1, 4);
    this.#power.allow(PMREGMISC.at, PMREGMISC.ioSpaceEnabled, 1);
    options.bridge.attach(SLOT, ISA_FUNCTION, this.#isa);
    options.bridge.attach(SLOT, POWER_FUNCTION, this.#power);
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
    this.#power.set(PMBA.at, this.#powerPort | PMBA.ioSpace, 4);
    this.#power.set(DEVACTB.at, DEVACTB.apmcEnabled, 4);
    this.#power.set(PMREGMISC.at, PMREGMISC.ioSpaceEnabled, 1);
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
  }
}
