// What the board tells firmware through fw_cfg (QEMU's docs/specs/fw_cfg.rst has the keys): sizes, memory map, ACPI and SMBIOS tables.

import type { PcMemoryMap } from '../boards/memory-map.ts';
import { ByteBuilder } from '../byte-builder.ts';
import { ACPI_FILES, type AcpiImage, acpiLoaderScript } from './acpi.ts';
import { encodeE820 } from './e820.ts';
import { SMBIOS_FILES, type SmbiosTables } from './smbios.ts';

/** The part of the device that is filled here. */
export interface FwCfgItems {
  add(name: string, bytes: Uint8Array): void;
  setNumber(key: number, value: number, byteCount: 2 | 4 | 8): void;
}

const KEY = { RAM_BYTES: 0x03, NO_GRAPHIC: 0x04, CPU_COUNT: 0x05, CPU_MAX: 0x0f } as const;

export interface FwCfgContent {
  readonly map: PcMemoryMap;
  readonly cpuCount: number;
  readonly acpi: AcpiImage;
  readonly smbios: SmbiosTables;
  /** Port of the UART that firmware shows its console on. */
  readonly consolePort: number | undefined;
}

export function fillFwCfg(items: FwCfgItems, content: FwCfgContent): void {
  items.setNumber(KEY.RAM_BYTES, content.map.memoryBytes, 8);
  items.setNumber(KEY.NO_GRAPHIC, 1, 2);
  items.setNumber(KEY.CPU_COUNT, content.cpuCount, 2);
  items.setNumber(KEY.CPU_MAX, content.cpuCount, 2);
  items.add('etc/e820', encodeE820(content.map.ram));
  items.add(ACPI_FILES.tables, content.acpi.tables);
  items.add(ACPI_FILES.rsdp, content.acpi.rsdp);
  items.add(ACPI_FILES.loader, acpiLoaderScript(content.acpi));
  items.add(SMBIOS_FILES.entryPoint, content.smbios.entryPoint);
  items.add(SMBIOS_FILES.structures, content.smbios.structures);
  if (content.consolePort !== undefined) items.add('etc/sercon-port', new ByteBuilder().u16(content.consolePort).build());
}
