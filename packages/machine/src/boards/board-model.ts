// What makes a board: its bridges, where memory ends, and what firmware would set. Everything else is the same on all of them (pc-board.ts).

import type { AccessBytes, Device, IrqLine } from '@anillo/devices/device';
import type { PciBusKind } from '@anillo/devices/pci/pci-bus';
import type { EcamPlace } from '@anillo/devices/pci/q35-host-bridge';
import type { RootBus } from '@anillo/devices/pci/root-bus';
import type { PciInterrupts } from '../firmware/dsdt.ts';
import type { MemoryLayout } from './memory-map.ts';

export interface BridgeParts {
  readonly bus: RootBus;
  readonly irq: (gsi: number) => IrqLine;
  /** The power management block moved: to these ports, or nowhere. */
  readonly onPowerPort: (port: number | undefined) => void;
  /** Configuration in memory moved there, or is gone. */
  readonly onEcam: (place: EcamPlace | undefined) => void;
}

export interface ConfigWrite {
  /** Device << 3 | function. */
  readonly number: number;
  readonly offset: number;
  readonly byteCount: AccessBytes;
  readonly value: number;
}

export interface BoardModel {
  readonly name: string;
  readonly layout: MemoryLayout;
  /** What its PCI bus 0 is. */
  readonly rootBus: PciBusKind;
  readonly pciInterrupts: PciInterrupts;
  /** The first PCI device number that is not the board's own. */
  readonly firstFreeDevice: number;
  /** Interrupt inputs that nobody else has, for devices that no bus tells of. */
  readonly mmioInterrupts: readonly number[];
  readonly hasIommu: boolean;
  /** The power management block has an SMI_EN register (ICH9). */
  readonly hasSmiEnable: boolean;
  /** Configuration that firmware would write, beyond interrupt routing. */
  readonly configWrites: readonly ConfigWrite[];
  /** Puts the bridges on the bus. */
  createBridges(parts: BridgeParts): readonly Device[];
}
