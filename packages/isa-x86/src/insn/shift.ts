// Shifts and rotates, double shifts, BMI2 shifts. SDM Vol. 2: SAL/SAR/SHL/SHR, RCL/RCR/ROL/ROR, SHLD/SHRD, SARX/SHLX/SHRX, RORX.
// The count is masked to 5 bits (6 for 64-bit operands); a masked count of 0 changes no flag and no register.

import type { Value } from '@anillo/ir/block';
import { CC, type IntBits } from '../flags.ts';
import type { Int, Lift } from '../lift.ts';
import { insn, type Row } from '../row.ts';

type ShiftName = 'rol' | 'ror' | 'rcl' | 'rcr' | 'shl' | 'shr' | 'sar';

/** Shift count as a constant where known, else as a masked value of the operand's type. */
function countOf(c: Lift, operand: number, bits: IntBits): number | Value<'i32'> {
  const mask = bits === 64 ? 63 : 31;
  const { kind } = c.operand(operand);
  if (kind === 'one') return 1;
  if (kind === 'I') return c.imm() & mask;
  return c.b.and(c.to32(c.reg(1, 8)), c.b.i32(mask));
}

/** Value shifted by a count below 64; 8- and 16-bit values have room for counts up to 31 in 64 bits. */
function shifted(c: Lift, name: 'shl' | 'shr' | 'sar', v: Int, count: Int, bits: IntBits): Int {
  const { b } = c;
  if (name === 'shl') return b.shl(v, count);
  if (name === 'shr') return b.shrU(v, count);
  return b.shrS(c.signedValue(v, bits), count);
}

function shift(c: Lift, name: 'shl' | 'shr' | 'sar'): void {
  const { b } = c;
  const bits = c.bits(0);
  const count = countOf(c, 1, bits);
  if (count === 0) {
    // A 32-bit register form still clears the upper half; a memory form still needs write access.
    c.modify(0, (x) => x);
    return;
  }
  const wide: Int = typeof count === 'number' ? (bits === 64 ? b.i64(count) : b.i32(count)) : bits === 64 ? b.extendU(count) : count;
  const one: Int = bits === 64 ? b.i64(1) : b.i32(1);
  const old = c.modify(0, (x) => shifted(c, name, x, wide, bits));
  // The last bit out: what a shift by one less leaves at the edge. A count of 0 does not get there.
  const before = shifted(c, name, old, b.sub(wide, one), bits);
  const result = c.modifiedValue;
  whereNotZero(c, count, () => c.setFlags(name === 'shl' ? CC.SHL : CC.SHR, bits, result, name === 'sar' ? sarEdge(c, before, bits) : before));
}
/** OF of SAR is 0: its edge value keeps the sign of the result, which `before` does in its own width. */
const sarEdge = (c: Lift, before: Int, bits: IntBits): Int => (bits === 8 || bits === 16 ? c.cut(before, bits) : before);

/** ROL and ROR: CF is the bit that wrapped, OF (defined for counts of 1) the change of the top bit; the other flags stay. */
function rotate(c: Lift, left: boolean): void {
  const { b } = c;
  const bits = c.bits(0);
  const count = countOf(c, 1, bits);
  if (count === 0) {
    c.modify(0, (x) => x);
    return;
  }
  const spread = (v: Int): Int => {
    const amount: Int = typeof count === 'number' ? b.i32(count % bits) : b.and(count, b.i32(bits - 1));
    if (bits === 64) return left ? b.rotl(v, b.extendU(amount as Value<'i32'>)) : b.op('i64.rotr', [v as Value<'i64'>, b.extendU(amount as Value<'i32'>)]);
    if (bits === 32) return left ? b.rotl(v, amount) : b.op('i32.rotr', [v as Value<'i32'>, amount as Value<'i32'>]);
    const back = b.and(b.sub(b.i32(bits), amount), b.i32(31));
    const x = v as Value<'i32'>;
    return c.cut(left ? b.or(b.shl(x, amount as Value<'i32'>), b.shrU(x, back)) : b.or(b.shrU(x, amount as Value<'i32'>), b.shl(x, back)), bits);
  };
  c.modify(0, spread);
  whereNotZero(c, count, () => c.flags.rotate(left, bits, c.modifiedValue));
}

const bitAt = (c: Lift, v: Int, n: number): Value<'i32'> =>
  v.type === 'i64' ? c.b.and(c.b.wrap(c.b.shrU(v as Value<'i64'>, c.b.i64(n))), c.b.i32(1)) : c.b.and(c.b.shrU(v as Value<'i32'>, c.b.i32(n)), c.b.i32(1));
/** A count that is 0 at run time leaves all flags. */
function whereNotZero(c: Lift, count: number | Value<'i32'>, setFlags: () => void): void {
  if (typeof count === 'number') {
    setFlags();
    return;
  }
  c.b.if(count, setFlags);
  c.flags.forget();
}

/** RCL and RCR by a constant from 1 to the operand's size: what goes out at one end, through CF, comes in at the other. */
function rotateOnceThroughCarry(c: Lift, left: boolean, bits: IntBits, count: number): void {
  const { b } = c;
  const carryIn = b.extendU(c.flags.carry());
  const shift = (v: Value<'i64'>, by: number): Value<'i64'> => (by >= 0 ? b.shl(v, b.i64(by)) : b.shrU(v, b.i64(-by)));
  const back = bits + 1 - count;
  const rotated = (x: Int): Int => {
    const v = c.to64(x);
    const moved = b.or(shift(v, left ? count : -count), shift(carryIn, left ? count - 1 : bits - count));
    const whole = back === 64 ? moved : b.or(moved, shift(v, left ? -back : back));
    return c.cut(whole, bits);
  };
  const old = c.modify(0, rotated);
  const result = c.modifiedValue;
  const out = bitAt(c, old, left ? bits - count : count - 1);
  const top = bitAt(c, result, bits - 1);
  c.flags.setCarryOverflow(out, left ? b.xor(out, top) : b.xor(top, bitAt(c, result, bits - 2)));
}

/** RCL and RCR: rotation through CF, bits + 1 wide, one bit at a time where the count is not known. */
function rotateThroughCarry(c: Lift, left: boolean): void {
  const { b } = c;
  const bits = c.bits(0);
  const count = countOf(c, 1, bits);
  if (count === 0) {
    c.modify(0, (x) => x);
    return;
  }
  if (typeof count === 'number' && count <= bits) {
    rotateOnceThroughCarry(c, left, bits, count);
    return;
  }
  const carryIn = c.flags.carry();
  const masked: Value<'i32'> = typeof count === 'number' ? b.i32(count) : count;
  const turns = bits === 8 || bits === 16 ? b.op('i32.rem_u', [masked, b.i32(bits + 1)]) : masked;
  const carry = b.temp('i32');
  const value = b.temp('i64');
  const rotateBy = (x: Int): Int => {
    const left1 = b.temp('i32', turns);
    b.set(carry, carryIn);
    b.set(value, c.to64(x));
    b.if(turns, () =>
      b.loopWhile(() => {
        const v = b.get(value);
        const into = b.extendU(b.get(carry));
        if (left) {
          b.set(carry, bitAt(c, v, bits - 1));
          const moved = b.or(b.shl(v, b.i64(1)), into);
          b.set(value, bits === 64 ? moved : b.and(moved, b.i64Words(bits === 32 ? -1 : (1 << bits) - 1, 0)));
        } else {
          b.set(carry, b.and(b.wrap(v), b.i32(1)));
          b.set(value, b.or(b.shrU(v, b.i64(1)), b.shl(into, b.i64(bits - 1))));
        }
        const rest = b.sub(b.get(left1), b.i32(1));
        b.set(left1, rest);
        return rest;
      }),
    );
    return c.cut(b.get(value), bits);
  };
  c.modify(0, rotateBy);
  const result = b.get(value);
  const out = b.get(carry);
  const top = bitAt(c, result, bits - 1);
  const overflow = left ? b.xor(out, top) : b.xor(top, bitAt(c, result, bits - 2));
  whereNotZero(c, count, () => c.flags.setCarryOverflow(out, overflow));
}

/** SHLD and SHRD. For 16-bit operands and counts above 16 the result is undefined; as on hardware the pair rotates. */
function doubleShift(c: Lift, left: boolean): void {
  const { b } = c;
  const bits = c.bits(0);
  const count = c.operand(2).kind === 'I' ? c.imm() & (bits === 64 ? 63 : 31) : b.and(c.to32(c.reg(1, 8)), b.i32(bits === 64 ? 63 : 31));
  if (count === 0) {
    c.modify(0, (x) => x);
    return;
  }
  const filler = c.read(1);
  const n: Value<'i32'> = typeof count === 'number' ? b.i32(count) : count;
  const by = (x: Int, amount: Value<'i32'>): Int => {
    if (bits === 64) {
      const m = b.extendU(amount);
      const rest = b.extendU(b.and(b.sub(b.i32(64), amount), b.i32(63)));
      const [v, f] = [x as Value<'i64'>, filler as Value<'i64'>];
      const joined = left ? b.or(b.shl(v, m), b.shrU(f, rest)) : b.or(b.shrU(v, m), b.shl(f, rest));
      return b.select(b.eqz(amount), v, joined);
    }
    const [v, f] = [c.to64(x), c.to64(filler)];
    const m = b.extendU(amount);
    if (bits === 32) {
      const pair = left ? b.or(b.shl(v, b.i64(32)), f) : b.or(b.shl(f, b.i64(32)), v);
      return b.wrap(left ? b.shrU(b.shl(pair, m), b.i64(32)) : b.shrU(pair, m));
    }
    // 16 bits: destination, filler, destination again.
    const triple = left ? b.or(b.or(b.shl(v, b.i64(32)), b.shl(f, b.i64(16))), v) : b.or(b.or(b.shl(v, b.i64(32)), b.shl(f, b.i64(16))), v);
    return c.cut(left ? b.shrU(b.shl(triple, m), b.i64(32)) : b.shrU(triple, m), 16);
  };
  const old = c.modify(0, (x) => by(x, n));
  const result = c.modifiedValue;
  const before = by(old, b.sub(n, b.i32(1)));
  whereNotZero(c, count, () => c.setFlags(left ? CC.SHL : CC.SHR, bits, result, before));
}

/** SARX, SHLX, SHRX: no flags, count in a register. */
function flaglessShift(c: Lift, name: 'shl' | 'shr' | 'sar'): void {
  const { b } = c;
  const v = c.read(1);
  const count = c.read(2);
  c.write(0, name === 'shl' ? b.shl(v, count) : name === 'shr' ? b.shrU(v, count) : b.shrS(v, count));
}
function rorx(c: Lift): void {
  const v = c.read(1);
  const n = c.imm() & (c.bits(0) - 1);
  c.write(0, v.type === 'i64' ? c.b.op('i64.rotr', [v as Value<'i64'>, c.b.i64(n)]) : c.b.op('i32.rotr', [v as Value<'i32'>, c.b.i32(n)]));
}

const GROUP: readonly [ShiftName, (c: Lift) => void][] = [
  ['rol', (c) => rotate(c, true)],
  ['ror', (c) => rotate(c, false)],
  ['rcl', (c) => rotateThroughCarry(c, true)],
  ['rcr', (c) => rotateThroughCarry(c, false)],
  ['shl', (c) => shift(c, 'shl')],
  ['shr', (c) => shift(c, 'shr')],
  ['shl', (c) => shift(c, 'shl')],
  ['sar', (c) => shift(c, 'sar')],
];

export const SHIFT_ROWS: readonly Row[] = [
  ...GROUP.flatMap(([name, lift], i) => [
    insn(`C0 /${i}`, `${name} Eb,Ib`, undefined, lift),
    insn(`C1 /${i}`, `${name} Ev,Ib`, undefined, lift),
    insn(`D0 /${i}`, `${name} Eb,1`, undefined, lift),
    insn(`D1 /${i}`, `${name} Ev,1`, undefined, lift),
    insn(`D2 /${i}`, `${name} Eb,CL`, undefined, lift),
    insn(`D3 /${i}`, `${name} Ev,CL`, undefined, lift),
  ]),
  insn('0F A4', 'shld Ev,Gv,Ib', undefined, (c) => doubleShift(c, true)),
  insn('0F A5', 'shld Ev,Gv,CL', undefined, (c) => doubleShift(c, true)),
  insn('0F AC', 'shrd Ev,Gv,Ib', undefined, (c) => doubleShift(c, false)),
  insn('0F AD', 'shrd Ev,Gv,CL', undefined, (c) => doubleShift(c, false)),
  insn('VEX L0 66 0F38 F7', 'shlx Gy,Ey,By', 'bmi2', (c) => flaglessShift(c, 'shl')),
  insn('VEX L0 F3 0F38 F7', 'sarx Gy,Ey,By', 'bmi2', (c) => flaglessShift(c, 'sar')),
  insn('VEX L0 F2 0F38 F7', 'shrx Gy,Ey,By', 'bmi2', (c) => flaglessShift(c, 'shr')),
  insn('VEX L0 F2 0F3A F0', 'rorx Gy,Ey,Ib', 'bmi2', rorx),
];
