// The one memory map of the boards. Everything that tells a guest about memory (e820, ACPI, SMBIOS, fw_cfg, boot information) derives from it.
//
//   0x00000000  RAM                        hole        devices; where it begins is the board's
//   0x000a0000  VGA window, not RAM        0xfec00000  IOAPIC, 0xfed00000 HPET, 0xfee00000 local APIC
//   0x000c0000  RAM (firmware shadow)      4 GiB - n   firmware ROM, if any
//   0x00100000  RAM                        4 GiB       the rest of RAM

import type { VmConfig } from '@anillo/accel/accelerator';

export const KIB = 1024;
export const MIB = 1024 * KIB;
export const GIB = 1024 * MIB;
export const FOUR_GIB = 4 * GIB;

export const PC_MEMORY = {
  EBDA: 0x9fc00,
  VGA_WINDOW: 0xa0000,
  SHADOW: 0xc0000,
  /** ACPI tables, when no firmware brings its own. */
  FIRMWARE_AREA: 0xe0000,
  /** RSDP, SMBIOS entry point and structures: where operating systems scan for them. */
  SCAN_AREA: 0xf0000,
  HIGH: 0x100000,
  IOAPIC: 0xfec00000,
  VIRTIO_MMIO: 0xfec20000,
  VIRTIO_MMIO_STRIDE: 0x1000,
  HPET: 0xfed00000,
  LOCAL_APIC: 0xfee00000,
} as const;

/** What boards differ in. */
export interface MemoryLayout {
  /** Devices are from here to 4 GiB. */
  readonly hole: number;
  /** Where PCI configuration is memory when no firmware chose a place. */
  readonly ecam?: { readonly start: number; readonly byteCount: number };
}

/** E820 types (ACPI 6.5, 15.1). */
export const E820 = { RAM: 1, RESERVED: 2, ACPI: 3, NVS: 4 } as const;

export interface E820Entry {
  readonly start: number;
  readonly byteCount: number;
  readonly type: number;
}

export interface PcMemoryMap {
  /** RAM as the user asked for it; the part behind the VGA window is lost, as on any PC. */
  readonly memoryBytes: number;
  /** Devices are from here to 4 GiB. */
  readonly hole: number;
  /** First address after RAM below 4 GiB. */
  readonly lowEnd: number;
  /** RAM from 4 GiB on. */
  readonly highBytes: number;
  /** Firmware ROM, ending at 4 GiB; 0: none. */
  readonly romBytes: number;
  readonly regions: VmConfig['regions'];
  /** For an operating system that is started without firmware. */
  readonly e820: readonly E820Entry[];
  /** RAM as the firmware is told about it (fw_cfg `etc/e820`): it adds its own reservations. */
  readonly ram: readonly E820Entry[];
}

/** `memoryBytes` is 1 MiB to 3584 MiB (see machine-memory.ts), `romBytes` a multiple of 4 KiB. */
export function pcMemoryMap(memoryBytes: number, romBytes: number, layout: MemoryLayout): PcMemoryMap {
  const { EBDA, VGA_WINDOW, SHADOW, FIRMWARE_AREA, HIGH, IOAPIC, HPET, LOCAL_APIC } = PC_MEMORY;
  const { hole, ecam } = layout;
  const lowEnd = Math.min(memoryBytes, hole);
  const highBytes = memoryBytes - lowEnd;
  const regions: { start: number; byteCount: number; kind: 'ram' | 'rom' }[] = [
    { start: 0, byteCount: VGA_WINDOW, kind: 'ram' },
    { start: SHADOW, byteCount: lowEnd - SHADOW, kind: 'ram' },
  ];
  if (highBytes > 0) regions.push({ start: FOUR_GIB, byteCount: highBytes, kind: 'ram' });
  if (romBytes > 0) regions.push({ start: FOUR_GIB - romBytes, byteCount: romBytes, kind: 'rom' });

  const ram: E820Entry[] = [{ start: 0, byteCount: lowEnd, type: E820.RAM }];
  const high: E820Entry[] = highBytes > 0 ? [{ start: FOUR_GIB, byteCount: highBytes, type: E820.RAM }] : [];
  const e820: E820Entry[] = [
    { start: 0, byteCount: EBDA, type: E820.RAM },
    { start: EBDA, byteCount: VGA_WINDOW - EBDA, type: E820.RESERVED },
    { start: FIRMWARE_AREA, byteCount: HIGH - FIRMWARE_AREA, type: E820.RESERVED },
    { start: HIGH, byteCount: lowEnd - HIGH, type: E820.RAM },
    { start: ecam?.start ?? 0, byteCount: ecam?.byteCount ?? 0, type: E820.RESERVED },
    { start: IOAPIC, byteCount: 4 * KIB, type: E820.RESERVED },
    { start: HPET, byteCount: 4 * KIB, type: E820.RESERVED },
    { start: LOCAL_APIC, byteCount: 4 * KIB, type: E820.RESERVED },
    { start: FOUR_GIB - romBytes, byteCount: romBytes, type: E820.RESERVED },
    ...high,
  ];
  return { memoryBytes, hole, lowEnd, highBytes, romBytes, regions, e820: e820.filter((e) => e.byteCount > 0), ram: [...ram, ...high] };
}
