// Encodings of the memory map for those who are told about it: BIOS INT 15h E820 layout, Linux boot_params, fw_cfg `etc/e820`.

import type { E820Entry } from '../boards/memory-map.ts';
import { ByteBuilder } from '../byte-builder.ts';

export const E820_ENTRY_BYTES = 20;

/** 20 bytes an entry: start u64, length u64, type u32. */
export function encodeE820(entries: readonly E820Entry[]): Uint8Array {
  const out = new ByteBuilder();
  for (const e of entries) out.u64(e.start).u64(e.byteCount).u32(e.type);
  return out.build();
}
