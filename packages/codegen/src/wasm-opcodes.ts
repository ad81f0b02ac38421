// WebAssembly instruction numbers (WebAssembly 3.0, 5.4 and appendix "Index of Instructions"; atomics: Threads proposal).
// A prefixed instruction is prefix << 12 | number.

/** Value type bytes. */
export const WASM_TYPE = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b } as const;
export type WasmType = (typeof WASM_TYPE)[keyof typeof WASM_TYPE];

export const PREFIX_SHIFT = 12;

const numbered = (prefix: number, groups: Readonly<Record<number, string>>): Record<string, number> => {
  const table: Record<string, number> = {};
  for (const [first, names] of Object.entries(groups)) {
    let number = Number(first);
    for (const name of names.split(' ')) {
      if (name !== '-') table[name] = (prefix << PREFIX_SHIFT) | number;
      number += 1;
    }
  }
  return table;
};

const CMP_INT = (s: string) =>
  ['eq', 'ne', 'lt_s', 'lt_u', 'gt_s', 'gt_u', 'le_s', 'le_u', 'ge_s', 'ge_u'].map((n) => `${s}.${n}`).join(' ');
const CMP_FLOAT = (s: string) => ['eq', 'ne', 'lt', 'gt', 'le', 'ge'].map((n) => `${s}.${n}`).join(' ');
const INT = (s: string) =>
  'clz ctz popcnt add sub mul div_s div_u rem_s rem_u and or xor shl shr_s shr_u rotl rotr'
    .split(' ')
    .map((n) => `${s}.${n}`)
    .join(' ');
const FLOAT = (s: string) =>
  'abs neg ceil floor trunc nearest sqrt add sub mul div min max copysign'
    .split(' ')
    .map((n) => `${s}.${n}`)
    .join(' ');
const shape = (s: string, names: string) =>
  names
    .split(' ')
    .map((n) => (n === '-' ? n : n.includes('.') ? n : `${s}.${n}`))
    .join(' ');

/** By WebAssembly name. */
export const OPCODE: Readonly<Record<string, number>> = {
  ...numbered(0, {
    0x00: 'unreachable nop block loop if else',
    0x0b: 'end br br_if br_table return call call_indirect return_call return_call_indirect',
    0x1a: 'drop select',
    0x20: 'local.get local.set local.tee global.get global.set',
    0x28: 'i32.load i64.load f32.load f64.load i32.load8_s i32.load8_u i32.load16_s i32.load16_u',
    0x30: 'i64.load8_s i64.load8_u i64.load16_s i64.load16_u i64.load32_s i64.load32_u',
    0x36: 'i32.store i64.store f32.store f64.store i32.store8 i32.store16 i64.store8 i64.store16 i64.store32',
    0x41: 'i32.const i64.const f32.const f64.const',
    0x45: `i32.eqz ${CMP_INT('i32')} i64.eqz ${CMP_INT('i64')} ${CMP_FLOAT('f32')} ${CMP_FLOAT('f64')}`,
    0x67: `${INT('i32')} ${INT('i64')} ${FLOAT('f32')} ${FLOAT('f64')}`,
    0xa7: 'i32.wrap_i64 i32.trunc_f32_s i32.trunc_f32_u i32.trunc_f64_s i32.trunc_f64_u i64.extend_i32_s i64.extend_i32_u',
    0xb2: 'f32.convert_i32_s f32.convert_i32_u f32.convert_i64_s f32.convert_i64_u f32.demote_f64',
    0xb7: 'f64.convert_i32_s f64.convert_i32_u f64.convert_i64_s f64.convert_i64_u f64.promote_f32',
    0xbc: 'i32.reinterpret_f32 i64.reinterpret_f64 f32.reinterpret_i32 f64.reinterpret_i64',
    0xc0: 'i32.extend8_s i32.extend16_s i64.extend8_s i64.extend16_s i64.extend32_s',
  }),
  ...numbered(0xfc, {
    0: 'i32.trunc_sat_f32_s - i32.trunc_sat_f64_s - i64.trunc_sat_f32_s - i64.trunc_sat_f64_s',
    10: 'memory.copy memory.fill',
  }),
  ...numbered(0xfd, {
    0: 'v128.load',
    11: 'v128.store v128.const i8x16.shuffle i8x16.swizzle i8x16.splat i16x8.splat i32x4.splat i64x2.splat f32x4.splat f64x2.splat',
    21: 'i8x16.extract_lane_s i8x16.extract_lane_u i8x16.replace_lane i16x8.extract_lane_s i16x8.extract_lane_u i16x8.replace_lane',
    27: 'i32x4.extract_lane i32x4.replace_lane i64x2.extract_lane i64x2.replace_lane',
    31: 'f32x4.extract_lane f32x4.replace_lane f64x2.extract_lane f64x2.replace_lane',
    35: `${CMP_INT('i8x16')} ${CMP_INT('i16x8')} ${CMP_INT('i32x4')} ${CMP_FLOAT('f32x4')} ${CMP_FLOAT('f64x2')}`,
    77: 'v128.not v128.and v128.andnot v128.or v128.xor v128.bitselect v128.any_true',
    94: 'f32x4.demote_f64x2_zero f64x2.promote_low_f32x4',
    96: shape(
      'i8x16',
      'abs neg popcnt all_true bitmask narrow_i16x8_s narrow_i16x8_u f32x4.ceil f32x4.floor f32x4.trunc f32x4.nearest shl shr_s shr_u',
    ),
    110: shape(
      'i8x16',
      'add add_sat_s add_sat_u sub sub_sat_s sub_sat_u f64x2.ceil f64x2.floor min_s min_u max_s max_u f64x2.trunc avgr_u',
    ),
    124: 'i16x8.extadd_pairwise_i8x16_s i16x8.extadd_pairwise_i8x16_u i32x4.extadd_pairwise_i16x8_s i32x4.extadd_pairwise_i16x8_u',
    128: shape('i16x8', 'abs neg q15mulr_sat_s all_true bitmask narrow_i32x4_s narrow_i32x4_u'),
    135: shape('i16x8', 'extend_low_i8x16_s extend_high_i8x16_s extend_low_i8x16_u extend_high_i8x16_u shl shr_s shr_u'),
    142: shape('i16x8', 'add add_sat_s add_sat_u sub sub_sat_s sub_sat_u f64x2.nearest mul min_s min_u max_s max_u - avgr_u'),
    156: shape('i16x8', 'extmul_low_i8x16_s extmul_high_i8x16_s extmul_low_i8x16_u extmul_high_i8x16_u'),
    160: shape('i32x4', 'abs neg - all_true bitmask - - extend_low_i16x8_s extend_high_i16x8_s extend_low_i16x8_u extend_high_i16x8_u'),
    171: shape('i32x4', 'shl shr_s shr_u add - - sub - - - mul min_s min_u max_s max_u dot_i16x8_s'),
    188: shape('i32x4', 'extmul_low_i16x8_s extmul_high_i16x8_s extmul_low_i16x8_u extmul_high_i16x8_u'),
    192: shape('i64x2', 'abs neg - all_true bitmask - - extend_low_i32x4_s extend_high_i32x4_s extend_low_i32x4_u extend_high_i32x4_u'),
    203: shape('i64x2', 'shl shr_s shr_u add - - sub - - - mul eq ne lt_s gt_s le_s ge_s'),
    220: shape('i64x2', 'extmul_low_i32x4_s extmul_high_i32x4_s extmul_low_i32x4_u extmul_high_i32x4_u'),
    224: shape('f32x4', 'abs neg - sqrt add sub mul div min max pmin pmax'),
    236: shape('f64x2', 'abs neg - sqrt add sub mul div min max pmin pmax'),
    248: 'i32x4.trunc_sat_f32x4_s i32x4.trunc_sat_f32x4_u f32x4.convert_i32x4_s f32x4.convert_i32x4_u',
    0x100: 'i8x16.relaxed_swizzle',
    0x105: 'f32x4.relaxed_madd - f64x2.relaxed_madd',
    252: 'i32x4.trunc_sat_f64x2_s_zero i32x4.trunc_sat_f64x2_u_zero f64x2.convert_low_i32x4_s f64x2.convert_low_i32x4_u',
  }),
  ...numbered(0xfe, {
    0x03: 'atomic.fence',
    0x1e: 'i32.atomic.rmw.add i64.atomic.rmw.add i32.atomic.rmw8.add i32.atomic.rmw16.add',
    0x2c: 'i32.atomic.rmw.and i64.atomic.rmw.and i32.atomic.rmw8.and i32.atomic.rmw16.and',
    0x33: 'i32.atomic.rmw.or i64.atomic.rmw.or i32.atomic.rmw8.or i32.atomic.rmw16.or',
    0x3a: 'i32.atomic.rmw.xor i64.atomic.rmw.xor i32.atomic.rmw8.xor i32.atomic.rmw16.xor',
    0x41: 'i32.atomic.rmw.xchg i64.atomic.rmw.xchg i32.atomic.rmw8.xchg i32.atomic.rmw16.xchg',
    0x48: 'i32.atomic.rmw.cmpxchg i64.atomic.rmw.cmpxchg i32.atomic.rmw8.cmpxchg i32.atomic.rmw16.cmpxchg',
  }),
};

/** Number of the instruction called `name`, which must exist. */
export function opcodeOf(name: string): number {
  const opcode = OPCODE[name];
  if (opcode === undefined) throw new TypeError(`WebAssembly has no instruction ${name}`);
  return opcode;
}
