// `pci-bridge`: a bridge to another conventional PCI bus, for boards that have too few slots. Devices behind it stay where they are while the guest runs.

import { declareDevice, PCI_ADDRESS } from '../device-declaration.ts';
import type { Device } from '../device.ts';
import { PciBridge } from './pci-bridge.ts';
import type { PciBus, PciPlace } from './pci-bus.ts';

/** Red Hat's PCI-to-PCI bridge: no driver of its own is needed. */
const IDENTITY = { vendor: 0x1b36, device: 0x0001, revision: 0, classCode: 0x060400 } as const;
const DEVICE_COUNT = 32;

export class PciBridgeDevice implements Device {
  readonly name = 'pci-bridge';
  readonly secondaryBus: PciBus;
  readonly #bridge: PciBridge;

  constructor(place: PciPlace, address: number | undefined, busName: string) {
    this.#bridge = new PciBridge({
      ...{ identity: IDENTITY, busName, firstFreeDevice: 0, deviceCount: DEVICE_COUNT, isExpress: false, interrupts: false },
    });
    this.secondaryBus = this.#bridge.secondary;
    place.attach(this.#bridge, address);
  }

  reset(): void {
    this.#bridge.reset();
  }

  save(): Uint8Array {
    return this.#bridge.save();
  }

  restore(state: Uint8Array): void {
    this.#bridge.restore(state);
  }
}

export const pciBridge = declareDevice({
  name: 'pci-bridge',
  bus: 'PCI',
  summary: 'Bridge to another PCI bus, which its id names',
  properties: {
    chassis_nr: { kind: 'number', summary: 'Chassis; not told to the guest', default: 1, minimum: 0, maximum: 255 },
    addr: PCI_ADDRESS,
  },
  create: ({ pci, id }, { addr }) => new PciBridgeDevice(pci, addr, id ?? 'pci-bridge'),
});
