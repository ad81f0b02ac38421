// Descriptor and page tables that the boot protocols ask for (SDM 3A, 3.4.5 and 4.5.4).

import { ByteBuilder } from '../byte-builder.ts';

/** Flat 4 GiB segments: limit 0xfffff pages, present, accessed. High words of the descriptors. */
const FLAT_LOW = 0x0000ffff;
const CODE32_HIGH = 0x00cf9b00;
const CODE64_HIGH = 0x00af9b00;
const DATA_HIGH = 0x00cf9300;

/** GDT with the code segment at selector `code`, data at `code` + 8. */
export function flatGdt(code: 0x08 | 0x10, bits: 32 | 64): Uint8Array {
  return new ByteBuilder()
    .zeros(code)
    .u32(FLAT_LOW)
    .u32(bits === 64 ? CODE64_HIGH : CODE32_HIGH)
    .u32(FLAT_LOW)
    .u32(DATA_HIGH)
    .build();
}

export const IDENTITY_TABLE_BYTES = 6 * 0x1000;

/** Page tables at `base` that map the first 4 GiB to themselves in 2 MiB pages; the root comes first. */
export function identityPageTables(base: number): Uint8Array {
  const PAGE = 0x1000;
  const PRESENT_WRITABLE = 0x03;
  const LARGE = 0x80;
  const bytes = new Uint8Array(IDENTITY_TABLE_BYTES);
  const data = new DataView(bytes.buffer);
  data.setUint32(0, (base + PAGE) | PRESENT_WRITABLE, true);
  for (let gib = 0; gib < 4; gib++) {
    data.setUint32(PAGE + 8 * gib, (base + PAGE * (2 + gib)) | PRESENT_WRITABLE, true);
    for (let i = 0; i < 512; i++)
      data.setUint32(PAGE * (2 + gib) + 8 * i, (gib * 0x4000_0000 + i * 0x20_0000) | LARGE | PRESENT_WRITABLE, true);
  }
  return bytes;
}
