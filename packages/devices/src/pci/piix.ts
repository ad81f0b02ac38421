// The south bridge's two functions that firmware looks for: ISA bridge (Intel 82371SB PIIX3, order number 290550) at 0:1.0 and power management
// (82371AB PIIX4, 290562, 7.1 and 7.2) at 0:1.3. What they stand for are devices of their own; here is what configuration tells of them, and where PCI's
// interrupts go. The power management block is where firmware puts it: nowhere after reset, until PMBA and PMREGMISC are written.
// Departures: there is no SMBus, and no system management mode: APMC_EN is set at reset, by which firmware sees that nothing is left to set up.

import type { Device, IrqLine } from '../device.ts';
import { StateList } from '../state-list.ts';
import { COMMAND, CONFIG, STATUS } from './config-space.ts';
import { PciFunction } from './pci-function.ts';
import { PirqRouter, ROUTE_OFF } from './pirq-router.ts';
import type { RootBus } from './root-bus.ts';

export const PIIX = {
  device: 1,
  powerFunction: 3,
  /** Routing registers of PIRQA..PIRQD. */
  routesAt: 0x60,
  routeCount: 4,
  powerBaseAt: 0x40,
  powerEnableAt: 0x80,
} as const;
const ISA_BRIDGE = { vendor: 0x8086, device: 0x7000, revision: 0, classCode: 0x060100 } as const;
const POWER_MANAGEMENT = { vendor: 0x8086, device: 0x7113, revision: 3, classCode: 0x068000 } as const;
const ROUTE_WRITABLE = 0x8f;
const POWER_BASE = { ioSpace: 1, writable: 0xffc0 } as const;
const DEVACTB = { at: 0x58, apmcEnabled: 0x02000000 } as const;
const POWER_ENABLED = 1;

export interface PiixOptions {
  readonly bus: RootBus;
  readonly irq: (gsi: number) => IrqLine;
  /** The power management block moved: to these ports, or nowhere. */
  readonly onPowerPort: (port: number | undefined) => void;
}

export class Piix implements Device {
  readonly name = 'piix';
  readonly #onPowerPort: PiixOptions['onPowerPort'];
  #powerPort: number | undefined = undefined;
  readonly #isa = new PciFunction({ identity: ISA_BRIDGE });
  readonly #power = new PciFunction({ identity: POWER_MANAGEMENT });
  readonly #state = new StateList(this.#isa, this.#power);
  readonly #router: PirqRouter;

  constructor(options: PiixOptions) {
    const { bus, irq, onPowerPort } = options;
    this.#onPowerPort = onPowerPort;
    this.#declare();
    bus.attach(this.#isa, PIIX.device << 3);
    bus.attach(this.#power, (PIIX.device << 3) | PIIX.powerFunction);
    this.#router = new PirqRouter({
      irq,
      inputCount: PIIX.routeCount,
      route: (input) => this.#isa.readConfig(PIIX.routesAt + input, 1),
    });
    bus.inputOf = piixInput;
    bus.onInterrupts = (levels) => this.#router.update(levels);
    this.#isa.onConfigWrite = () => this.#router.update();
    this.#power.onConfigWrite = () => this.#placePower();
  }

  #declare(): void {
    const isa = this.#isa.config;
    const power = this.#power.config;
    isa.define(CONFIG.command, COMMAND.io | COMMAND.memory | COMMAND.master, 2);
    isa.define(CONFIG.status, STATUS.mediumDevsel, 2);
    for (let i = 0; i < PIIX.routeCount; i++) {
      isa.define(PIIX.routesAt + i, ROUTE_OFF, 1);
      isa.allow(PIIX.routesAt + i, ROUTE_WRITABLE, 1);
    }
    power.define(CONFIG.command, COMMAND.io, 2);
    power.allow(CONFIG.command, COMMAND.io, 2);
    power.define(CONFIG.status, STATUS.mediumDevsel, 2);
    power.define(PIIX.powerBaseAt, POWER_BASE.ioSpace, 4);
    power.allow(PIIX.powerBaseAt, POWER_BASE.writable, 4);
    power.define(DEVACTB.at, DEVACTB.apmcEnabled, 4);
    power.allow(DEVACTB.at, -1, 4);
    power.allow(PIIX.powerEnableAt, POWER_ENABLED, 1);
  }

  reset(): void {
    this.#isa.reset();
    this.#power.reset();
    this.#router.update();
    this.#placePower();
  }

  #placePower(): void {
    const isEnabled = (this.#power.readConfig(PIIX.powerEnableAt, 1) & POWER_ENABLED) !== 0;
    const port = isEnabled ? this.#power.readConfig(PIIX.powerBaseAt, 4) & POWER_BASE.writable : undefined;
    if (port === this.#powerPort) return;
    this.#powerPort = port;
    this.#onPowerPort(port);
  }

  /** The ISA bridge, then power management. */
  save(): Uint8Array {
    return this.#state.save();
  }

  restore(state: Uint8Array): void {
    this.#state.restore(state);
    this.#router.update();
    this.#placePower();
  }
}

/** How boards with this bridge wire the pins of a device: turned by one from slot to slot, PIRQA at the bridge's own. */
export const piixInput = (device: number, pin: number): number => (device + pin - 1) & 3;
