// Bit tests and scans, BMI1, BMI2, LZCNT/TZCNT/POPCNT. SDM Vol. 2.

import type { Value } from '@anillo/ir/block';
import { CC } from '../flags.ts';
import type { Int, Lift } from '../lift.ts';
import { insn, type Row } from '../row.ts';
import { RDX } from '../state.ts';
import { multiplyWide } from './wide-multiply.ts';

type BitOp = 'bt' | 'bts' | 'btr' | 'btc';

const constant = (c: Lift, like: Int, n: number): Int => (like.type === 'i64' ? c.b.i64(n) : c.b.i32(n));
const isZero = (c: Lift, v: Int): Value<'i32'> => c.b.eqz(v);

/** Bit operations: a register bit offset with a memory operand reaches beyond the operand (bit string). Other flags stay. */
function bitTest(c: Lift, op: BitOp): void {
  const { b } = c;
  const bits = c.bits(0);
  const isImmediate = c.operand(1).kind === 'I';
  const offset = isImmediate ? constant(c, c.reg(0, bits), c.imm() & (bits - 1)) : c.read(1);
  const index = isImmediate ? offset : b.and(offset, constant(c, offset, bits - 1));
  const mask = b.shl(constant(c, offset, 1), index);
  const apply = (x: Int): Int => {
    if (op === 'bts') return b.or(x, mask);
    if (op === 'btc') return b.xor(x, mask);
    return b.and(x, b.xor(mask, constant(c, mask, -1)));
  };
  let old: Int;
  if (c.isMemory && !isImmediate) {
    const signed = c.signExtend(offset, bits, 64) as Value<'i64'>;
    const bytes = b.shl(b.shrS(signed, b.i64(Math.log2(bits))), b.i64(Math.log2(bits / 8)));
    const ea = c.effectiveAddress();
    const moved = c.cut(b.add(c.sum(ea), bytes), c.d.addressSize);
    const a = c.linear(c.segment, { base: c.to64(moved), disp: 0 }, bits / 8, op !== 'bt');
    if (op === 'bt') old = c.load(a, bits);
    else old = c.atomic(a, bits, op === 'bts' ? 'or' : op === 'btc' ? 'xor' : 'and', op === 'btr' ? b.xor(mask, constant(c, mask, -1)) : mask);
  } else if (op === 'bt') old = c.read(0);
  else {
    const operand = op === 'btr' ? b.xor(mask, constant(c, mask, -1)) : mask;
    old = c.modify(0, apply, { op: op === 'bts' ? 'or' : op === 'btc' ? 'xor' : 'and', operand });
  }
  const bit = b.and(c.to32(b.shrU(old, index)), b.i32(1));
  c.flags.setCarry(bit);
}

/** BSF and BSR: ZF says that the source was 0, and then the destination stays as it was. */
function scan(c: Lift, reverse: boolean): void {
  const { b } = c;
  const bits = c.bits(0);
  const v = c.read(1);
  const zero = isZero(c, v);
  const old = c.reg(c.d.reg, 64);
  let index: Int;
  if (bits === 64) {
    const w = v as Value<'i64'>;
    index = reverse ? b.sub(b.i64(63), b.op('i64.clz', [w])) : b.op('i64.ctz', [w]);
  } else {
    const w = v as Value<'i32'>;
    index = reverse ? b.sub(b.i32(31), b.op('i32.clz', [w])) : b.op('i32.ctz', [w]);
  }
  const whole = bits === 16 ? b.op('i64.insert16', [old as Value<'i64'>, c.to64(index)]) : c.to64(index);
  c.setReg(c.d.reg, 64, b.select(zero, old as Value<'i64'>, whole));
  c.setFlags(CC.BITS, bits, v, b.i32(0));
}

function countZeros(c: Lift, leading: boolean): void {
  const { b } = c;
  const bits = c.bits(0);
  const v = c.read(1);
  let n: Int;
  if (bits === 64) n = b.op(leading ? 'i64.clz' : 'i64.ctz', [v as Value<'i64'>]);
  else {
    const w = v as Value<'i32'>;
    if (leading) n = bits === 32 ? b.op('i32.clz', [w]) : b.sub(b.op('i32.clz', [w]), b.i32(16));
    else n = b.op('i32.ctz', [bits === 32 ? w : b.or(w, b.i32(0x10000))]);
  }
  c.write(0, n);
  c.setFlags(CC.BITS, bits, n, isZero(c, v));
}

function popcnt(c: Lift): void {
  const v = c.read(1);
  c.write(0, v.type === 'i64' ? c.b.op('i64.popcnt', [v as Value<'i64'>]) : c.b.op('i32.popcnt', [v as Value<'i32'>]));
  c.setFlagBits(c.b.shl(isZero(c, v), c.b.i32(6)));
}

function andn(c: Lift): void {
  const { b } = c;
  const x = c.read(1);
  const result = b.and(b.xor(x, constant(c, x, -1)), c.read(2));
  c.write(0, result);
  c.setFlags(CC.LOGIC, c.bits(0), result);
}
function bextr(c: Lift): void {
  const { b } = c;
  const bits = c.bits(0);
  const v = c.to64(c.read(1));
  const control = c.to32(c.read(2));
  const start = b.and(control, b.i32(0xff));
  const length = b.and(b.shrU(control, b.i32(8)), b.i32(0xff));
  const moved = b.select(b.ltU(start, b.i32(64)), b.shrU(v, b.extendU(start)), b.i64(0));
  const mask = b.select(b.ltU(length, b.i32(64)), b.sub(b.shl(b.i64(1), b.extendU(length)), b.i64(1)), b.i64(-1));
  const result = b.and(moved, mask);
  c.write(0, c.cut(result, bits));
  c.setFlags(CC.BITS, bits, result, b.i32(0));
}
/** BLSR, BLSMSK, BLSI: destination is VEX.vvvv. */
function lowestSet(c: Lift, kind: 1 | 2 | 3): void {
  const { b } = c;
  const x = c.read(1);
  const one = constant(c, x, 1);
  const less = b.sub(x, one);
  const result = kind === 1 ? b.and(x, less) : kind === 2 ? b.xor(x, less) : b.and(x, b.sub(constant(c, x, 0), x));
  c.write(0, result);
  const zero = isZero(c, x);
  c.setFlags(CC.BITS, c.bits(0), result, kind === 3 ? b.eqz(zero) : zero);
}
function bzhi(c: Lift): void {
  const { b } = c;
  const bits = c.bits(0);
  const v = c.read(1);
  const n = b.and(c.to32(c.read(2)), b.i32(0xff));
  const within = b.ltU(n, b.i32(bits));
  const wide = v.type === 'i64' ? b.extendU(n) : (n as Int);
  const mask = b.sub(b.shl(constant(c, v, 1), wide), constant(c, v, 1));
  const result = b.select(within, b.and(v, mask) as Value<'i64'>, v as Value<'i64'>) as Int;
  c.write(0, result);
  c.setFlags(CC.BITS, bits, result, b.eqz(within));
}
function mulx(c: Lift): void {
  const { b } = c;
  const bits = c.bits(0);
  const x = c.reg(RDX, bits);
  const y = c.read(2);
  if (bits === 64) {
    const { low, high } = multiplyWide(b, x as Value<'i64'>, y as Value<'i64'>);
    c.write(1, low);
    c.write(0, high);
    return;
  }
  const product = b.mul(c.to64(x), c.to64(y));
  c.write(1, b.wrap(product));
  c.write(0, b.wrap(b.shrU(product, b.i64(32))));
}
/** PDEP and PEXT: one turn of the loop for each bit set in the mask. */
function bitPermute(c: Lift, deposit: boolean): void {
  const { b } = c;
  const source = b.temp('i64', c.to64(c.read(1)));
  const mask = b.temp('i64', c.to64(c.read(2)));
  const result = b.temp('i64', b.i64(0));
  const at = b.temp('i64', b.i64(1));
  b.if(b.op('i64.ne', [b.get(mask), b.i64(0)]), () =>
    b.loopWhile(() => {
      const m = b.get(mask);
      const lowest = b.and(m, b.sub(b.i64(0), m));
      const from = deposit ? b.get(at) : lowest;
      const to = deposit ? lowest : b.get(at);
      const isSet = b.op('i64.ne', [b.and(b.get(source), from), b.i64(0)]);
      b.set(result, b.or(b.get(result), b.select(isSet, to, b.i64(0))));
      b.set(at, b.shl(b.get(at), b.i64(1)));
      const rest = b.and(m, b.sub(m, b.i64(1)));
      b.set(mask, rest);
      return b.op('i64.ne', [rest, b.i64(0)]);
    }),
  );
  c.write(0, c.cut(b.get(result), c.bits(0)));
}

const OPS: readonly [BitOp, string, number][] = [['bt', 'A3', 4], ['bts', 'AB', 5], ['btr', 'B3', 6], ['btc', 'BB', 7]];

export const BIT_ROWS: readonly Row[] = [
  ...OPS.flatMap(([op, code, digit]) => {
    const lock = op === 'bt' ? '' : 'lock ';
    return [insn(`${lock}0F ${code}`, `${op} Ev,Gv`, undefined, (c) => bitTest(c, op)), insn(`${lock}0F BA /${digit}`, `${op} Ev,Ib`, undefined, (c) => bitTest(c, op))];
  }),
  insn('0F BC', 'bsf Gv,Ev', undefined, (c) => scan(c, false)),
  insn('0F BD', 'bsr Gv,Ev', undefined, (c) => scan(c, true)),
  insn('F3 0F BC', 'tzcnt Gv,Ev', 'bmi1', (c) => countZeros(c, false)),
  insn('F3 0F BD', 'lzcnt Gv,Ev', 'lzcnt', (c) => countZeros(c, true)),
  insn('F3 0F B8', 'popcnt Gv,Ev', 'popcnt', popcnt),
  insn('VEX NP L0 0F38 F2', 'andn Gy,By,Ey', 'bmi1', andn),
  insn('VEX NP L0 0F38 F7', 'bextr Gy,Ey,By', 'bmi1', bextr),
  insn('VEX NP L0 0F38 F3 /1', 'blsr By,Ey', 'bmi1', (c) => lowestSet(c, 1)),
  insn('VEX NP L0 0F38 F3 /2', 'blsmsk By,Ey', 'bmi1', (c) => lowestSet(c, 2)),
  insn('VEX NP L0 0F38 F3 /3', 'blsi By,Ey', 'bmi1', (c) => lowestSet(c, 3)),
  insn('VEX NP L0 0F38 F5', 'bzhi Gy,Ey,By', 'bmi2', bzhi),
  insn('VEX F2 L0 0F38 F6', 'mulx Gy,By,Ey', 'bmi2', mulx),
  insn('VEX F2 L0 0F38 F5', 'pdep Gy,By,Ey', 'bmi2', (c) => bitPermute(c, true)),
  insn('VEX F3 L0 0F38 F5', 'pext Gy,By,Ey', 'bmi2', (c) => bitPermute(c, false)),
];
