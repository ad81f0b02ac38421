// What is on the PCI buses now, for people and programs: as the guest has numbered them.

import { CONFIG } from '@anillo/devices/pci/config-space';
import { BRIDGE } from '@anillo/devices/pci/pci-bridge';
import type { PciBus } from '@anillo/devices/pci/pci-bus';

export interface PciNode {
  readonly device: number;
  readonly function: number;
  readonly vendorId: number;
  readonly deviceId: number;
  /** Base class << 8 | subclass. */
  readonly classCode: number;
  /** Of the user's device that it belongs to. */
  readonly id: string | undefined;
  /** Of a bridge: what is behind it. */
  readonly behind: PciBranch | undefined;
}

export interface PciBranch {
  readonly busNumber: number;
  readonly nodes: readonly PciNode[];
}

export function pciTree(bus: PciBus, idOf: (bus: PciBus, device: number) => string | undefined, busNumber = 0): PciBranch {
  const nodes = bus.numbers.map((number): PciNode => {
    const secondary = bus.functionAt(number)?.secondary;
    return {
      device: number >> 3,
      function: number & 7,
      vendorId: bus.readConfig(number, CONFIG.vendor, 2),
      deviceId: bus.readConfig(number, CONFIG.device, 2),
      classCode: bus.readConfig(number, CONFIG.subclass, 2),
      id: idOf(bus, number >> 3),
      behind: secondary && pciTree(secondary, idOf, bus.readConfig(number, BRIDGE.secondary, 1)),
    };
  });
  return { busNumber, nodes };
}
