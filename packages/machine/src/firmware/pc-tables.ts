// The firmware tables of the `pc` board, and where they lie when no firmware places them.

import { ACPI_HOT_PLUG } from '@anillo/devices/pci/acpi-hot-plug';
import { ACPI_PM } from '@anillo/devices/timer/acpi-pm';
import type { AcpiPart } from '@anillo/devices/device';
import type { EcamPlace } from '@anillo/devices/pci/q35-host-bridge';
import { PC_MEMORY, type PcMemoryMap } from '../boards/memory-map.ts';
import type { Segment } from '../boot/load-plan.ts';
import { ByteBuilder } from '../byte-builder.ts';
import { type AcpiImage, buildAcpi, placeAcpi } from './acpi.ts';
import type { PciInterrupts } from './dsdt.ts';
import { buildSmbios, type SmbiosTables } from './smbios.ts';

export interface PcTablesConfig {
  readonly map: PcMemoryMap;
  readonly cpuModel: string;
  readonly cpuCount: number;
  /** The machine can be suspended to RAM. */
  readonly suspends: boolean;
  readonly serialPorts: readonly { readonly port: number; readonly irq: number }[];
  /** Where the power management block is. Default: where it is put when there is no firmware. */
  readonly powerPort?: number;
  readonly pciInterrupts: PciInterrupts;
  readonly ecam: EcamPlace | undefined;
  /** Device numbers of PCI bus 0 where devices may come and go. */
  readonly hotPlugDevices: readonly number[];
  /** What devices want told. */
  readonly parts: readonly AcpiPart[];
}

export interface PcTables {
  readonly acpi: AcpiImage;
  readonly smbios: SmbiosTables;
}

/** 16-byte aligned, where operating systems scan. */
const RSDP_AT = PC_MEMORY.SCAN_AREA;
const SMBIOS_ENTRY_AT = RSDP_AT + 0x40;
const SMBIOS_AT = RSDP_AT + 0x80;

export const PC_RSDP_ADDRESS = RSDP_AT;
export const PC_PORTS = { FW_CFG: 0x510 } as const;
export const IO_APIC_ID = 0;
const FACS_WAKING_VECTOR = 12;
/** Revision 1, three 64-bit comparators, legacy replacement, vendor 0x8086. */
const HPET_ID = 0x8086a201;

/** Device memory below 4 GiB that PCI may use: all but its own configuration. */
function pciWindows(hole: number, ecam: EcamPlace | undefined): { start: number; end: number }[] {
  const end = PC_MEMORY.IOAPIC;
  if (ecam === undefined || ecam.start < hole || ecam.start >= end) return [{ start: hole, end }];
  const parts = [
    { start: hole, end: ecam.start },
    { start: ecam.start + ecam.byteCount, end },
  ];
  return parts.filter((w) => w.start < w.end);
}

export function buildPcTables(c: PcTablesConfig): PcTables {
  const moved = (c.powerPort ?? ACPI_PM.eventPort) - ACPI_PM.eventPort;
  const acpi = buildAcpi({
    cpuCount: c.cpuCount,
    sleepTypeS5: ACPI_PM.sleepTypeS5,
    sleepTypeS3: c.suspends ? ACPI_PM.sleepTypeS3 : undefined,
    powerButton: true,
    hpetAddress: PC_MEMORY.HPET,
    hpetId: HPET_ID,
    pciWindows: pciWindows(c.map.hole, c.ecam),
    pciInterrupts: c.pciInterrupts,
    ecam: c.ecam,
    serialPorts: c.serialPorts,
    keyboard: true,
    nodes: c.parts.flatMap((part) => part.node ?? []),
    tables: c.parts.flatMap((part) => part.table ?? []),
    hotPlug: { ...ACPI_HOT_PLUG, devices: c.hotPlugDevices },
    fwCfgPort: PC_PORTS.FW_CFG,
    sciIrq: ACPI_PM.sciGsi,
    smiCommandPort: ACPI_PM.smiCommandPort,
    acpiEnable: ACPI_PM.acpiEnable,
    acpiDisable: ACPI_PM.acpiDisable,
    pm1EventPort: ACPI_PM.eventPort + moved,
    pm1ControlPort: ACPI_PM.controlPort + moved,
    pmTimerPort: ACPI_PM.timerPort + moved,
    pmTimer32: true,
    gpe0Port: ACPI_PM.gpe0Port + moved,
    gpe0Bytes: ACPI_PM.gpe0Bytes,
    resetPort: ACPI_PM.resetPort,
    resetValue: ACPI_PM.resetValue,
    localApicAddress: PC_MEMORY.LOCAL_APIC,
    ioApicAddress: PC_MEMORY.IOAPIC,
    ioApicId: IO_APIC_ID,
  });
  const smbios = buildSmbios({ map: c.map, cpuModel: c.cpuModel, cpuCount: c.cpuCount, version: '0.1.0' }, SMBIOS_AT);
  return { acpi, smbios };
}

/** The BIOS data area's few fields that operating systems read without calling the BIOS: UART ports, EBDA segment, conventional memory. */
function biosDataArea(serialPorts: PcTablesConfig['serialPorts']): Segment[] {
  const EBDA_KIB = 1;
  const uarts = new ByteBuilder();
  for (let i = 0; i < 4; i++) uarts.u16(serialPorts[i]?.port ?? 0);
  const at = (address: number, bytes: Uint8Array): Segment => ({ address, bytes, byteCount: bytes.length });
  return [
    at(0x400, uarts.build()),
    at(0x40e, new ByteBuilder().u16(PC_MEMORY.EBDA >> 4).build()),
    at(0x413, new ByteBuilder().u16(PC_MEMORY.EBDA / 1024).build()),
    at(PC_MEMORY.EBDA, Uint8Array.of(EBDA_KIB)),
  ];
}

/** Where the operating system wants to be entered after a suspend to RAM (FACS, ACPI 6.5, 5.2.10): a real-mode address. */
export const wakingVectorAddress = (tables: PcTables): number => PC_MEMORY.FIRMWARE_AREA + tables.acpi.facsAt + FACS_WAKING_VECTOR;

/** What lies in memory at the start of an operating system that no firmware has prepared. */
export function placePcTables(tables: PcTables, serialPorts: PcTablesConfig['serialPorts']): Segment[] {
  const { tables: acpi, rsdp } = placeAcpi(tables.acpi, PC_MEMORY.FIRMWARE_AREA);
  const at = (address: number, bytes: Uint8Array): Segment => ({ address, bytes, byteCount: bytes.length });
  return [
    ...biosDataArea(serialPorts),
    at(PC_MEMORY.FIRMWARE_AREA, acpi),
    at(RSDP_AT, rsdp),
    at(SMBIOS_ENTRY_AT, tables.smbios.entryPoint),
    at(SMBIOS_AT, tables.smbios.structures),
  ];
}
