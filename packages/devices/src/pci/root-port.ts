// `pcie-root-port`: a port of the root complex with a slot for one device, which may come and go while the guest runs (PCI Express native hot-plug).

import { AnilloError } from '@anillo/base/anillo-error';
import { declareDevice, PCI_ADDRESS } from '../device-declaration.ts';
import type { Device } from '../device.ts';
import { StateList } from '../state-list.ts';
import { addExpressCapability } from './express-capability.ts';
import { ExpressSlot } from './express-slot.ts';
import { PciBridge } from './pci-bridge.ts';
import type { HotPlugController, PciBus, PciPlace } from './pci-bus.ts';

/** Red Hat's root port: no driver of its own is needed. */
const IDENTITY = { vendor: 0x1b36, device: 0x000c, revision: 0, classCode: 0x060400 } as const;

export interface RootPortOptions {
  readonly place: PciPlace;
  readonly address: number | undefined;
  readonly busName: string;
  readonly slot: number;
  readonly port: number;
}

export class RootPort implements Device, HotPlugController {
  readonly name = 'pcie-root-port';
  readonly secondaryBus: PciBus;
  readonly #bridge: PciBridge;
  readonly #slot: ExpressSlot;
  readonly #state: StateList;

  constructor({ place, address, busName, slot, port }: RootPortOptions) {
    this.#bridge = new PciBridge({
      ...{ identity: IDENTITY, busName, firstFreeDevice: 0, deviceCount: 1, isExpress: true, interrupts: true },
      isLinked: () => this.#slot.isLinked,
    });
    const { fn, secondary } = this.#bridge;
    this.secondaryBus = secondary;
    this.#slot = new ExpressSlot({
      ...{ fn, number: slot, at: addExpressCapability(fn.config, { number: port }) },
      isOccupied: () => !secondary.isFree(0),
      onLinkDown: () => secondary.resetFunctions(),
      onEject: () => secondary.onEject?.(0),
    });
    this.#state = new StateList(this.#bridge, this.#slot);
    this.#bridge.onConfigWrite = () => this.#slot.update();
    secondary.hotPlug = this;
    place.attach(this.#bridge, address);
  }

  reset(): void {
    this.#bridge.reset();
    this.#slot.reset();
  }

  save(): Uint8Array {
    return this.#state.save();
  }

  restore(state: Uint8Array): void {
    this.#state.restore(state);
  }

  plugged(): void {
    this.#slot.plugged();
  }

  unplug(): void {
    this.#slot.unplug();
  }

  removed(): void {
    this.#slot.emptied();
  }
}

export const pcieRootPort = declareDevice({
  name: 'pcie-root-port',
  bus: 'PCI',
  summary: 'Port with a slot for a device that may come and go; its id names the bus behind it',
  properties: {
    slot: { kind: 'number', summary: 'Number of the slot', default: 0, minimum: 0, maximum: 0x1fff },
    chassis: { kind: 'number', summary: 'Chassis; not told to the guest', default: 0, minimum: 0, maximum: 255 },
    port: { kind: 'number', summary: 'Number of the port', default: 0, minimum: 0, maximum: 255 },
    addr: PCI_ADDRESS,
  },
  create: ({ pci, id }, { slot, port, addr }) => {
    if (pci.kind !== 'root-complex')
      throw new AnilloError('BAD_OPTION', 'A pcie-root-port goes on the bus pcie.0 of the machine q35; choose that machine, without bus=.');
    return new RootPort({ place: pci, address: addr, busName: id ?? 'pcie-root-port', slot, port });
  },
});
