// South bridge at 0:31.0 that calls itself an Intel 82801IB (ICH9, order number 316972, 13.1): power management base, routing of PCI's interrupts to
// ISA interrupts and to the I/O APIC's inputs 16..23. What it stands for are devices of their own. The root complex's registers (RCBA) are not there.

import type { Device, IrqLine } from '../device.ts';
import { COMMAND, CONFIG, STATUS } from './config-space.ts';
import { PciFunction } from './pci-function.ts';
import { PirqRouter, ROUTE_OFF } from './pirq-router.ts';
import type { RootBus } from './root-bus.ts';

export const ICH9 = {
  device: 31,
  powerBaseAt: 0x40,
  powerControlAt: 0x44,
  powerEnabled: 0x80,
  /** Routing registers of PIRQA..PIRQD and PIRQE..PIRQH. */
  routesAt: 0x60,
  moreRoutesAt: 0x68,
  routeCount: 8,
  firstGsi: 16,
} as const;
const IDENTITY = { vendor: 0x8086, device: 0x2918, revision: 2, classCode: 0x060100 } as const;
const ROUTE_WRITABLE = 0x8f;
const POWER_BASE = { ioSpace: 1, writable: 0xff80 } as const;
const POWER_CONTROL_WRITABLE = 0x87;
const ROOT_COMPLEX = { at: 0xf0, writable: 0xffffc001 } as const;

export interface Ich9Options {
  readonly bus: RootBus;
  readonly irq: (gsi: number) => IrqLine;
  /** The power management block moved: to these ports, or nowhere. */
  readonly onPowerPort: (port: number | undefined) => void;
}

export const ich9RouteRegister = (input: number): number => (input < 4 ? ICH9.routesAt + input : ICH9.moreRoutesAt + input - 4);

/** How the board wires the pins of a device: to PIRQE..PIRQH, turned by one from slot to slot. */
export const ich9Input = (device: number, pin: number): number => 4 + ((device + pin) & 3);

export class Ich9 implements Device {
  readonly name = 'ich9';
  readonly #onPowerPort: Ich9Options['onPowerPort'];
  #powerPort: number | undefined = undefined;
  readonly #fn = new PciFunction({ identity: IDENTITY });
  readonly #router: PirqRouter;

  constructor(options: Ich9Options) {
    const { bus, irq, onPowerPort } = options;
    this.#onPowerPort = onPowerPort;
    this.#declare();
    bus.attach(this.#fn, ICH9.device << 3);
    this.#router = new PirqRouter({
      irq,
      inputCount: ICH9.routeCount,
      firstOwnGsi: ICH9.firstGsi,
      route: (input) => this.#fn.readConfig(ich9RouteRegister(input), 1),
    });
    bus.inputOf = ich9Input;
    bus.onInterrupts = (levels) => this.#router.update(levels);
    this.#fn.onConfigWrite = () => this.#update();
  }

  #declare(): void {
    const { config } = this.#fn;
    config.define(CONFIG.command, COMMAND.io | COMMAND.memory | COMMAND.master, 2);
    config.define(CONFIG.status, STATUS.mediumDevsel, 2);
    config.define(ICH9.powerBaseAt, POWER_BASE.ioSpace, 4);
    config.allow(ICH9.powerBaseAt, POWER_BASE.writable, 4);
    config.allow(ICH9.powerControlAt, POWER_CONTROL_WRITABLE, 1);
    for (let input = 0; input < ICH9.routeCount; input++) {
      config.define(ich9RouteRegister(input), ROUTE_OFF, 1);
      config.allow(ich9RouteRegister(input), ROUTE_WRITABLE, 1);
    }
    config.allow(ROOT_COMPLEX.at, ROOT_COMPLEX.writable, 4);
  }

  reset(): void {
    this.#fn.reset();
    this.#update();
  }

  save(): Uint8Array {
    return this.#fn.save();
  }

  restore(state: Uint8Array): void {
    this.#fn.restore(state);
    this.#update();
  }

  #update(): void {
    this.#router.update();
    const isEnabled = (this.#fn.readConfig(ICH9.powerControlAt, 1) & ICH9.powerEnabled) !== 0;
    const port = isEnabled ? this.#fn.readConfig(ICH9.powerBaseAt, 4) & POWER_BASE.writable : undefined;
    if (port === this.#powerPort) return;
    this.#powerPort = port;
    this.#onPowerPort(port);
  }
}
