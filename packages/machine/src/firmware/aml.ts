// ACPI Machine Language (ACPI 6.5, chapter 20): terms are byte arrays, built from the inside out.

import { ByteBuilder } from '../byte-builder.ts';

export type Aml = Uint8Array;

const concat = (parts: readonly Aml[]): Aml => {
  const out = new ByteBuilder();
  for (const p of parts) out.bytes(p);
  return out.build();
};

/** PkgLength (20.2.4) counts itself. */
function packaged(body: Aml): Aml {
  const small = body.length + 1;
  if (small < 0x40) return concat([Uint8Array.of(small), body]);
  let lengthBytes = 2;
  while (body.length + lengthBytes >= 2 ** (4 + 8 * (lengthBytes - 1))) lengthBytes++;
  const total = body.length + lengthBytes;
  const head = [((lengthBytes - 1) << 6) | (total & 0xf)];
  for (let i = 1; i < lengthBytes; i++) head.push((total >>> (4 + 8 * (i - 1))) & 0xff);
  return concat([Uint8Array.from(head), body]);
}

/** NameString (20.2.2): segments of up to four characters separated by dots, an optional leading backslash. */
function nameString(path: string): Aml {
  const out = new ByteBuilder();
  const absolute = path.startsWith('\\');
  if (absolute) out.u8(0x5c);
  const segments = path
    .slice(absolute ? 1 : 0)
    .split('.')
    .filter((s) => s !== '');
  if (segments.length === 0) out.u8(0);
  else if (segments.length === 2) out.u8(0x2e);
  else if (segments.length > 2) out.u8(0x2f, segments.length);
  for (const s of segments) out.text(s, 4, 0x5f);
  return out.build();
}

export function integer(value: number): Aml {
  if (value === 0 || value === 1) return Uint8Array.of(value);
  const out = new ByteBuilder();
  if (value < 0x100) return out.u8(0x0a, value).build();
  if (value < 0x1_0000) return out.u8(0x0b).u16(value).build();
  if (value < 0x1_0000_0000) return out.u8(0x0c).u32(value).build();
  return out.u8(0x0e).u64(value).build();
}

export const string = (text: string): Aml => new ByteBuilder().u8(0x0d).zeroTerminated(text).build();

/** EISAID (19.6.37): three letters of five bits, then four hexadecimal digits, the whole byte-swapped. */
export function eisaId(id: string): Aml {
  const letter = (i: number): number => (id.charCodeAt(i) - 0x40) & 0x1f;
  const product = Number.parseInt(id.slice(3), 16);
  const word = (letter(0) << 10) | (letter(1) << 5) | letter(2);
  return new ByteBuilder().u8(0x0c, word >>> 8, word, product >>> 8, product).build();
}

export const name = (path: string, value: Aml): Aml => concat([Uint8Array.of(0x08), nameString(path), value]);

export const scope = (path: string, ...terms: Aml[]): Aml => concat([Uint8Array.of(0x10), packaged(concat([nameString(path), ...terms]))]);

export const device = (path: string, ...terms: Aml[]): Aml =>
  concat([Uint8Array.of(0x5b, 0x82), packaged(concat([nameString(path), ...terms]))]);

export const packageOf = (...elements: Aml[]): Aml =>
  concat([Uint8Array.of(0x12), packaged(concat([Uint8Array.of(elements.length), ...elements]))]);

// Control methods and what they work on (20.2.5).

/** A reference to a named object. */
export const reference = (path: string): Aml => nameString(path);
export const ARG0: Aml = Uint8Array.of(0x68);
export const ARG1: Aml = Uint8Array.of(0x69);
export const ARG3: Aml = Uint8Array.of(0x6b);
export const LOCAL0: Aml = Uint8Array.of(0x60);

/** Serialized, as a method that creates names has to be. */
export function method(path: string, argumentCount: number, ...terms: Aml[]): Aml {
  const SERIALIZED = 0x08;
  return concat([Uint8Array.of(0x14), packaged(concat([nameString(path), Uint8Array.of(SERIALIZED | argumentCount), ...terms]))]);
}

export const returned = (value: Aml): Aml => concat([Uint8Array.of(0xa4), value]);
export const when = (condition: Aml, ...terms: Aml[]): Aml => concat([Uint8Array.of(0xa0), packaged(concat([condition, ...terms]))]);
export const store = (value: Aml, target: Aml): Aml => concat([Uint8Array.of(0x70), value, target]);
/** Without a target the result is only the term's value. */
export const and = (a: Aml, b: Aml, target: Aml = Uint8Array.of(0)): Aml => concat([Uint8Array.of(0x7b), a, b, target]);
export const or = (a: Aml, b: Aml, target: Aml): Aml => concat([Uint8Array.of(0x7d), a, b, target]);
export const equal = (a: Aml, b: Aml): Aml => concat([Uint8Array.of(0x93), a, b]);
export const not = (a: Aml): Aml => concat([Uint8Array.of(0x92), a]);
/** Calls a method that the table has defined before. */
export const call = (path: string, ...args: readonly Aml[]): Aml => concat([nameString(path), ...args]);
/** Tells the system of something about a device (5.6.6). */
export const notify = (path: string, value: Aml): Aml => concat([Uint8Array.of(0x86), nameString(path), value]);
/** A name for the double word at that offset of a buffer. */
export const dwordField = (source: Aml, offset: number, path: string): Aml =>
  concat([Uint8Array.of(0x8a), source, integer(offset), nameString(path)]);

const region = (space: number) => (path: string, offset: number, byteCount: number) =>
  concat([Uint8Array.of(0x5b, 0x80), nameString(path), Uint8Array.of(space), integer(offset), integer(byteCount)]);

export const portRegion = region(1);
/** PCI configuration of the device that it is in. */
export const configRegion = region(2);

/** Double words of a region, from its start. */
export function dwordFields(path: string, names: readonly string[]): Aml {
  const DWORD_ACCESS = 3;
  /** 32 bits, as a package length (20.2.4). */
  const list = names.map((field) => concat([nameString(field), Uint8Array.of(32)]));
  return concat([Uint8Array.of(0x5b, 0x81), packaged(concat([nameString(path), Uint8Array.of(DWORD_ACCESS), ...list]))]);
}

/** Bytes of a region by offset, ascending. */
export function byteFields(region: string, fields: readonly { readonly offset: number; readonly name: string }[]): Aml {
  const BYTE_ACCESS = 1;
  const BYTE_BITS = 8;
  const list: Aml[] = [];
  let at = 0;
  for (const f of fields) {
    // A gap, in bits, below 64.
    if (f.offset > at) list.push(Uint8Array.of(0, (f.offset - at) * BYTE_BITS));
    list.push(nameString(f.name), Uint8Array.of(BYTE_BITS));
    at = f.offset + 1;
  }
  return concat([Uint8Array.of(0x5b, 0x81), packaged(concat([nameString(region), Uint8Array.of(BYTE_ACCESS), ...list]))]);
}

export const buffer = (bytes: Uint8Array): Aml => concat([Uint8Array.of(0x11), packaged(concat([integer(bytes.length), bytes]))]);

/** ResourceTemplate: descriptors, end tag (its checksum 0 means "not computed"). */
export const resources = (...descriptors: Uint8Array[]): Aml => buffer(concat([...descriptors, Uint8Array.of(0x79, 0)]));

// Resource descriptors (ACPI 6.5, 6.4.2 and 6.4.3).

/** Fixed ports, 16-bit decode. */
export const ioPorts = (start: number, byteCount: number): Uint8Array =>
  new ByteBuilder().u8(0x47, 1).u16(start).u16(start).u8(1, byteCount).build();

/** One edge-triggered, active-high, exclusive interrupt. */
export const irqNoFlags = (irq: number): Uint8Array =>
  new ByteBuilder()
    .u8(0x22)
    .u16(1 << irq)
    .build();

/** Level-triggered, active-high, shared interrupts, of which a device takes one; the numbers are from byte 5 on. */
export function sharedInterrupts(gsis: readonly number[]): Uint8Array {
  const CONSUMER_SHARED = 0x09;
  const out = new ByteBuilder()
    .u8(0x89)
    .u16(2 + 4 * gsis.length)
    .u8(CONSUMER_SHARED, gsis.length);
  for (const gsi of gsis) out.u32(gsi);
  return out.build();
}

export const memory32Fixed = (start: number, byteCount: number): Uint8Array =>
  new ByteBuilder().u8(0x86).u16(9).u8(1).u32(start).u32(byteCount).build();

export const WINDOW = { MEMORY: 0, IO: 1, BUS: 2 } as const;
type Window = (typeof WINDOW)[keyof typeof WINDOW];

/** General flags: minimum and maximum fixed, positive decode, producer. Specific: memory is read-write, not cacheable; I/O is the entire range. */
const windowHead = (out: ByteBuilder, tag: number, bodyBytes: number, window: Window): ByteBuilder =>
  out
    .u8(tag)
    .u16(bodyBytes)
    .u8(window, 0x0c, window === WINDOW.MEMORY ? 0x01 : window === WINDOW.IO ? 0x03 : 0x00);

export const wordWindow = (window: Window, first: number, last: number): Uint8Array =>
  windowHead(new ByteBuilder(), 0x88, 13, window)
    .u16(0)
    .u16(first)
    .u16(last)
    .u16(0)
    .u16(last - first + 1)
    .build();

export const dwordWindow = (window: Window, first: number, last: number): Uint8Array =>
  windowHead(new ByteBuilder(), 0x87, 23, window)
    .u32(0)
    .u32(first)
    .u32(last)
    .u32(0)
    .u32(last - first + 1)
    .build();
