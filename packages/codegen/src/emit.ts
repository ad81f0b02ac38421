// THE emit table: the only executable meaning of each IR op. Operands are on the WebAssembly stack in order; an emit leaves the result there.
// Slots, calls and control flow inside a block are written by the tiers themselves, for their form differs.

import { OPS, opTable, type OpName, type Type } from '@anillo/ir/ops';
import type { Emitter } from './emitter.ts';
import { emitMemory, emitTlbDistance, emitTlbGranted, emitTlbLookup } from './memory-emit.ts';
import { MEMORY_OPS } from './memory-op.ts';
import { opcodeOf } from './wasm-opcodes.ts';

export type Emit = (e: Emitter) => void;
export type EmittedOp = {
  [N in OpName]: (typeof OPS)[N]['effect'] extends 'get' | 'set' | 'call' | 'control' ? never : N;
}[OpName];
/** Ops that are not one WebAssembly instruction of the same name without immediate. */
type Composite =
  | 'i32.const'
  | 'i64.const'
  | 'f64.const'
  | 'v128.const'
  | 'i8x16.shuffle'
  | 'raise_if'
  | 'i8x16.pick'
  | 'i32.relaxed_fuses'
  | `${'f32x4' | 'f64x2'}.relaxed_madd`
  | 'fence'
  | 'i32.ram_cmpxchg'
  | 'memory.copy'
  | 'memory.fill'
  | 'tlb.read'
  | 'tlb.write'
  | `tlb.${'read' | 'write'}_distance`
  | 'tlb.granted'
  | `${Type}.select`
  | `${'i32' | 'i64'}.bswap`
  | `i64.mulhi_${'s' | 'u'}`
  | 'i64.insert8'
  | 'i64.insert8h'
  | 'i64.insert16'
  | `${'i32' | 'i64' | 'v128'}.ram_${'load' | 'store'}`
  | Extract<EmittedOp, `state.${string}`>;

const select: Emit = (e) => e.f.op(O.select);

const O = {
  select: opcodeOf('select'),
  i32And: opcodeOf('i32.and'),
  i32Or: opcodeOf('i32.or'),
  i32Rotl: opcodeOf('i32.rotl'),
  i64And: opcodeOf('i64.and'),
  i64Or: opcodeOf('i64.or'),
  i64Shl: opcodeOf('i64.shl'),
  i64ShrU: opcodeOf('i64.shr_u'),
  i64ShrS: opcodeOf('i64.shr_s'),
  i64Rotl: opcodeOf('i64.rotl'),
  i64Add: opcodeOf('i64.add'),
  i64Sub: opcodeOf('i64.sub'),
  i64Mul: opcodeOf('i64.mul'),
  swizzle: opcodeOf('i8x16.swizzle'),
  relaxedSwizzle: opcodeOf('i8x16.relaxed_swizzle'),
  v128And: opcodeOf('v128.and'),
  shuffle: opcodeOf('i8x16.shuffle'),
  v128Or: opcodeOf('v128.or'),
  i8x16Sub: opcodeOf('i8x16.sub'),
  i8x16Splat: opcodeOf('i8x16.splat'),
} as const;

/** Bytes swapped in pairs, then pairs of `width` bits. */
function emitSwapStep(e: Emitter, x: number, width: number, low: number, high: number): void {
  const { f } = e;
  f.set(x);
  f.get(x);
  f.i64(width, 0);
  f.op(O.i64ShrU);
  f.i64(low, high);
  f.op(O.i64And);
  f.get(x);
  f.i64(low, high);
  f.op(O.i64And);
  f.i64(width, 0);
  f.op(O.i64Shl);
  f.op(O.i64Or);
}

const bswap32: Emit = (e) => {
  const { f } = e;
  const x = e.scratch('i32', 1);
  f.tee(x);
  f.i32(8);
  f.op(O.i32Rotl);
  f.i32(0x00ff00ff);
  f.op(O.i32And);
  f.get(x);
  f.i32(24);
  f.op(O.i32Rotl);
  f.i32(0xff00ff00 | 0);
  f.op(O.i32And);
  f.op(O.i32Or);
};

const bswap64: Emit = (e) => {
  const x = e.scratch('i64', 1);
  emitSwapStep(e, x, 8, 0x00ff00ff, 0x00ff00ff);
  emitSwapStep(e, x, 16, 0x0000ffff, 0x0000ffff);
  e.f.i64(32, 0);
  e.f.op(O.i64Rotl);
};

/** (a, b) -> bits 127..64 of the unsigned product, by 32-bit halves. */
function emitMulHigh(e: Emitter, a: number, b: number, t: number, k: number): void {
  const { f } = e;
  const low = (x: number): void => {
    f.get(x);
    f.i64(-1, 0);
    f.op(O.i64And);
  };
  const high = (x: number): void => {
    f.get(x);
    f.i64(32, 0);
    f.op(O.i64ShrU);
  };
  // k = aHigh * bLow + (aLow * bLow >> 32)
  low(a);
  low(b);
  f.op(O.i64Mul);
  f.set(t);
  high(a);
  low(b);
  f.op(O.i64Mul);
  high(t);
  f.op(O.i64Add);
  f.set(k);
  // t = aLow * bHigh + low half of k
  low(a);
  high(b);
  f.op(O.i64Mul);
  low(k);
  f.op(O.i64Add);
  f.set(t);
  high(a);
  high(b);
  f.op(O.i64Mul);
  high(k);
  f.op(O.i64Add);
  high(t);
  f.op(O.i64Add);
}

const mulHigh =
  (signed: boolean): Emit =>
  (e) => {
    const { f } = e;
    const [a, b, t, k] = [1, 2, 3, 4].map((n) => e.scratch('i64', n));
    f.set(b);
    f.set(a);
    emitMulHigh(e, a, b, t, k);
    if (!signed) return;
    for (const [x, y] of [
      [a, b],
      [b, a],
    ]) {
      f.get(x);
      f.i64(63, 0);
      f.op(O.i64ShrS);
      f.get(y);
      f.op(O.i64And);
      f.op(O.i64Sub);
    }
  };

const insert =
  (mask: number, shift: number): Emit =>
  (e) => {
    const { f } = e;
    const b = e.scratch('i64', 1);
    f.set(b);
    f.i64(~(mask << shift), -1);
    f.op(O.i64And);
    f.get(b);
    f.i64(mask, 0);
    f.op(O.i64And);
    if (shift > 0) {
      f.i64(shift, 0);
      f.op(O.i64Shl);
    }
    f.op(O.i64Or);
  };

const shuffle: Emit = (e) => {
  const { f } = e;
  if (e.shuffleMask) {
    f.op(O.shuffle);
    f.code.append(e.shuffleMask);
    return;
  }
  // Each half by a swizzle, which gives 0 for indices out of range.
  const b = e.scratch('v128', 1);
  f.set(b);
  e.pushV128();
  f.op(O.swizzle);
  f.get(b);
  e.pushV128();
  f.i32(16);
  f.op(O.i8x16Splat);
  f.op(O.i8x16Sub);
  f.op(O.swizzle);
  f.op(O.v128Or);
};

const stateLoad = (wasmName: string): Emit => {
  const opcode = opcodeOf(wasmName);
  return (e) => e.f.memory(opcode, e.stateAddress());
};
const stateStore = (wasmName: string, type: Type): Emit => {
  const opcode = opcodeOf(wasmName);
  return (e) => {
    const value = e.scratch(type, 1);
    e.f.set(value);
    const offset = e.stateAddress();
    e.f.get(value);
    e.f.memory(opcode, offset);
  };
};
const pick: Emit = ({ f, relaxed }) => {
  if (relaxed.picks) {
    f.op(O.relaxedSwizzle);
    return;
  }
  f.i32(0x8f);
  f.op(O.i8x16Splat);
  f.op(O.v128And);
  f.op(O.swizzle);
};
/** (a, b, c) -> a * b + c. */
const multiplyAdd = (shape: 'f32x4' | 'f64x2'): Emit => {
  const relaxed = opcodeOf(`${shape}.relaxed_madd`);
  const [multiply, add] = [opcodeOf(`${shape}.mul`), opcodeOf(`${shape}.add`)];
  return (e) => {
    const { f } = e;
    if (e.relaxed.isThere) {
      f.op(relaxed);
      return;
    }
    const c = e.scratch('v128', 1);
    f.set(c);
    f.op(multiply);
    f.get(c);
    f.op(add);
  };
};
const ram = (wasmName: string): Emit => {
  const opcode = opcodeOf(wasmName);
  return (e) => e.f.memory(opcode, 0);
};

/** Without other vCPUs a load and a store. */
const ramCompareExchange: Emit = (e) => {
  const { f } = e;
  if (e.atomics) {
    f.atomic(opcodeOf('i32.atomic.rmw.cmpxchg'), 2);
    return;
  }
  const [host, expected, replacement, old] = [0, 1, 2, 3].map((n) => e.scratch('i32', n));
  f.set(replacement);
  f.set(expected);
  f.tee(host);
  f.memory(opcodeOf('i32.load'), 0);
  f.set(old);
  f.get(host);
  f.get(replacement);
  f.get(old);
  f.get(old);
  f.get(expected);
  f.op(opcodeOf('i32.eq'));
  f.op(opcodeOf('select'));
  f.memory(opcodeOf('i32.store'), 0);
  f.get(old);
};

const fence: Emit = (e) => {
  if (!e.atomics) return;
  e.f.op(opcodeOf('atomic.fence'));
  e.f.code.u8(0);
};

const COMPOSITE: Readonly<Record<Composite, Emit>> = {
  'i32.const': (e) => e.pushI32(),
  'i64.const': (e) => e.pushI64(),
  'f64.const': (e) => e.pushF64(),
  'v128.const': (e) => e.pushV128(),
  'i8x16.shuffle': shuffle,
  'i8x16.pick': pick,
  'i32.relaxed_fuses': (e) => e.f.i32(e.relaxed.fuses ? 1 : 0),
  'i32.select': select,
  'i64.select': select,
  'f32.select': select,
  'f64.select': select,
  'v128.select': select,
  'i32.bswap': bswap32,
  'i64.bswap': bswap64,
  'i64.mulhi_u': mulHigh(false),
  'i64.mulhi_s': mulHigh(true),
  'i64.insert8': insert(0xff, 0),
  'i64.insert8h': insert(0xff, 8),
  'i64.insert16': insert(0xffff, 0),
  'i32.ram_load': ram('i32.load'),
  'i64.ram_load': ram('i64.load'),
  'i32.ram_store': ram('i32.store'),
  'i64.ram_store': ram('i64.store'),
  'v128.ram_load': ram('v128.load'),
  'v128.ram_store': ram('v128.store'),
  'i32.ram_cmpxchg': ramCompareExchange,
  fence,
  'tlb.read': (e) => emitTlbLookup(e, 'tagRead'),
  'tlb.write': (e) => emitTlbLookup(e, 'tagWrite'),
  'tlb.read_distance': (e) => emitTlbDistance(e, 'tagRead'),
  'tlb.write_distance': (e) => emitTlbDistance(e, 'tagWrite'),
  'tlb.granted': emitTlbGranted,
  'memory.copy': (e) => {
    e.f.op(opcodeOf('memory.copy'));
    e.f.code.u8(0);
    e.f.code.u8(0);
  },
  'memory.fill': (e) => {
    e.f.op(opcodeOf('memory.fill'));
    e.f.code.u8(0);
  },
  'state.load8': stateLoad('i32.load8_u'),
  'state.load16': stateLoad('i32.load16_u'),
  'state.load32': stateLoad('i32.load'),
  'state.load64': stateLoad('i64.load'),
  'state.load128': stateLoad('v128.load'),
  'state.store8': stateStore('i32.store8', 'i32'),
  'state.store16': stateStore('i32.store16', 'i32'),
  'state.store32': stateStore('i32.store', 'i32'),
  'state.store64': stateStore('i64.store', 'i64'),
  'state.store128': stateStore('v128.store', 'v128'),
  'f32x4.relaxed_madd': multiplyAdd('f32x4'),
  'f64x2.relaxed_madd': multiplyAdd('f64x2'),
  raise_if: (e) => e.trapIf(),
};

function sameNamed(name: OpName): Emit {
  const opcode = opcodeOf(name);
  if (OPS[name].imm !== 'lane') return (e) => e.f.op(opcode);
  return (e) => {
    e.f.op(opcode);
    e.f.code.u8(e.lane);
  };
}

function emitOf(name: EmittedOp): Emit {
  if (Object.hasOwn(COMPOSITE, name)) return COMPOSITE[name as Composite];
  const memory = MEMORY_OPS.get(name);
  if (memory) return (e) => emitMemory(e, memory);
  return sameNamed(name);
}

const isEmitted = (name: OpName): name is EmittedOp => !['get', 'set', 'call', 'control'].includes(OPS[name].effect);

export const EMIT = Object.fromEntries((Object.keys(OPS) as OpName[]).filter(isEmitted).map((name) => [name, emitOf(name)])) as Readonly<
  Record<EmittedOp, Emit>
>;
/** The same by the ops' codes, for those that have one. */
export const EMIT_BY_CODE: readonly Emit[] = opTable<Emit, Emit>(EMIT, () => {
  throw new TypeError('the tiers write this op themselves');
});
