// SMBIOS 3.0 structures (DSP0134 3.0): what dmidecode and installers read. Types 0, 1, 3, 4, 16, 17, 19, 32, 127.

import type { PcMemoryMap } from '../boards/memory-map.ts';
import { FOUR_GIB, KIB, MIB } from '../boards/memory-map.ts';
import { ByteBuilder, checksum8 } from '../byte-builder.ts';

export interface SmbiosTables {
  /** 64-bit entry point (5.2.2), 24 bytes, its table address filled in. */
  readonly entryPoint: Uint8Array;
  readonly structures: Uint8Array;
}

export interface SmbiosConfig {
  readonly map: Pick<PcMemoryMap, 'memoryBytes' | 'lowEnd' | 'highBytes'>;
  readonly cpuModel: string;
  readonly cpuCount: number;
  readonly version: string;
}

type Fill = (body: ByteBuilder, text: (value: string) => number) => void;

const UNKNOWN = 2;
const HANDLE = {
  FIRMWARE: 0x0000,
  SYSTEM: 0x0100,
  CHASSIS: 0x0300,
  PROCESSOR: 0x0400,
  ARRAY: 0x1000,
  DIMM: 0x1100,
  MAPPED: 0x1300,
  BOOT: 0x2000,
  END: 0x7f00,
} as const;
const NO_HANDLE = 0xfffe;
const NO_CACHE = 0xffff;

/** Structure: header, formatted area, then its strings (6.1.3), each counted from 1. */
function structure(out: ByteBuilder, type: number, handle: number, fill: Fill): void {
  const strings: string[] = [];
  const body = new ByteBuilder();
  fill(body, (value) => strings.push(value));
  out
    .u8(type, 4 + body.byteCount)
    .u16(handle)
    .bytes(body.build());
  for (const s of strings) out.zeroTerminated(s);
  if (strings.length === 0) out.u8(0);
  out.u8(0);
}

function firmwareAndSystem(out: ByteBuilder, c: SmbiosConfig): void {
  structure(out, 0, HANDLE.FIRMWARE, (b, text) => {
    const CHARACTERISTICS_NOT_SUPPORTED = 0x08;
    const VIRTUAL_MACHINE = 0x10;
    b.u8(text('Anillo'), text(c.version))
      .u16(0xe000)
      .u8(text('01/01/2026'), 0)
      .u64(CHARACTERISTICS_NOT_SUPPORTED)
      .u8(0, VIRTUAL_MACHINE, 0, 0, 0xff, 0xff);
  });
  structure(out, 1, HANDLE.SYSTEM, (b, text) => {
    const POWER_SWITCH = 6;
    b.u8(text('Anillo'), text('Anillo PC'), text(c.version), 0).zeros(16).u8(POWER_SWITCH, 0, 0);
  });
  structure(out, 3, HANDLE.CHASSIS, (b, text) => {
    const OTHER = 1;
    const SAFE = 3;
    b.u8(text('Anillo'), OTHER, 0, 0, 0, SAFE, SAFE, SAFE, UNKNOWN).u32(0).u8(0, 0, 0, 0, 0);
  });
}

function processors(out: ByteBuilder, c: SmbiosConfig): void {
  for (let cpu = 0; cpu < c.cpuCount; cpu++) {
    structure(out, 4, HANDLE.PROCESSOR + cpu, (b, text) => {
      const CENTRAL = 3;
      const OTHER_FAMILY = 1;
      const ENABLED = 0x41;
      const MHZ = 2000;
      b.u8(text(`CPU ${cpu}`), CENTRAL, OTHER_FAMILY, text('Anillo')).zeros(8);
      b.u8(text(c.cpuModel), 0).u16(0).u16(MHZ).u16(MHZ).u8(ENABLED, 1);
      b.u16(NO_CACHE).u16(NO_CACHE).u16(NO_CACHE).u8(0, 0, 0, 1, 1, 1).u16(0).u16(OTHER_FAMILY).u16(1).u16(1).u16(1);
    });
  }
}

function memory(out: ByteBuilder, c: SmbiosConfig): void {
  const { memoryBytes, lowEnd, highBytes } = c.map;
  const totalKib = memoryBytes / KIB;
  structure(out, 16, HANDLE.ARRAY, (b) => {
    const OTHER = 1;
    const SYSTEM_MEMORY = 3;
    const MULTI_BIT_ECC = 6;
    b.u8(OTHER, SYSTEM_MEMORY, MULTI_BIT_ECC).u32(totalKib).u16(NO_HANDLE).u16(1).u64(0);
  });
  structure(out, 17, HANDLE.DIMM, (b, text) => {
    const DIMM = 9;
    const RAM = 7;
    const OTHER_DETAIL = 0x02;
    b.u16(HANDLE.ARRAY)
      .u16(NO_HANDLE)
      .u16(0xffff)
      .u16(0xffff)
      .u16(memoryBytes / MIB)
      .u8(DIMM, 0, text('DIMM 0'), 0, RAM)
      .u16(OTHER_DETAIL);
    b.u16(0).u8(text('Anillo'), 0, 0, 0, 0).u32(0).u16(0).u16(0).u16(0).u16(0);
  });
  const ranges = [
    { start: 0, end: lowEnd },
    { start: FOUR_GIB, end: FOUR_GIB + highBytes },
  ].filter((r) => r.end > r.start);
  ranges.forEach((r, i) => {
    structure(out, 19, HANDLE.MAPPED + i, (b) => {
      // The 32-bit fields count KiB, which is enough for all of our memory.
      b.u32(r.start / KIB)
        .u32(r.end / KIB - 1)
        .u16(HANDLE.ARRAY)
        .u8(1)
        .u64(0)
        .u64(0);
    });
  });
}

/** Tables for the address `structuresAt`. */
export function buildSmbios(config: SmbiosConfig, structuresAt: number): SmbiosTables {
  const out = new ByteBuilder();
  firmwareAndSystem(out, config);
  processors(out, config);
  memory(out, config);
  structure(out, 32, HANDLE.BOOT, (b) => b.zeros(7));
  structure(out, 127, HANDLE.END, () => {});
  const structures = out.build();
  const entryPoint = new ByteBuilder().text('_SM3_', 5).u8(0, 24, 3, 0, 0, 1, 0).u32(structures.length).u64(structuresAt).build();
  entryPoint[5] = checksum8(entryPoint);
  return { entryPoint, structures };
}

/** Names under which firmware finds them (fw_cfg). */
export const SMBIOS_FILES = { entryPoint: 'etc/smbios/smbios-anchor', structures: 'etc/smbios/smbios-tables' } as const;
