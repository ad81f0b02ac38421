// The rows' special options: values without which an instruction would nearly always do the same thing (a division always overflow, a CMPXCHG always
// fail, an FXRSTOR always fault), and what the comparison must leave out for it.

import type { CaseBuilder } from './case-builder.ts';
import type { Encoding } from './encode-row.ts';
import { fillHostile, hostileAddress } from './hostile-values.ts';
import { DATA_BASE, DATA_BYTES } from './memory-map.ts';
import { setU16, setU32, setU64 } from './test-case.ts';

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RBX = 3;
const RDI = 7;
const FCW_MASKS = 0x3f;

type Preparation = (builder: CaseBuilder, encoding: Encoding) => boolean;

/** Offset of the memory operand in the data area, or -1. */
function dataOffset(encoding: Encoding): number {
  const address = encoding.memory?.address;
  if (address === undefined) return -1;
  const at = address - BigInt(DATA_BASE);
  return at >= 0n && at + BigInt(encoding.memoryBytes) <= BigInt(DATA_BYTES) ? Number(at) : -1;
}

const divide: Preparation = (builder, encoding) => {
  const random = builder.random;
  if (!builder.sparse && random.chance(20)) return true;
  const signed = encoding.row.name === 'idiv';
  const negative = signed && random.chance(40);
  if (encoding.size === 8) {
    builder.assign(RAX, BigInt((negative ? -1 : 1) * random.below(0x3000)) & 0xffffn);
    return true;
  }
  if (encoding.memory === undefined && encoding.rm !== RAX && encoding.rm !== RDX)
    builder.assign(encoding.rm, random.u64() >> BigInt(random.below(64)));
  const high = random.chance(70) ? 0n : BigInt(random.below(8));
  builder.assign(RDX, negative ? ~high : high);
  builder.assign(RAX, random.u64());
  builder.reads(RAX);
  builder.reads(RDX);
  return true;
};

const bitoffset: Preparation = (builder, encoding) => {
  if (encoding.memory === undefined) return true;
  const reach = builder.sparse ? 8 * encoding.size : builder.random.pick([encoding.size, 64 * 8, 0x900 * 8]);
  return builder.assign(encoding.reg, BigInt(builder.random.between(-reach, reach))) || builder.random.chance(5);
};

const cmpxchg: Preparation = (builder, encoding) => {
  const random = builder.random;
  const at = dataOffset(encoding);
  const bytes = encoding.memoryBytes;
  if (builder.sparse) for (const i of encoding.row.implied) builder.assign(i, random.u64());
  for (const i of encoding.row.implied) builder.reads(i);
  if (!builder.known(RAX) || !random.chance(55)) return true;
  if (encoding.memory === undefined) {
    builder.assign(encoding.rm, builder.gpr(RAX));
    return true;
  }
  if (at < 0) return true;
  if (encoding.row.name.startsWith('cmpxchg8') || encoding.row.name.startsWith('cmpxchg1')) {
    if (!builder.known(RDX)) return true;
    for (let i = 0; i < bytes; i++) {
      const half = builder.gpr(i < bytes / 2 ? RAX : RDX);
      builder.data[at + i] = Number((half >> BigInt(8 * (i % (bytes / 2)))) & 0xffn);
    }
    return true;
  }
  for (let i = 0; i < bytes; i++) builder.data[at + i] = Number((builder.gpr(RAX) >> BigInt(8 * i)) & 0xffn);
  return true;
};

const mxcsr: Preparation = (builder, encoding) => {
  const at = dataOffset(encoding);
  // Reserved bits fault; bit 17 (misaligned SSE, AMD's) is left out because hosts differ.
  const value =
    builder.random.chance(4) && builder.canFault
      ? 1 << builder.random.pick([16, 18, 19, 24, 31])
      : 0x1f80 | (builder.random.u32() & 0xe07f);
  const masked = builder.canFault && builder.random.chance(15) ? value & ~0x1f80 : value;
  if (at >= 0) setU32(builder.data, at, masked);
  return at >= 0 || encoding.memory?.address !== undefined;
};

const controlWord = (builder: CaseBuilder): number => {
  const masks = builder.canFault && builder.random.chance(15) ? builder.random.u32() & FCW_MASKS : FCW_MASKS;
  return 0x40 | masks | (builder.random.below(4) << 10) | (builder.random.pick([0, 2, 3]) << 8);
};

/** A status word whose ES and B agree with the control word. */
function statusWord(builder: CaseBuilder, fcw: number): number {
  const fsw = builder.random.u32() & 0x7f7f;
  return (fsw & ~fcw & FCW_MASKS) !== 0 ? fsw | 0x8080 : fsw;
}

const fcw: Preparation = (builder, encoding) => {
  const at = dataOffset(encoding);
  if (at >= 0) setU16(builder.data, at, controlWord(builder));
  return at >= 0;
};

/** FLDENV and FRSTOR: 28 bytes of environment, then the registers. SDM 1 8.1.10. */
const env: Preparation = (builder, encoding) => {
  const at = dataOffset(encoding);
  if (at < 0) return false;
  const word = controlWord(builder);
  for (let i = 0; i < 28; i++) builder.data[at + i] = 0;
  setU32(builder.data, at, 0xffff0000 | word);
  setU32(builder.data, at + 4, 0xffff0000 | statusWord(builder, word));
  setU32(builder.data, at + 8, 0xffff0000 | (builder.random.u32() & 0xffff));
  if (encoding.memoryBytes > 28) for (let i = 0; i < 8; i++) fillHostile(builder.random, 'f80', builder.data, at + 28 + 10 * i, 10);
  return true;
};

/** FXRSTOR's image. SDM 1 10.5.1. */
const fximage: Preparation = (builder, encoding) => {
  const at = dataOffset(encoding);
  if (at < 0) return builder.canFault && !builder.sparse;
  const word = controlWord(builder);
  setU16(builder.data, at, word);
  setU16(builder.data, at + 2, statusWord(builder, word));
  setU32(builder.data, at + 4, builder.random.u32() & 0xff);
  for (let i = 8; i < 32; i += 8) setU64(builder.data, at + i, 0n);
  setU32(builder.data, at + 24, builder.random.chance(4) && builder.canFault ? 0x0100_0000 : 0x1f80 | (builder.random.u32() & 0xe07f));
  for (let i = 0; i < 8; i++) fillHostile(builder.random, 'f80', builder.data, at + 32 + 16 * i, 10);
  return true;
};

/** FNSTENV, FNSAVE: the last instruction's pointers are not compared (AMD saves them only with a pending exception). */
const storenv: Preparation = (builder, encoding) => {
  const at = dataOffset(encoding);
  builder.undefined.memory.push([at + 12, at + 28]);
  return at >= 0;
};

const storefx: Preparation = (builder, encoding) => {
  const at = dataOffset(encoding);
  // FOP, FIP, FDP as above; MXCSR_MASK tells what the CPU model has; the last 96 bytes are the software's, but reserved before.
  builder.undefined.memory.push([at + 6, at + 24], [at + 28, at + 32], [at + 416, at + 512]);
  return at >= 0;
};

/** MASKMOVQ and MASKMOVDQU write through RDI; whether a byte that is masked out can fault is up to the CPU. */
const maskmov: Preparation = (builder) => {
  const placed = builder.assign(RDI, hostileAddress(builder.random, 16, 1, false));
  builder.reads(RDI);
  return placed;
};

const lengths: Preparation = (builder) => {
  for (const i of [RAX, RDX]) builder.assign(i, BigInt(builder.random.between(-18, 18)));
  for (const i of [RAX, RDX, RCX]) builder.reads(i);
  return true;
};

/** VPSLLVD and its like: counts around the element's size. */
const counts: Preparation = (builder, encoding) => {
  if (encoding.memory !== undefined) return true;
  const step = encoding.row.name.endsWith('q') ? 8 : 4;
  for (const upper of [false, true]) {
    const at = builder.vectorOffset(encoding.rm, upper);
    for (let i = 0; i < 16; i += step) {
      if (!builder.random.chance(80)) continue;
      builder.state.fill(0, at + i, at + i + step);
      builder.state[at + i] = builder.random.below(70);
    }
  }
  return true;
};

const bextr: Preparation = (builder, encoding) => {
  if (builder.random.chance(80)) builder.assign(encoding.vvvv, BigInt(builder.random.below(70) | (builder.random.below(70) << 8)));
  builder.reads(encoding.vvvv);
  return true;
};

const PREPARATIONS: Record<string, Preparation> = {
  divide,
  bitoffset,
  cmpxchg,
  mxcsr,
  fcw,
  env,
  fximage,
  storenv,
  storefx,
  maskmov,
  lengths,
  counts,
  bextr,
};

export function prepare(builder: CaseBuilder, encoding: Encoding): boolean {
  const { row } = encoding;
  for (const option of row.options) {
    const preparation = PREPARATIONS[option];
    if (preparation !== undefined && !preparation(builder, encoding)) return false;
  }
  if (row.options.has('approx=f32')) builder.undefined.tolerance = { kind: 'f32', register: encoding.reg };
  if (row.options.has('approx=x87')) builder.undefined.tolerance = { kind: 'x87', register: 2 };
  if (row.operands.some((o) => o.kind === 'X')) builder.undefined.vectorsOnFault |= (1 << encoding.reg) | (1 << Math.max(0, encoding.vvvv));
  if (row.name.startsWith('cmpxchg') && row.implied.includes(RBX)) for (const i of [RBX, RCX]) builder.reads(i);
  return true;
}
