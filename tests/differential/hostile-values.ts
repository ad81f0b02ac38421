// Values that find bugs: boundaries of integers, denormals, infinities, quiet and signalling NaNs, ties, numbers at the edges of conversions, and
// the 80-bit encodings that no operation produces (pseudo-denormals, unnormals).

import { DATA_BASE, DATA_BYTES, DATA_END, PAGE_BYTES } from './memory-map.ts';
import type { Random } from './random.ts';
import { setU16, setU32 } from './test-case.ts';

/** What a register's or memory operand's bytes are meant to be. */
export type Element = 'int' | 'f32' | 'f64' | 'f80' | 'f16' | 'bcd';

const INTEGERS = [
  0n,
  1n,
  2n,
  3n,
  7n,
  8n,
  0xfn,
  0x10n,
  0x1fn,
  0x20n,
  0x3fn,
  0x40n,
  0x7fn,
  0x80n,
  0xffn,
  0x100n,
  0x7fffn,
  0x8000n,
  0xffffn,
  0x1_0000n,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_ffffn,
  0x1_0000_0000n,
  0x7fff_ffff_ffff_ffffn,
  0x8000_0000_0000_0000n,
  0xffff_ffff_8000_0000n,
  0xffff_ffff_ffff_ff80n,
  0xffff_ffff_ffff_8000n,
  0xffff_ffff_ffff_fffen,
  0xffff_ffff_ffff_ffffn,
  0x5555_5555_5555_5555n,
  0xaaaa_aaaa_aaaa_aaaan,
  0x0102_0304_0506_0708n,
];
const F32 = [
  0, 0x80000000, 1, 0x80000001, 0x007fffff, 0x807fffff, 0x00800000, 0x80800000, 0x00800001, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000,
  0x7fc00000, 0xffc00000, 0x7fc12345, 0x7f800001, 0xff800001, 0x7fbfffff, 0x3f800000, 0xbf800000, 0x3f000000, 0xbf000000, 0x3fc00000,
  0xbfc00000, 0x40200000, 0xc0200000, 0x3f7fffff, 0x3f800001, 0x4effffff, 0x4f000000, 0xcf000000, 0xcf000001, 0x4f7fffff, 0x4f800000,
  0x5effffff, 0x5f000000, 0xdf000000, 0x5f800000, 0x34000000, 0x33800000, 0x33800001, 0x4b000001, 0x4b800001, 0x477fe000, 0x477ff000,
  0x387fc000, 0x33000000, 0x20000000, 0x5f3504f3, 0x1fb504f3,
];
const F64_HIGH = [
  0, 0x80000000, 0x000fffff, 0x800fffff, 0x00100000, 0x80100000, 0x7fefffff, 0xffefffff, 0x7ff00000, 0xfff00000, 0x7ff80000, 0xfff80000,
  0x7ff00001, 0x7ff7ffff, 0x3ff00000, 0xbff00000, 0x3fe00000, 0xbfe00000, 0x3ff80000, 0x40040000, 0x3fefffff, 0x41dfffff, 0x41e00000,
  0xc1e00000, 0x43dfffff, 0x43e00000, 0xc3e00000, 0x43f00000, 0x3ca00000, 0x3cb00000, 0x43300000, 0x43400000, 0x47efffff, 0x47f00000,
  0x380fffff, 0x36a00000, 0x36900000, 0x20000000, 0x5fe6a09e,
];
const F64_LOW = [0, 0, 0, 1, 0xffffffff, 0xfffffffe, 0x80000000, 0x7fffffff, 0xe0000000, 0xf0000000, 0xffc00000, 0x00200000];
const F16 = [0, 0x8000, 1, 0x3ff, 0x400, 0x7bff, 0x7c00, 0xfc00, 0x7e00, 0x7c01, 0xfdff, 0x3c00, 0xbc00, 0x3bff, 0x3c01];

/** A general register's value: a boundary, a pointer into the data area, or noise. */
export function hostileInteger(random: Random): bigint {
  const kind = random.below(10);
  if (kind < 4) return random.pick(INTEGERS);
  if (kind < 6) return BigInt.asUintN(64, BigInt(random.pick(INTEGERS)) + BigInt(random.between(-3, 3)));
  if (kind < 7) return 1n << BigInt(random.below(64));
  if (kind < 8) return BigInt(random.between(DATA_BASE, DATA_END - 64));
  return random.u64();
}

function f32Bits(random: Random): number {
  const kind = random.below(8);
  if (kind < 3) return random.pick(F32);
  if (kind < 6) return ((random.u32() & 0x807fffff) | (random.between(0x78, 0x86) << 23)) >>> 0;
  if (kind < 7) return random.u32();
  scratchF32[0] = random.between(-70000, 70000) / random.pick([1, 2, 4, 3]);
  return scratchF32Bits[0];
}
const scratchF32 = new Float32Array(1);
const scratchF32Bits = new Uint32Array(scratchF32.buffer);
const scratchF64 = new Float64Array(1);
const scratchF64Bits = new Uint32Array(scratchF64.buffer);

function writeF64(random: Random, bytes: Uint8Array, at: number): void {
  const kind = random.below(8);
  let high = random.u32();
  let low = random.u32();
  if (kind < 3) {
    high = random.pick(F64_HIGH);
    low = random.pick(F64_LOW);
  } else if (kind < 6) {
    high = ((high & 0x800fffff) | (random.between(0x3f8, 0x406) << 20)) >>> 0;
    if (random.chance(40)) low &= 0xe0000000;
  } else if (kind < 7) {
    scratchF64[0] = random.between(-0x7fffffff, 0x7fffffff) / random.pick([1, 2, 4, 3, 1024]);
    low = scratchF64Bits[0];
    high = scratchF64Bits[1];
  }
  setU32(bytes, at, low);
  setU32(bytes, at + 4, high);
}

/** 10 bytes: sign and exponent in the last two; the integer bit is explicit. */
export function writeF80(random: Random, bytes: Uint8Array, at: number): void {
  let low = random.u32();
  let high = (random.u32() | 0x80000000) >>> 0;
  let exponent = 0x3fff + random.between(-12, 12);
  const kind = random.below(10);
  if (kind < 2) {
    low = random.pick([0, 0, 1, 0xffffffff, 0x80000000, 0x400, 0x7ff, 0x80]);
    high = random.pick([0x80000000, 0x80000000, 0xffffffff, 0xc0000000, 0x80000100, 0x80000080]);
    exponent = random.pick([
      0x3fff, 0x3ffe, 0x4000, 0x3fc0, 0x403e, 0x403f, 0x401e, 0x400e, 0x7ffe, 1, 0x43fe, 0x43ff, 0x3c01, 0x3bcd, 0x407e, 0x3f81, 0x3f6a,
    ]);
  } else if (kind < 4) {
    exponent = random.pick([0, 0, 0x7fff, 0x7fff, 0x7fff]);
    high =
      exponent === 0
        ? random.pick([0, 0, 1, 0x7fffffff, 0x80000000])
        : random.pick([0x80000000, 0x80000000, 0xc0000000, 0xa0000000, 0xc0000001]);
    low = random.pick([0, 0, 1, 0xffffffff]);
  } else if (kind < 5 && random.chance(40)) {
    high = random.pick([0, 0x40000000, 0x7fffffff, 1]);
    exponent = random.pick([0x3fff, 0x7fff, 1, 0x7ffe]);
  } else if (kind < 6) {
    exponent = random.below(0x7fff);
  }
  setU32(bytes, at, low);
  setU32(bytes, at + 4, high);
  setU16(bytes, at + 8, exponent | (random.below(2) << 15));
}

function writeBcd(random: Random, bytes: Uint8Array, at: number): void {
  const digits = random.below(19);
  for (let i = 0; i < 9; i++) bytes[at + i] = i * 2 < digits ? (random.below(10) << 4) | random.below(10) : 0;
  bytes[at + 9] = random.pick([0, 0x80]);
}

/** Fills `count` bytes at `at` with hostile values of `element`; 80-bit ones take 10 bytes. */
export function fillHostile(random: Random, element: Element, bytes: Uint8Array, at: number, count: number): void {
  const end = Math.min(at + count, bytes.length);
  switch (element) {
    case 'f32':
      for (let i = at; i + 4 <= end; i += 4) setU32(bytes, i, f32Bits(random));
      break;
    case 'f64':
      for (let i = at; i + 8 <= end; i += 8) writeF64(random, bytes, i);
      break;
    case 'f80':
      for (let i = at; i + 10 <= end; i += 10) writeF80(random, bytes, i);
      break;
    case 'bcd':
      for (let i = at; i + 10 <= end; i += 10) writeBcd(random, bytes, i);
      break;
    case 'f16':
      for (let i = at; i + 2 <= end; i += 2) setU16(bytes, i, random.chance(40) ? random.pick(F16) : random.below(0x10000));
      break;
    case 'int':
      fillIntegers(random, bytes, at, end);
  }
}

function fillIntegers(random: Random, bytes: Uint8Array, at: number, end: number): void {
  const width = random.pick([1, 2, 4, 8]);
  for (let i = at; i < end; ) {
    if (width === 1) {
      bytes[i++] = random.chance(50) ? random.pick([0, 1, 0x7f, 0x80, 0x81, 0xff, 0xfe]) : random.below(256);
    } else if (width === 2 && i + 2 <= end) {
      setU16(bytes, i, random.chance(50) ? random.pick([0, 1, 0x7fff, 0x8000, 0x8001, 0xffff, 0x7f, 0x80, 0xff80]) : random.below(65536));
      i += 2;
    } else if (width === 4 && i + 4 <= end) {
      setU32(
        bytes,
        i,
        random.chance(50) ? random.pick([0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0x7fff, 0xffff8000, 0x8000]) : random.u32(),
      );
      i += 4;
    } else if (i + 8 <= end) {
      const value = hostileInteger(random);
      setU32(bytes, i, Number(value & 0xffffffffn));
      setU32(bytes, i + 4, Number(value >> 32n));
      i += 8;
    } else {
      bytes[i++] = random.below(256);
    }
  }
}

const POOL_BYTES = 8 * DATA_BYTES;

/** Memory to start cases from: a window into a pool is far cheaper than 8 KiB of fresh numbers. */
export class DataPools {
  readonly #pools = new Map<Element, Uint8Array>();

  constructor(random: Random) {
    for (const element of ['int', 'f32', 'f64', 'f80', 'f16', 'bcd'] as const) {
      const pool = new Uint8Array(POOL_BYTES);
      for (let at = 0; at < POOL_BYTES; at += 256) fillHostile(random, element, pool, at, 256);
      this.#pools.set(element, pool);
    }
  }

  window(random: Random, element: Element): Uint8Array {
    const pool = this.#pools.get(element) as Uint8Array;
    const start = random.below((POOL_BYTES - DATA_BYTES) / 16) * 16;
    return pool.slice(start, start + DATA_BYTES);
  }
}

/**
 * Where a memory operand of `bytes` goes: mostly inside the data area, sometimes across a page boundary, into the read-only page, into the
 * unmapped pages on both sides, to 0 or to a non-canonical address.
 */
export function hostileAddress(random: Random, bytes: number, align: number, canFault: boolean): bigint {
  const aligned = align > 1 && !(canFault && random.chance(4));
  const down = (at: number): bigint => BigInt(aligned ? at - (at % align) : at);
  const straddle = (edge: number): bigint => down(edge - random.between(1, Math.max(1, bytes - 1)));
  const kind = canFault ? random.below(100) : random.below(78);
  if (kind < 35) return down(DATA_BASE + random.below((DATA_BYTES - bytes) / 16) * 16);
  if (kind < 70) return down(DATA_BASE + random.below(DATA_BYTES - bytes + 1));
  if (kind < 78) return straddle(DATA_BASE + PAGE_BYTES);
  if (kind < 83) return straddle(DATA_BASE + DATA_BYTES);
  if (kind < 90) return down(DATA_BASE + DATA_BYTES + random.below(PAGE_BYTES - bytes + 1));
  if (kind < 94) return straddle(DATA_END);
  if (kind < 96) return down(DATA_BASE - random.between(1, bytes));
  if (kind < 97) return BigInt(random.below(64));
  if (kind < 99) return down(DATA_END + random.below(PAGE_BYTES));
  return random.pick([0x8000_0000_0000n, 0x8000_0000_0000_0000n, 0xffff_7fff_ffff_fff8n, 0xffff_8000_0000_0000n]);
}
