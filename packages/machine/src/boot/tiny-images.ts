// Tiny images for the tests of the boot protocols, built in memory.

import { ByteBuilder, utf8 } from '../byte-builder.ts';

export interface TinyBzImage {
  readonly protocol?: number;
  readonly is64?: boolean;
  readonly kernelBytes?: number;
  readonly initBytes?: number;
  readonly prefAddress?: number;
  readonly commandLineMax?: number;
  readonly initrdLast?: number;
  readonly relocatable?: boolean;
}

/** Two setup sectors and a kernel of 0x90s. */
export function tinyBzImage(o: TinyBzImage = {}): Uint8Array {
  const setupSectors = 2;
  const setupBytes = (setupSectors + 1) * 512;
  const kernelBytes = o.kernelBytes ?? 4096;
  const file = new Uint8Array(setupBytes + kernelBytes).fill(0x90, setupBytes);
  const data = new DataView(file.buffer);
  file[0x1f1] = setupSectors;
  data.setUint32(0x1f4, kernelBytes / 16, true);
  data.setUint16(0x1fe, 0xaa55, true);
  file[0x201] = 0x66;
  file.set(utf8('HdrS'), 0x202);
  data.setUint16(0x206, o.protocol ?? 0x20f, true);
  data.setUint16(0x20e, 0x300, true);
  file.set(utf8('6.1.0-tiny (someone) #1'), 0x500);
  file[0x211] = 1;
  data.setUint32(0x214, 0x100000, true);
  data.setUint32(0x22c, o.initrdLast ?? 0x7fffffff, true);
  data.setUint32(0x230, 0x200000, true);
  file[0x234] = o.relocatable === false ? 0 : 1;
  data.setUint16(0x236, o.is64 === false ? 0 : 3, true);
  data.setUint32(0x238, o.commandLineMax ?? 2047, true);
  data.setBigUint64(0x258, BigInt(o.prefAddress ?? 0x1000000), true);
  data.setUint32(0x260, o.initBytes ?? 0x100000, true);
  return file;
}

export interface TinyElf {
  readonly bits?: 32 | 64;
  readonly machine?: number;
  readonly type?: number;
  readonly entry?: number;
  readonly segments?: readonly { readonly address: number; readonly bytes: Uint8Array; readonly byteCount?: number }[];
  /** PVH entry. */
  readonly pvhEntry?: number;
}

export function tinyElf(o: TinyElf = {}): Uint8Array {
  const bits = o.bits ?? 64;
  const wide = bits === 64;
  const segments: { type: number; address: number; bytes: Uint8Array; byteCount: number }[] = (
    o.segments ?? [{ address: 0x1000000, bytes: Uint8Array.of(0xf4) }]
  ).map((s) => ({
    type: 1,
    address: s.address,
    bytes: s.bytes,
    byteCount: s.byteCount ?? s.bytes.length,
  }));
  if (o.pvhEntry !== undefined) {
    const other = new ByteBuilder().u32(5).u32(3).u32(1).text('Linux', 8, 0).u8(1, 2, 3, 0);
    const note = other.u32(4).u32(4).u32(18).text('Xen', 4, 0).u32(o.pvhEntry).build();
    segments.push({ type: 4, address: 0, bytes: note, byteCount: note.length });
  }
  const headerBytes = wide ? 64 : 52;
  const entryBytes = wide ? 56 : 32;
  let at = headerBytes + entryBytes * segments.length;
  const out = new ByteBuilder().u8(0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, 1, 1).zeros(9);
  out
    .u16(o.type ?? 2)
    .u16(o.machine ?? (wide ? 62 : 3))
    .u32(1);
  const entry = o.entry ?? 0x1000000;
  if (wide) out.u64(entry).u64(headerBytes).u64(0);
  else out.u32(entry).u32(headerBytes).u32(0);
  out.u32(0).u16(headerBytes).u16(entryBytes).u16(segments.length).u16(0).u16(0).u16(0);
  for (const s of segments) {
    if (wide) out.u32(s.type).u32(7).u64(at).u64(0).u64(s.address).u64(s.bytes.length).u64(s.byteCount).u64(0);
    else out.u32(s.type).u32(at).u32(0).u32(s.address).u32(s.bytes.length).u32(s.byteCount).u32(7).u32(0);
    at += s.bytes.length;
  }
  for (const s of segments) out.bytes(s.bytes);
  return out.build();
}

/** Multiboot header of three words, or eight with addresses. */
export function multibootHeader(flags: number, addresses: readonly number[] = []): Uint8Array {
  const magic = 0x1badb002;
  const out = new ByteBuilder()
    .u32(magic)
    .u32(flags)
    .u32(-(magic + flags));
  for (const a of addresses) out.u32(a);
  return out.build();
}
