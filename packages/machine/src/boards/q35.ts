// The board `q35`: Intel 82Q35 and ICH9, with PCI configuration in memory, interrupt inputs of PCI's own, and a place for an IOMMU.

import { ICH9, Ich9, ich9Input, ich9RouteRegister } from '@anillo/devices/pci/ich9';
import { PCIEXBAR, Q35HostBridge } from '@anillo/devices/pci/q35-host-bridge';
import { ACPI_PM } from '@anillo/devices/timer/acpi-pm';
import type { BoardModel } from './board-model.ts';
import { MIB } from './memory-map.ts';

const HOST_BRIDGE = 0;
const LPC = ICH9.device << 3;
const ECAM = { start: 0xb0000000, byteCount: 256 * MIB } as const;
const INPUTS = [0, 1, 2, 3, 4, 5, 6, 7] as const;

export const Q35: BoardModel = {
  name: 'q35',
  layout: { hole: 0x80000000, ecam: ECAM },
  rootBus: 'root-complex',
  firstFreeDevice: 1,
  mmioInterrupts: [6, 7, 14, 15],
  hasIommu: true,
  hasSmiEnable: true,
  pciInterrupts: {
    bridgeDevice: ICH9.device,
    routeRegisters: INPUTS.map(ich9RouteRegister),
    isaInterrupts: [5, 10, 11],
    firstRoutes: [10, 10, 11, 11, 10, 10, 11, 11],
    firstOwnGsi: ICH9.firstGsi,
    inputOf: ich9Input,
  },
  configWrites: [
    { number: HOST_BRIDGE, offset: PCIEXBAR.at + 4, byteCount: 4, value: 0 },
    { number: HOST_BRIDGE, offset: PCIEXBAR.at, byteCount: 4, value: ECAM.start + PCIEXBAR.enable },
    { number: LPC, offset: ICH9.powerBaseAt, byteCount: 4, value: ACPI_PM.eventPort },
    { number: LPC, offset: ICH9.powerControlAt, byteCount: 1, value: ICH9.powerEnabled },
  ],
  createBridges: ({ bus, irq, onPowerPort, onEcam }) => [new Q35HostBridge(bus, onEcam), new Ich9({ bus, irq, onPowerPort })],
};
