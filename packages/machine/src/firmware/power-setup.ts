// Power management as firmware leaves it to what it boots: the south bridge decodes the block where the ACPI tables say it is (PIIX4, 290562, 7.2).

import type { AccessBytes } from '@anillo/devices/device';
import { ACPI_PM } from '@anillo/devices/timer/acpi-pm';

const CONFIG_ADDRESS = 0xcf8;
const CONFIG_DATA = 0xcfc;
/** Function 0:1.3. */
const POWER_FUNCTION = 0x80000b00;
const PMBA = 0x40;
const PMREGMISC = 0x80;

/** Port writes, in order. */
export const POWER_PORT_WRITES: readonly (readonly [port: number, byteCount: AccessBytes, value: number])[] = [
  [CONFIG_ADDRESS, 4, POWER_FUNCTION + PMBA],
  [CONFIG_DATA, 4, ACPI_PM.eventPort],
  [CONFIG_ADDRESS, 4, POWER_FUNCTION + PMREGMISC],
  [CONFIG_DATA, 1, 1],
  [CONFIG_ADDRESS, 4, 0],
];
