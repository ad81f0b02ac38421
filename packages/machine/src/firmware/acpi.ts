// ACPI tables of the `pc` board (ACPI 6.5, chapter 5): RSDP, RSDT, XSDT, FADT, FACS, DSDT, MADT, HPET, MCFG where
// PCI configuration is memory, and what devices bring.
// They are built position-independent: pointers hold offsets into `tables`, and `pointers` and `checksums` say what is left to do. Without firmware
// `placeAcpi` does it; with firmware the same lists become the loader script that it runs (fw_cfg `etc/table-loader`).

import type { AcpiPart } from '@anillo/devices/device';
import { ByteBuilder, checksum8 } from '../byte-builder.ts';
import { buildDsdt, type DsdtConfig } from './dsdt.ts';

/** Registers and interrupts that the tables describe. */
export interface AcpiConfig extends DsdtConfig {
  readonly sciIrq: number;
  readonly smiCommandPort: number;
  readonly acpiEnable: number;
  readonly acpiDisable: number;
  readonly pm1EventPort: number;
  readonly pm1ControlPort: number;
  readonly pmTimerPort: number;
  /** The PM timer counts 32 bits, not 24. */
  readonly pmTimer32: boolean;
  readonly gpe0Port: number;
  readonly gpe0Bytes: number;
  readonly resetPort: number;
  readonly resetValue: number;
  readonly localApicAddress: number;
  readonly ioApicAddress: number;
  readonly ioApicId: number;
  /** Capability register of the HPET, low 32 bits. */
  readonly hpetId: number;
  /** Tables that devices bring. */
  readonly tables: readonly NonNullable<AcpiPart['table']>[];
}

type Part = 'tables' | 'rsdp';

export interface AcpiImage {
  readonly tables: Uint8Array;
  /** Offset of the FACS in `tables`. */
  readonly facsAt: number;
  readonly rsdp: Uint8Array;
  /** Fields that hold an offset into `tables`, to become addresses. */
  readonly pointers: readonly { readonly part: Part; readonly at: number; readonly byteCount: 4 | 8 }[];
  /** To be computed once the pointers are. In this order. */
  readonly checksums: readonly { readonly part: Part; readonly at: number; readonly start: number; readonly byteCount: number }[];
}

const OEM_ID = 'ANILLO';
const OEM_TABLE_ID = 'ANILLOPC';
const HEADER_BYTES = 36;

/** System description table: header (checksum left at 0) and body. */
function table(signature: string, revision: number, body: Uint8Array): Uint8Array {
  return new ByteBuilder()
    .text(signature, 4)
    .u32(HEADER_BYTES + body.length)
    .u8(revision, 0)
    .text(OEM_ID, 6)
    .text(OEM_TABLE_ID, 8)
    .u32(1)
    .text('ANLO', 4)
    .u32(1)
    .bytes(body)
    .build();
}

/** FADT flags (5.2.9, table 5.10). */
const FADT_FLAGS = {
  WBINVD: 1 << 0,
  PROC_C1: 1 << 2,
  POWER_BUTTON_IS_DEVICE: 1 << 4,
  SLEEP_BUTTON_IS_DEVICE: 1 << 5,
  RTC_WAKE_NOT_FIXED: 1 << 6,
  TIMER_32: 1 << 8,
  RESET_REGISTER: 1 << 10,
} as const;
/** IAPC_BOOT_ARCH: legacy devices, an 8042; no VGA to probe for. */
const BOOT_ARCH = 0x0001 | 0x0002 | 0x0004;

/** Access sizes of generic addresses. */
const ACCESS = { BYTE: 1, WORD: 2, DWORD: 3 } as const;

/** Generic address structure (5.2.3.2) of I/O ports. */
const ioAddress = (out: ByteBuilder, port: number, byteCount: number, access: number): ByteBuilder =>
  out.u8(1, byteCount * 8, 0, access).u64(port);
const noAddress = (out: ByteBuilder): ByteBuilder => out.zeros(12);

/** FADT, revision 6.4. The pointers FIRMWARE_CTRL, DSDT (32 bits) and X_DSDT are at 36, 40 and 140; X_FIRMWARE_CTRL stays 0 as 5.2.9 asks. */
function fadt(c: AcpiConfig, facsAt: number, dsdtAt: number): Uint8Array {
  const flags =
    FADT_FLAGS.WBINVD |
    FADT_FLAGS.PROC_C1 |
    FADT_FLAGS.SLEEP_BUTTON_IS_DEVICE |
    FADT_FLAGS.RTC_WAKE_NOT_FIXED |
    FADT_FLAGS.RESET_REGISTER |
    (c.powerButton ? 0 : FADT_FLAGS.POWER_BUTTON_IS_DEVICE) |
    (c.pmTimer32 ? FADT_FLAGS.TIMER_32 : 0);
  const NO_C_STATE = 0xfff;
  const RTC_CENTURY = 0x32;
  const b = new ByteBuilder()
    .u32(facsAt)
    .u32(dsdtAt)
    .u8(0, 1) // reserved, preferred profile: desktop
    .u16(c.sciIrq)
    .u32(c.smiCommandPort)
    .u8(c.acpiEnable, c.acpiDisable, 0, 0) // no S4BIOS, no P-state control
    .u32(c.pm1EventPort)
    .u32(0)
    .u32(c.pm1ControlPort)
    .u32(0)
    .u32(0)
    .u32(c.pmTimerPort)
    .u32(c.gpe0Port)
    .u32(0)
    .u8(4, 2, 0, 4, c.gpe0Bytes, 0, 0, 0) // lengths: PM1 event, PM1 control, PM2, PM timer, GPE0, GPE1; GPE1 base; no C-state control
    .u16(NO_C_STATE)
    .u16(NO_C_STATE)
    .u16(0)
    .u16(0)
    .u8(0, 0, 0, 0, RTC_CENTURY) // duty offset and width, day and month alarm, century
    .u16(BOOT_ARCH)
    .u8(0)
    .u32(flags);
  ioAddress(b, c.resetPort, 1, ACCESS.BYTE).u8(c.resetValue).u16(0).u8(4).u64(0).u64(dsdtAt); // ARM boot flags 0, FADT minor version 4
  ioAddress(b, c.pm1EventPort, 4, ACCESS.WORD);
  noAddress(b);
  ioAddress(b, c.pm1ControlPort, 2, ACCESS.WORD);
  noAddress(b);
  noAddress(b);
  ioAddress(b, c.pmTimerPort, 4, ACCESS.DWORD);
  ioAddress(b, c.gpe0Port, c.gpe0Bytes, ACCESS.BYTE);
  noAddress(b);
  b.zeros(24).text('ANILLO', 8, 0); // sleep control and status registers (hardware-reduced only), hypervisor vendor
  return table('FACP', 6, b.build());
}

/** FACS (5.2.10): no checksum; 64-byte aligned. */
const facs = (): Uint8Array => new ByteBuilder().text('FACS', 4).u32(64).zeros(24).u8(2).zeros(31).build();

/** MADT (5.2.12). Interrupt flags: polarity in bits 0-1 (1: high), trigger in bits 2-3 (3: level). */
function madt(c: AcpiConfig): Uint8Array {
  const ACTIVE_HIGH_LEVEL = 0x0d;
  const b = new ByteBuilder().u32(c.localApicAddress).u32(1); // PCAT_COMPAT: two 8259 as well
  for (let cpu = 0; cpu < c.cpuCount; cpu++) b.u8(0, 8, cpu, cpu).u32(1);
  b.u8(1, 12, c.ioApicId, 0).u32(c.ioApicAddress).u32(0);
  b.u8(2, 10, 0, 0).u32(2).u16(0); // the timer's IRQ 0 is input 2
  b.u8(2, 10, 0, c.sciIrq).u32(c.sciIrq).u16(ACTIVE_HIGH_LEVEL);
  b.u8(4, 6, 0xff).u16(0).u8(1); // every CPU's LINT1 is NMI
  return table('APIC', 5, b.build());
}

/** HPET table (IA-PC HPET 1.0a, 3.2.4). */
function hpet(c: AcpiConfig): Uint8Array {
  const b = new ByteBuilder().u32(c.hpetId).u8(0, 64, 0, 0).u64(c.hpetAddress).u8(0).u16(0).u8(0);
  return table('HPET', 1, b.build());
}

/** MCFG (PCI Firmware 3.0, 4.1.2): configuration of segment 0 in memory, 1 MiB a bus. */
function mcfg(ecam: NonNullable<AcpiConfig['ecam']>): Uint8Array {
  const lastBus = ecam.byteCount / 0x100000 - 1;
  return table('MCFG', 1, new ByteBuilder().zeros(8).u64(ecam.start).u16(0).u8(0, lastBus).u32(0).build());
}

export function buildAcpi(config: AcpiConfig): AcpiImage {
  const out = new ByteBuilder();
  const checksums: { part: Part; at: number; start: number; byteCount: number }[] = [];
  const pointers: { part: Part; at: number; byteCount: 4 | 8 }[] = [];
  const CHECKSUM_AT = 9;
  const append = (bytes: Uint8Array, summed = true): number => {
    out.align(64);
    const at = out.byteCount;
    out.bytes(bytes);
    if (summed) checksums.push({ part: 'tables', at: at + CHECKSUM_AT, start: at, byteCount: bytes.length });
    return at;
  };

  const facsAt = append(facs(), false);
  const dsdtAt = append(table('DSDT', 2, buildDsdt(config)));
  const fadtAt = append(fadt(config, facsAt, dsdtAt));
  pointers.push(
    { part: 'tables', at: fadtAt + 36, byteCount: 4 },
    { part: 'tables', at: fadtAt + 40, byteCount: 4 },
    { part: 'tables', at: fadtAt + 140, byteCount: 8 },
  );
  const listed = [fadtAt, append(madt(config)), append(hpet(config))];
  if (config.ecam !== undefined) listed.push(append(mcfg(config.ecam)));
  for (const t of config.tables) listed.push(append(table(t.signature, t.revision, t.body)));

  const rsdt = new ByteBuilder();
  const xsdt = new ByteBuilder();
  for (const at of listed) {
    rsdt.u32(at);
    xsdt.u64(at);
  }
  const rsdtAt = append(table('RSDT', 1, rsdt.build()));
  const xsdtAt = append(table('XSDT', 1, xsdt.build()));
  listed.forEach((_, i) => {
    pointers.push(
      { part: 'tables', at: rsdtAt + HEADER_BYTES + 4 * i, byteCount: 4 },
      { part: 'tables', at: xsdtAt + HEADER_BYTES + 8 * i, byteCount: 8 },
    );
  });

  // RSDP (5.2.5.3): the first checksum covers 20 bytes, the second all 36.
  const rsdp = new ByteBuilder().text('RSD PTR ', 8).u8(0).text(OEM_ID, 6).u8(2).u32(rsdtAt).u32(36).u64(xsdtAt).u8(0).zeros(3).build();
  pointers.push({ part: 'rsdp', at: 16, byteCount: 4 }, { part: 'rsdp', at: 24, byteCount: 8 });
  checksums.push({ part: 'rsdp', at: 8, start: 0, byteCount: 20 }, { part: 'rsdp', at: 32, start: 0, byteCount: 36 });
  return { tables: out.build(), facsAt, rsdp, pointers, checksums };
}

/** Tables ready to be put at address `tablesAt` (a multiple of 64, below 4 GiB). */
export function placeAcpi(image: AcpiImage, tablesAt: number): { readonly tables: Uint8Array; readonly rsdp: Uint8Array } {
  const parts = { tables: image.tables.slice(), rsdp: image.rsdp.slice() };
  for (const p of image.pointers) {
    const data = new DataView(parts[p.part].buffer);
    data.setUint32(p.at, data.getUint32(p.at, true) + tablesAt, true);
  }
  for (const c of image.checksums) parts[c.part][c.at] = checksum8(parts[c.part].subarray(c.start, c.start + c.byteCount));
  return parts;
}

/** Names under which firmware finds the tables (fw_cfg). */
export const ACPI_FILES = { tables: 'etc/acpi/tables', rsdp: 'etc/acpi/rsdp', loader: 'etc/table-loader' } as const;

/** The script that tells firmware how to place and finish the tables: 128 bytes a command (allocate, add pointer, add checksum). */
export function acpiLoaderScript(image: AcpiImage): Uint8Array {
  const COMMAND_BYTES = 128;
  const NAME_BYTES = 56;
  const out = new ByteBuilder();
  const command = (code: number, fill: () => void): void => {
    const start = out.byteCount;
    out.u32(code);
    fill();
    out.zeros(COMMAND_BYTES - (out.byteCount - start));
  };
  command(1, () => out.text(ACPI_FILES.tables, NAME_BYTES, 0).u32(64).u8(1)); // anywhere
  command(1, () => out.text(ACPI_FILES.rsdp, NAME_BYTES, 0).u32(16).u8(2)); // in the scan area
  for (const p of image.pointers)
    command(2, () => out.text(ACPI_FILES[p.part], NAME_BYTES, 0).text(ACPI_FILES.tables, NAME_BYTES, 0).u32(p.at).u8(p.byteCount));
  for (const c of image.checksums) command(3, () => out.text(ACPI_FILES[c.part], NAME_BYTES, 0).u32(c.at).u32(c.start).u32(c.byteCount));
  return out.build();
}
