// The op table: every operation that the IR has, with its types and effects. Passes and both tiers read it; nobody keeps a list of
// op names beside it. Ops named after a WebAssembly instruction mean exactly that instruction (WebAssembly 3.0, section 4.4); the others
// are explained on their line. The executable meaning of each op is its emit in `codegen/src/emit.ts`.

export type Type = 'i32' | 'i64' | 'f32' | 'f64' | 'v128';

/**
 * What an op may do besides computing its result.
 * `pure`: nothing; `load`/`store`: reaches guest memory and may fault; `get`/`set`: reads or writes a state slot;
 * `state`: reads or writes the vCPU struct at a run-time offset; `call`: as its callee declares; `trap`: may leave the block;
 * `control`: structured control flow inside a block.
 */
export type Effect = 'pure' | 'load' | 'store' | 'get' | 'set' | 'stateLoad' | 'stateStore' | 'call' | 'trap' | 'control';

/** What the immediate of an op is. `lane`: a lane number below `lanes`. */
export type Immediate = 'none' | 'i32' | 'i64' | 'f64' | 'bytes16' | 'lane' | 'slot' | 'disp' | 'callee' | 'trapCode';

interface OpForm {
  readonly args: readonly Type[];
  readonly result: Type | undefined;
  readonly effect: Effect;
  readonly imm: Immediate;
  readonly lanes: number;
}

export interface OpSpec extends OpForm {
  readonly name: OpName;
  /** Number of the op: an index for tables by op. */
  readonly code: number;
  /** Can state be seen at the op (calls aside), or is it control flow? */
  readonly isLook: boolean;
}

type Spec<A extends readonly Type[], R extends Type | undefined> = {
  readonly args: A;
  readonly result: R;
  readonly effect: Effect;
  readonly imm: Immediate;
  readonly lanes: number;
};

const spec = <const A extends readonly Type[], const R extends Type | undefined>(
  args: A,
  result: R,
  effect: Effect = 'pure',
  imm: Immediate = 'none',
  lanes = 0,
): Spec<A, R> => ({ args, result, effect, imm, lanes });

const i32 = 'i32';
const i64 = 'i64';
const f32 = 'f32';
const f64 = 'f64';
const v128 = 'v128';

const bin32 = spec([i32, i32], i32);
const bin64 = spec([i64, i64], i64);
const cmp64 = spec([i64, i64], i32);
const un32 = spec([i32], i32);
const un64 = spec([i64], i64);
const binF32 = spec([f32, f32], f32);
const binF64 = spec([f64, f64], f64);
const cmpF32 = spec([f32, f32], i32);
const cmpF64 = spec([f64, f64], i32);
const unF32 = spec([f32], f32);
const unF64 = spec([f64], f64);
const binV = spec([v128, v128], v128);
const unV = spec([v128], v128);
const shiftV = spec([v128, i32], v128);
const testV = spec([v128], i32);
const load = <const R extends Type>(result: R) => spec([i64], result, 'load', 'disp');
const store = <const T extends Type>(type: T) => spec([i64, type], undefined, 'store', 'disp');

const FORMS = {
  // constants
  'i32.const': spec([], i32, 'pure', 'i32'),
  'i64.const': spec([], i64, 'pure', 'i64'),
  'f64.const': spec([], f64, 'pure', 'f64'),
  'v128.const': spec([], v128, 'pure', 'bytes16'),

  // i32
  'i32.add': bin32, 'i32.sub': bin32, 'i32.mul': bin32, 'i32.and': bin32, 'i32.or': bin32, 'i32.xor': bin32,
  'i32.shl': bin32, 'i32.shr_s': bin32, 'i32.shr_u': bin32, 'i32.rotl': bin32, 'i32.rotr': bin32,
  'i32.eq': bin32, 'i32.ne': bin32, 'i32.lt_s': bin32, 'i32.lt_u': bin32, 'i32.gt_s': bin32, 'i32.gt_u': bin32,
  'i32.le_s': bin32, 'i32.le_u': bin32, 'i32.ge_s': bin32, 'i32.ge_u': bin32,
  'i32.eqz': un32, 'i32.clz': un32, 'i32.ctz': un32, 'i32.popcnt': un32, 'i32.extend8_s': un32, 'i32.extend16_s': un32,
  'i32.select': spec([i32, i32, i32], i32), // (a, b, condition): a if condition is not 0, else b; likewise for the other types
  // The divisor must not be 0 and the quotient must fit: guard with raise_if. Not foldable, not movable above its guard.
  'i32.div_s': spec([i32, i32], i32, 'trap'), 'i32.div_u': spec([i32, i32], i32, 'trap'),
  'i32.rem_s': spec([i32, i32], i32, 'trap'), 'i32.rem_u': spec([i32, i32], i32, 'trap'),
  'i32.bswap': un32, // bytes reversed

  // i64
  'i64.add': bin64, 'i64.sub': bin64, 'i64.mul': bin64, 'i64.and': bin64, 'i64.or': bin64, 'i64.xor': bin64,
  'i64.shl': bin64, 'i64.shr_s': bin64, 'i64.shr_u': bin64, 'i64.rotl': bin64, 'i64.rotr': bin64,
  'i64.eq': cmp64, 'i64.ne': cmp64, 'i64.lt_s': cmp64, 'i64.lt_u': cmp64, 'i64.gt_s': cmp64, 'i64.gt_u': cmp64,
  'i64.le_s': cmp64, 'i64.le_u': cmp64, 'i64.ge_s': cmp64, 'i64.ge_u': cmp64,
  'i64.eqz': spec([i64], i32), 'i64.clz': un64, 'i64.ctz': un64, 'i64.popcnt': un64,
  'i64.extend8_s': un64, 'i64.extend16_s': un64, 'i64.extend32_s': un64,
  'i64.select': spec([i64, i64, i32], i64),
  'i64.div_s': spec([i64, i64], i64, 'trap'), 'i64.div_u': spec([i64, i64], i64, 'trap'),
  'i64.rem_s': spec([i64, i64], i64, 'trap'), 'i64.rem_u': spec([i64, i64], i64, 'trap'),
  'i64.bswap': un64,
  'i64.mulhi_u': bin64, 'i64.mulhi_s': bin64, // bits 127..64 of the product
  'i64.insert8': bin64, // (a & ~0xff) | (b & 0xff)
  'i64.insert8h': bin64, // (a & ~0xff00) | ((b & 0xff) << 8)
  'i64.insert16': bin64, // (a & ~0xffff) | (b & 0xffff)

  // conversions
  'i32.wrap_i64': spec([i64], i32),
  'i64.extend_i32_u': spec([i32], i64),
  'i64.extend_i32_s': spec([i32], i64),
  'i32.reinterpret_f32': spec([f32], i32), 'f32.reinterpret_i32': spec([i32], f32),
  'i64.reinterpret_f64': spec([f64], i64), 'f64.reinterpret_i64': spec([i64], f64),
  'i32.trunc_sat_f64_s': spec([f64], i32), 'i32.trunc_sat_f32_s': spec([f32], i32),
  'i64.trunc_sat_f64_s': spec([f64], i64), 'i64.trunc_sat_f32_s': spec([f32], i64),
  'f32.convert_i32_s': spec([i32], f32), 'f32.convert_i64_s': spec([i64], f32),
  'f64.convert_i32_s': spec([i32], f64), 'f64.convert_i64_s': spec([i64], f64),
  'f32.demote_f64': spec([f64], f32), 'f64.promote_f32': spec([f32], f64),

  // floating point: round to nearest even, no flags; NaN bits unspecified
  'f32.add': binF32, 'f32.sub': binF32, 'f32.mul': binF32, 'f32.div': binF32, 'f32.sqrt': unF32, 'f32.nearest': unF32, 'f32.floor': unF32,
  'f32.ceil': unF32, 'f32.trunc': unF32, 'f32.abs': unF32, 'f32.neg': unF32,
  'f32.eq': cmpF32, 'f32.ne': cmpF32, 'f32.lt': cmpF32, 'f32.gt': cmpF32, 'f32.le': cmpF32, 'f32.ge': cmpF32,
  'f64.add': binF64, 'f64.sub': binF64, 'f64.mul': binF64, 'f64.div': binF64, 'f64.sqrt': unF64, 'f64.nearest': unF64, 'f64.floor': unF64,
  'f64.ceil': unF64, 'f64.trunc': unF64, 'f64.abs': unF64, 'f64.neg': unF64,
  'f64.eq': cmpF64, 'f64.ne': cmpF64, 'f64.lt': cmpF64, 'f64.gt': cmpF64, 'f64.le': cmpF64, 'f64.ge': cmpF64,
  'f64.select': spec([f64, f64, i32], f64), 'f32.select': spec([f32, f32, i32], f32),

  // vectors
  'v128.and': binV, 'v128.or': binV, 'v128.xor': binV, 'v128.andnot': binV, // andnot: a & ~b
  'v128.not': unV, 'v128.any_true': testV,
  'v128.bitselect': spec([v128, v128, v128], v128), // (a, b, mask)
  'v128.select': spec([v128, v128, i32], v128),
  'i8x16.shuffle': spec([v128, v128], v128, 'pure', 'bytes16'),
  'i8x16.swizzle': binV,
  'i8x16.pick': binV, // (a, indices): byte number `index & 15` of a, or 0 where the index's upper bit is set
  'i8x16.splat': spec([i32], v128), 'i16x8.splat': spec([i32], v128), 'i32x4.splat': spec([i32], v128), 'i64x2.splat': spec([i64], v128),
  'f32x4.splat': spec([f32], v128), 'f64x2.splat': spec([f64], v128),
  'i8x16.extract_lane_u': spec([v128], i32, 'pure', 'lane', 16), 'i8x16.extract_lane_s': spec([v128], i32, 'pure', 'lane', 16),
  'i16x8.extract_lane_u': spec([v128], i32, 'pure', 'lane', 8), 'i16x8.extract_lane_s': spec([v128], i32, 'pure', 'lane', 8),
  'i32x4.extract_lane': spec([v128], i32, 'pure', 'lane', 4), 'i64x2.extract_lane': spec([v128], i64, 'pure', 'lane', 2),
  'f32x4.extract_lane': spec([v128], f32, 'pure', 'lane', 4), 'f64x2.extract_lane': spec([v128], f64, 'pure', 'lane', 2),
  'i8x16.replace_lane': spec([v128, i32], v128, 'pure', 'lane', 16), 'i16x8.replace_lane': spec([v128, i32], v128, 'pure', 'lane', 8),
  'i32x4.replace_lane': spec([v128, i32], v128, 'pure', 'lane', 4), 'i64x2.replace_lane': spec([v128, i64], v128, 'pure', 'lane', 2),
  'f32x4.replace_lane': spec([v128, f32], v128, 'pure', 'lane', 4), 'f64x2.replace_lane': spec([v128, f64], v128, 'pure', 'lane', 2),

  'i8x16.add': binV, 'i8x16.sub': binV, 'i8x16.add_sat_s': binV, 'i8x16.add_sat_u': binV, 'i8x16.sub_sat_s': binV, 'i8x16.sub_sat_u': binV,
  'i8x16.min_s': binV, 'i8x16.min_u': binV, 'i8x16.max_s': binV, 'i8x16.max_u': binV, 'i8x16.avgr_u': binV, 'i8x16.abs': unV, 'i8x16.neg': unV,
  'i8x16.popcnt': unV, 'i8x16.eq': binV, 'i8x16.gt_s': binV, 'i8x16.lt_s': binV, 'i8x16.bitmask': testV, 'i8x16.all_true': testV,
  'i8x16.shl': shiftV, 'i8x16.shr_s': shiftV, 'i8x16.shr_u': shiftV,
  'i8x16.narrow_i16x8_s': binV, 'i8x16.narrow_i16x8_u': binV,

  'i16x8.add': binV, 'i16x8.sub': binV, 'i16x8.mul': binV, 'i16x8.add_sat_s': binV, 'i16x8.add_sat_u': binV, 'i16x8.sub_sat_s': binV, 'i16x8.sub_sat_u': binV,
  'i16x8.min_s': binV, 'i16x8.min_u': binV, 'i16x8.max_s': binV, 'i16x8.max_u': binV, 'i16x8.avgr_u': binV, 'i16x8.abs': unV, 'i16x8.neg': unV,
  'i16x8.eq': binV, 'i16x8.gt_s': binV, 'i16x8.lt_s': binV, 'i16x8.bitmask': testV, 'i16x8.all_true': testV,
  'i16x8.shl': shiftV, 'i16x8.shr_s': shiftV, 'i16x8.shr_u': shiftV,
  'i16x8.narrow_i32x4_s': binV, 'i16x8.narrow_i32x4_u': binV, 'i16x8.q15mulr_sat_s': binV,
  'i16x8.extend_low_i8x16_s': unV, 'i16x8.extend_low_i8x16_u': unV, 'i16x8.extend_high_i8x16_s': unV, 'i16x8.extend_high_i8x16_u': unV,
  'i16x8.extmul_low_i8x16_s': binV, 'i16x8.extmul_low_i8x16_u': binV, 'i16x8.extmul_high_i8x16_s': binV, 'i16x8.extmul_high_i8x16_u': binV,
  'i16x8.extadd_pairwise_i8x16_s': unV, 'i16x8.extadd_pairwise_i8x16_u': unV,

  'i32x4.add': binV, 'i32x4.sub': binV, 'i32x4.mul': binV, 'i32x4.min_s': binV, 'i32x4.min_u': binV, 'i32x4.max_s': binV, 'i32x4.max_u': binV,
  'i32x4.abs': unV, 'i32x4.neg': unV, 'i32x4.eq': binV, 'i32x4.gt_s': binV, 'i32x4.lt_s': binV, 'i32x4.bitmask': testV, 'i32x4.all_true': testV,
  'i32x4.shl': shiftV, 'i32x4.shr_s': shiftV, 'i32x4.shr_u': shiftV, 'i32x4.dot_i16x8_s': binV,
  'i32x4.extend_low_i16x8_s': unV, 'i32x4.extend_low_i16x8_u': unV, 'i32x4.extend_high_i16x8_s': unV, 'i32x4.extend_high_i16x8_u': unV,
  'i32x4.extmul_low_i16x8_s': binV, 'i32x4.extmul_low_i16x8_u': binV, 'i32x4.extmul_high_i16x8_s': binV, 'i32x4.extmul_high_i16x8_u': binV,
  'i32x4.extadd_pairwise_i16x8_s': unV, 'i32x4.extadd_pairwise_i16x8_u': unV,
  'i32x4.trunc_sat_f32x4_s': unV, 'i32x4.trunc_sat_f64x2_s_zero': unV,

  'i64x2.add': binV, 'i64x2.sub': binV, 'i64x2.mul': binV, 'i64x2.abs': unV, 'i64x2.neg': unV, 'i64x2.eq': binV, 'i64x2.gt_s': binV, 'i64x2.lt_s': binV,
  'i64x2.bitmask': testV, 'i64x2.all_true': testV, 'i64x2.shl': shiftV, 'i64x2.shr_s': shiftV, 'i64x2.shr_u': shiftV,
  'i64x2.extend_low_i32x4_s': unV, 'i64x2.extend_low_i32x4_u': unV, 'i64x2.extend_high_i32x4_s': unV, 'i64x2.extend_high_i32x4_u': unV,
  'i64x2.extmul_low_i32x4_s': binV, 'i64x2.extmul_low_i32x4_u': binV, 'i64x2.extmul_high_i32x4_s': binV, 'i64x2.extmul_high_i32x4_u': binV,

  'f32x4.add': binV, 'f32x4.sub': binV, 'f32x4.mul': binV, 'f32x4.div': binV, 'f32x4.sqrt': unV, 'f32x4.abs': unV, 'f32x4.neg': unV,
  'f32x4.nearest': unV, 'f32x4.floor': unV, 'f32x4.ceil': unV, 'f32x4.trunc': unV,
  'f32x4.eq': binV, 'f32x4.ne': binV, 'f32x4.lt': binV, 'f32x4.gt': binV, 'f32x4.le': binV, 'f32x4.ge': binV,
  // (a, b, c): a * b + c, rounded once where `relaxed_fuses` is 1, else the product is rounded too.
  'i32.relaxed_fuses': spec([], i32),
  'f32x4.relaxed_madd': spec([v128, v128, v128], v128), 'f64x2.relaxed_madd': spec([v128, v128, v128], v128),
  'f32x4.convert_i32x4_s': unV, 'f32x4.demote_f64x2_zero': unV,
  'f64x2.add': binV, 'f64x2.sub': binV, 'f64x2.mul': binV, 'f64x2.div': binV, 'f64x2.sqrt': unV, 'f64x2.abs': unV, 'f64x2.neg': unV,
  'f64x2.nearest': unV, 'f64x2.floor': unV, 'f64x2.ceil': unV, 'f64x2.trunc': unV,
  'f64x2.eq': binV, 'f64x2.ne': binV, 'f64x2.lt': binV, 'f64x2.gt': binV, 'f64x2.le': binV, 'f64x2.ge': binV,
  'f64x2.convert_low_i32x4_s': unV, 'f64x2.promote_low_f32x4': unV,

  // guest memory: (linear address[, value]); the access is at address + disp (wraps at 64 bits). Loads of part words extend as named.
  'i32.load8_u': load(i32), 'i32.load8_s': load(i32), 'i32.load16_u': load(i32), 'i32.load16_s': load(i32), 'i32.load': load(i32),
  'i64.load': load(i64), 'v128.load': load(v128),
  'i32.store8': store(i32), 'i32.store16': store(i32), 'i32.store': store(i32), 'i64.store': store(i64), 'v128.store': store(v128),
  // May the bytes be written? Faults as the store would, writes nothing. Sizes as named.
  'probe_write8': spec([i64], undefined, 'load', 'disp'), 'probe_write16': spec([i64], undefined, 'load', 'disp'),
  'probe_write32': spec([i64], undefined, 'load', 'disp'), 'probe_write64': spec([i64], undefined, 'load', 'disp'),
  // Atomic read-modify-write with result = old value: (address, operand). `cmpxchg`: (address, expected, replacement).
  'i32.rmw8.add': spec([i64, i32], i32, 'store', 'disp'), 'i32.rmw16.add': spec([i64, i32], i32, 'store', 'disp'), 'i32.rmw.add': spec([i64, i32], i32, 'store', 'disp'), 'i64.rmw.add': spec([i64, i64], i64, 'store', 'disp'),
  'i32.rmw8.and': spec([i64, i32], i32, 'store', 'disp'), 'i32.rmw16.and': spec([i64, i32], i32, 'store', 'disp'), 'i32.rmw.and': spec([i64, i32], i32, 'store', 'disp'), 'i64.rmw.and': spec([i64, i64], i64, 'store', 'disp'),
  'i32.rmw8.or': spec([i64, i32], i32, 'store', 'disp'), 'i32.rmw16.or': spec([i64, i32], i32, 'store', 'disp'), 'i32.rmw.or': spec([i64, i32], i32, 'store', 'disp'), 'i64.rmw.or': spec([i64, i64], i64, 'store', 'disp'),
  'i32.rmw8.xor': spec([i64, i32], i32, 'store', 'disp'), 'i32.rmw16.xor': spec([i64, i32], i32, 'store', 'disp'), 'i32.rmw.xor': spec([i64, i32], i32, 'store', 'disp'), 'i64.rmw.xor': spec([i64, i64], i64, 'store', 'disp'),
  'i32.rmw8.xchg': spec([i64, i32], i32, 'store', 'disp'), 'i32.rmw16.xchg': spec([i64, i32], i32, 'store', 'disp'), 'i32.rmw.xchg': spec([i64, i32], i32, 'store', 'disp'), 'i64.rmw.xchg': spec([i64, i64], i64, 'store', 'disp'),
  'i32.rmw8.cmpxchg': spec([i64, i32, i32], i32, 'store', 'disp'), 'i32.rmw16.cmpxchg': spec([i64, i32, i32], i32, 'store', 'disp'), 'i32.rmw.cmpxchg': spec([i64, i32, i32], i32, 'store', 'disp'), 'i64.rmw.cmpxchg': spec([i64, i64, i64], i64, 'store', 'disp'),

  // Guest-physical RAM, for page walkers in routines: (byte offset into the machine's memory). Never faults: the caller has checked the range.
  'i32.ram_load': spec([i32], i32, 'stateLoad'), 'i64.ram_load': spec([i32], i64, 'stateLoad'),
  'i32.ram_store': spec([i32, i32], undefined, 'stateStore'), 'i64.ram_store': spec([i32, i64], undefined, 'stateStore'),
  'v128.ram_load': spec([i32], v128, 'stateLoad'), 'v128.ram_store': spec([i32, v128], undefined, 'stateStore'),
  'i32.ram_cmpxchg': spec([i32, i32, i32], i32, 'stateStore'), // (aligned offset, expected, replacement): atomic; the old value
  'fence': spec([], undefined, 'stateStore'), // what other vCPUs see of accesses before it and after it stays apart
  // Byte offset, in the machine's memory, of the byte at a linear address; -1 where the TLB in force does not grant the access at once.
  'tlb.read': spec([i64], i32, 'stateLoad'), 'tlb.write': spec([i64], i32, 'stateLoad'),
  // The same for many bytes at once: the offset in its page of a linear address where the TLB in force grants the access at once, else more than any;
  // and then the byte offset in the machine's memory.
  'tlb.read_distance': spec([i64], i64, 'stateLoad'), 'tlb.write_distance': spec([i64], i64, 'stateLoad'), 'tlb.granted': spec([i64], i32, 'stateLoad'),
  'memory.copy': spec([i32, i32, i32], undefined, 'stateStore'), // (to, from, bytes): as WebAssembly's, on byte offsets into the machine's memory
  'memory.fill': spec([i32, i32, i32], undefined, 'stateStore'), // (to, byte value, bytes)

  // vCPU state: a named slot, or the struct at a run-time byte offset from its start (+ disp). Slots reached by offset must be `pinned`.
  'get': spec([], i64, 'get', 'slot'), // the real type is the slot's
  'set': spec([i64], undefined, 'set', 'slot'),
  'state.load8': spec([i32], i32, 'stateLoad', 'disp'), 'state.load16': spec([i32], i32, 'stateLoad', 'disp'), 'state.load32': spec([i32], i32, 'stateLoad', 'disp'), 'state.load64': spec([i32], i64, 'stateLoad', 'disp'),
  'state.load128': spec([i32], v128, 'stateLoad', 'disp'),
  'state.store8': spec([i32, i32], undefined, 'stateStore', 'disp'), 'state.store16': spec([i32, i32], undefined, 'stateStore', 'disp'), 'state.store32': spec([i32, i32], undefined, 'stateStore', 'disp'),
  'state.store64': spec([i32, i64], undefined, 'stateStore', 'disp'), 'state.store128': spec([i32, v128], undefined, 'stateStore', 'disp'),

  // Leaves the block with trap `imm` (front end's code) when the argument is not 0; the state is that of the instruction's start.
  'raise_if': spec([i32], undefined, 'trap', 'trapCode'),

  // A routine (IR function of the front end) or a helper (host function): arguments and result as the callee declares.
  'call': spec([], undefined, 'call', 'callee'),

  // Structured control inside a block; values defined inside are not used outside (use a temp slot).
  // The immediate of `if` is a hint: 1 where the condition hardly ever holds.
  'if': spec([i32], undefined, 'control'), 'else': spec([], undefined, 'control'), 'end': spec([], undefined, 'control'),
  'loop': spec([], undefined, 'control'), // body runs at least once
  'loop_while': spec([i32], undefined, 'control'), // closes 'loop': again when the argument is not 0
} as const satisfies Record<string, OpForm>;

export type OpName = keyof typeof FORMS;
type Specs = { readonly [N in OpName]: (typeof FORMS)[N] & OpSpec };

const isLook = (name: string, effect: Effect): boolean =>
  effect === 'load' || effect === 'store' || effect === 'control' || name === 'raise_if';

/** Every op has a record of its own, in an object that stays of one shape: look-ups by a constant name are free. */
function numberOps(): Specs {
  const all: Record<string, OpForm> = { ...FORMS };
  Object.keys(FORMS).forEach((name, code) => {
    const { args, result, effect, imm, lanes } = FORMS[name as OpName] as OpForm;
    const spec: OpSpec = { args, result, effect, imm, lanes, name: name as OpName, code, isLook: isLook(name, effect) };
    all[name] = spec;
  });
  return all as unknown as Specs;
}

export const OPS: Specs = numberOps();
const OP_COUNT = Object.keys(OPS).length;

/** A table by the `code` of ops. */
export function opTable<T, D>(entries: Readonly<Partial<Record<OpName, T>>>, otherwise: D): readonly (T | D)[] {
  const table: (T | D)[] = [];
  for (let code = 0; code < OP_COUNT; code++) table.push(otherwise);
  for (const [name, entry] of Object.entries(entries)) table[OPS[name as OpName].code] = entry;
  return table;
}

/** Types of an op's arguments, as a tuple. */
export type ArgTypes<N extends OpName> = (typeof OPS)[N]['args'];
export type ResultType<N extends OpName> = (typeof OPS)[N]['result'];
