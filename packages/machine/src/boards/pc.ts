// The board `pc`: a PC of about 1998 by its chips (Intel 440FX and PIIX), of about 2010 by what they are given, without a graphics card.

import { I440fx } from '@anillo/devices/pci/i440fx';
import { PIIX, Piix, piixInput } from '@anillo/devices/pci/piix';
import { ACPI_PM } from '@anillo/devices/timer/acpi-pm';
import type { BoardModel } from './board-model.ts';

const POWER = (PIIX.device << 3) | PIIX.powerFunction;

export const PC: BoardModel = {
  name: 'pc',
  layout: { hole: 0xc0000000 },
  rootBus: 'conventional',
  firstFreeDevice: 2,
  mmioInterrupts: [16, 17, 18, 19, 20, 21, 22, 23],
  hasIommu: false,
  hasSmiEnable: false,
  pciInterrupts: {
    bridgeDevice: PIIX.device,
    routeRegisters: [0, 1, 2, 3].map((input) => PIIX.routesAt + input),
    isaInterrupts: [5, 10, 11],
    firstRoutes: [10, 10, 11, 11],
    inputOf: piixInput,
  },
  configWrites: [
    { number: POWER, offset: PIIX.powerBaseAt, byteCount: 4, value: ACPI_PM.eventPort },
    { number: POWER, offset: PIIX.powerEnableAt, byteCount: 1, value: 1 },
  ],
  createBridges: ({ bus, irq, onPowerPort }) => [new I440fx(bus), new Piix({ bus, irq, onPowerPort })],
};
