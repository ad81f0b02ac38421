// Integer arithmetic and logic: ADD..CMP, INC/DEC, NEG/NOT, TEST, MUL/DIV, XADD, CMPXCHG, ADCX/ADOX, decimal adjust. SDM Vol. 2.

import type { Value } from '@anillo/ir/block';
import { routine, type Routine } from '@anillo/ir/callee';
import { WIDE_LOCK_AT } from '@anillo/ir/vcpu-header';
import { CC } from '../flags.ts';
import type { Int, Lift } from '../lift.ts';
import { insn, type Row } from '../row.ts';
import { EFLAG, RAX, RBX, RCX, RDX, TRAP } from '../state.ts';
import { multiplyWide } from './wide-multiply.ts';

type I64 = Value<'i64'>;
type BinaryName = 'add' | 'or' | 'adc' | 'sbb' | 'and' | 'sub' | 'xor' | 'cmp';

/** Meaning of the eight classic operations: destination operand 0, source operand 1. */
function binary(c: Lift, name: BinaryName): void {
  const { b } = c;
  const bits = c.bits(0);
  const source = c.cut(c.read(1), bits);
  switch (name) {
    case 'add': {
      const old = c.modify(0, (x) => b.add(x, source), { op: 'add', operand: source });
      c.setFlags(CC.ADD, bits, c.modifiedValue, source, { first: old });
      return;
    }
    case 'sub': {
      const old = c.modify(0, (x) => b.sub(x, source), { op: 'add', operand: negate(c, source) });
      c.setFlags(CC.SUB, bits, c.modifiedValue, source, { first: old });
      return;
    }
    case 'cmp': {
      const first = c.read(0);
      c.setFlags(CC.SUB, bits, b.sub(first, source), source, { first });
      return;
    }
    case 'adc':
    case 'sbb': {
      const carry = c.flags.carry();
      const apply = (x: Int): Int => (name === 'adc' ? addCarry(c, b.add(x, source), carry, 1) : addCarry(c, b.sub(x, source), carry, -1));
      const old = c.modify(0, apply);
      c.setFlags(name === 'adc' ? CC.ADC : CC.SBB, bits, c.modifiedValue, source, { aux: carry, first: old });
      return;
    }
    default: {
      c.modify(0, (x) => b[name](x, source), { op: name, operand: source });
      c.setFlags(CC.LOGIC, bits, c.modifiedValue);
    }
  }
}

const isComparison = (v: Value<'i32'>): boolean => v.op === 'i64.lt_u' || v.op === 'i32.lt_u';
/** x + step where there is a carry (0 or 1). By a choice where the carry is a comparison: the host then need not make a number of it. */
function addCarry(c: Lift, x: Int, carry: Value<'i32'>, step: 1 | -1): Int {
  const { b } = c;
  if (isComparison(carry)) return b.select(carry, b.add(x, b.int(x.type, step)), x);
  const wide = x.type === 'i64' ? b.extendU(carry) : (carry as Int);
  return step === 1 ? b.add(x, wide) : b.sub(x, wide);
}

const negate = (c: Lift, v: Int): Int => c.b.sub(v.type === 'i64' ? c.b.i64(0) : c.b.i32(0), v);

const NAMES: readonly BinaryName[] = ['add', 'or', 'adc', 'sbb', 'and', 'sub', 'xor', 'cmp'];
const hex = (n: number): string => n.toString(16).toUpperCase().padStart(2, '0');

const classic = NAMES.flatMap((name, i): Row[] => {
  const lift = (c: Lift): void => binary(c, name);
  const lock = name === 'cmp' ? '' : 'lock ';
  const at = i * 8;
  return [
    insn(`${lock}${hex(at)}`, `${name} Eb,Gb`, undefined, lift),
    insn(`${lock}${hex(at + 1)}`, `${name} Ev,Gv`, undefined, lift),
    insn(`${hex(at + 2)}`, `${name} Gb,Eb`, undefined, lift),
    insn(`${hex(at + 3)}`, `${name} Gv,Ev`, undefined, lift),
    insn(`${hex(at + 4)}`, `${name} AL,Ib`, undefined, lift),
    insn(`${hex(at + 5)}`, `${name} rAX,Iz`, undefined, lift),
    insn(`${lock}80 /${i}`, `${name} Eb,Ib`, undefined, lift),
    insn(`${lock}81 /${i}`, `${name} Ev,Iz`, undefined, lift),
    insn(`${lock}!64 82 /${i}`, `${name} Eb,Ib`, undefined, lift),
    insn(`${lock}83 /${i}`, `${name} Ev,Ib`, undefined, lift),
  ];
});

function step(c: Lift, delta: 1 | -1): void {
  const { b } = c;
  const bits = c.bits(0);
  const one = bits === 64 ? b.i64(delta) : b.i32(delta);
  const old = c.modify(0, (x) => b.add(x, one), { op: 'add', operand: one });
  c.flags.step(delta === 1, bits, c.modifiedValue, old);
}

function test(c: Lift): void {
  const bits = c.bits(0);
  c.setFlags(CC.LOGIC, bits, c.b.and(c.read(0), c.cut(c.read(1), bits)));
}

/** One-operand MUL and IMUL: (E)DX:(E)AX = (E)AX * operand. */
function wideMultiply(c: Lift, signed: boolean): void {
  const { b } = c;
  const bits = c.bits(0);
  const operand = c.read(0);
  const first = c.reg(RAX, bits);
  if (bits === 64) {
    const [x, y] = [c.to64(first), c.to64(operand)];
    const { low, high } = signed ? { low: b.mul(x, y), high: b.op('i64.mulhi_s', [x, y]) } : multiplyWide(b, x, y);
    c.setReg(RAX, 64, low);
    c.setReg(RDX, 64, high);
    const lost = signed ? b.xor(high, b.shrS(low, b.i64(63))) : high;
    c.setFlags(CC.MUL, 64, low, lost);
    return;
  }
  const widen = (v: Int): Value<'i64'> => (signed ? (c.signExtend(v, bits, 64) as Value<'i64'>) : c.to64(v));
  const product = b.mul(widen(first), widen(operand));
  const high = b.shrU(product, b.i64(bits));
  if (bits === 8) c.setReg(RAX, 16, product);
  else {
    c.setReg(RAX, bits, product);
    c.setReg(RDX, bits, high);
  }
  const lost = signed ? b.xor(product, c.signExtend(c.cut(product, bits), bits, 64) as Value<'i64'>) : bits === 8 ? b.and(high, b.i64(0xff)) : high;
  c.setFlags(CC.MUL, bits, product, lost);
}

/** Two- and three-operand IMUL. */
function multiply(c: Lift, x: Int, y: Int): void {
  const bits = c.bits(0);
  const product = c.b.mul(x, y);
  c.write(0, product);
  c.setFlags(CC.IMUL, bits, product, x, { aux: y });
}

/** DIV and IDIV of up to 32 bits, in 64-bit arithmetic. */
function divideSmall(c: Lift, bits: 8 | 16 | 32, signed: boolean): void {
  const { b } = c;
  const divisor = signed ? (c.signExtend(c.read(0), bits, 64) as Value<'i64'>) : c.to64(c.read(0));
  b.raiseIf(b.eqz(divisor), TRAP.DE);
  let dividend: Value<'i64'>;
  if (bits === 8) dividend = signed ? (c.signExtend(c.reg(RAX, 16), 16, 64) as Value<'i64'>) : c.to64(c.reg(RAX, 16));
  else {
    dividend = b.or(b.shl(c.to64(c.reg(RDX, bits)), b.i64(bits)), c.to64(c.reg(RAX, bits)));
    if (signed && bits === 16) dividend = b.extendS(b.wrap(dividend));
  }
  if (signed && bits === 32) b.raiseIf(b.and(b.eq(dividend, b.i64Words(0, 0x8000_0000)), b.eq(divisor, b.i64(-1))), TRAP.DE);
  const quotient = signed ? b.op('i64.div_s', [dividend, divisor]) : b.op('i64.div_u', [dividend, divisor]);
  const remainder = b.sub(dividend, b.mul(quotient, divisor));
  const fits = signed ? b.eq(c.signExtend(c.cut(quotient, bits), bits, 64) as Value<'i64'>, quotient) : b.eqz(b.shrU(quotient, b.i64(bits)));
  b.raiseIf(b.eqz(fits), TRAP.DE);
  if (bits === 8) {
    c.setReg(RAX, 16, b.or(b.and(b.wrap(quotient), b.i32(0xff)), b.shl(b.and(b.wrap(remainder), b.i32(0xff)), b.i32(8))));
    return;
  }
  c.setReg(RAX, bits, quotient);
  c.setReg(RDX, bits, remainder);
}

/** (high, low, divisor) -> quotient of 128 by 64 bits, bit by bit; #DE where it does not fit. The divisor is not 0. */
export const DIVIDE_WIDE: Routine = routine({
  name: 'divideWide',
  params: ['i64', 'i64', 'i64'],
  result: 'i64',
  reads: 'none',
  writes: 'none',
  traps: true,
  build: (b, params) => {
    const [dividend, rest, by] = params as readonly Value[] as [I64, I64, I64];
    b.raiseIf(b.geU(dividend, by), TRAP.DE);
    const high = b.temp('i64', dividend);
    const low = b.temp('i64', rest);
    const quotient = b.temp('i64', b.i64(0));
    const count = b.temp('i32', b.i32(64));
    b.loopWhile(() => {
      const carry = b.ltS(b.get(high), b.i64(0));
      const shifted = b.or(b.shl(b.get(high), b.i64(1)), b.shrU(b.get(low), b.i64(63)));
      const take = b.or(carry, b.geU(shifted, by));
      b.set(high, b.sub(shifted, b.select(take, by, b.i64(0))));
      b.set(low, b.shl(b.get(low), b.i64(1)));
      b.set(quotient, b.or(b.shl(b.get(quotient), b.i64(1)), b.extendU(take)));
      b.set(count, b.sub(b.get(count), b.i32(1)));
      return b.get(count);
    });
    return b.get(quotient);
  },
});

/** The same with signs: on magnitudes. */
export const DIVIDE_WIDE_SIGNED: Routine = routine({
  name: 'divideWideSigned',
  params: ['i64', 'i64', 'i64'],
  result: 'i64',
  reads: 'none',
  writes: 'none',
  traps: true,
  build: (b, params) => {
    const [dividend, rest, divisor] = params as readonly Value[] as [I64, I64, I64];
    const sign = b.shrS(dividend, b.i64(63));
    const divisorSign = b.shrS(divisor, b.i64(63));
    const magnitude = (v: I64, s: I64): I64 => b.sub(b.xor(v, s), s);
    // The upper word takes a carry only where the lower one is 0.
    const high = b.add(b.xor(dividend, sign), b.and(b.extendU(b.eqz(rest)), sign));
    const quotient = b.call(DIVIDE_WIDE, [high, magnitude(rest, sign), magnitude(divisor, divisorSign)]) as I64;
    const quotientSign = b.xor(sign, divisorSign);
    // A quotient of 2^63 in magnitude fits only when negative.
    b.raiseIf(b.gtU(quotient, b.sub(b.i64Words(-1, 0x7fff_ffff), quotientSign)), TRAP.DE);
    return magnitude(quotient, quotientSign);
  },
});

/** DIV and IDIV of 128 by 64 bits: the dividend is hardly ever more than a zero- or sign-extended word. */
function divide64(c: Lift, signed: boolean): void {
  const { b } = c;
  const divisor = c.to64(c.read(0));
  b.raiseIf(b.eqz(divisor), TRAP.DE);
  const low = c.to64(c.reg(RAX, 64));
  const high = c.to64(c.reg(RDX, 64));
  const quotient = b.temp('i64');
  // The least number divided by -1 overflows: the routine says so.
  const isWide = signed ? b.or(b.ne(high, b.shrS(low, b.i64(63))), b.eq(divisor, b.i64(-1))) : b.ne(high, b.i64(0));
  b.ifRarely(
    isWide,
    () => b.set(quotient, b.call(signed ? DIVIDE_WIDE_SIGNED : DIVIDE_WIDE, [high, low, divisor]) as I64),
    () => b.set(quotient, b.op(signed ? 'i64.div_s' : 'i64.div_u', [low, divisor])),
  );
  c.setReg(RAX, 64, b.get(quotient));
  c.setReg(RDX, 64, b.sub(low, b.mul(b.get(quotient), divisor)));
}

function divide(c: Lift, signed: boolean): void {
  const bits = c.bits(0);
  if (bits === 64) divide64(c, signed);
  else divideSmall(c, bits, signed);
}

function neg(c: Lift): void {
  const bits = c.bits(0);
  const zero = bits === 64 ? c.b.i64(0) : (c.b.i32(0) as Int);
  const old = c.modify(0, (x) => c.b.sub(zero, x));
  c.setFlags(CC.SUB, bits, c.modifiedValue, old, { first: zero });
}

function xadd(c: Lift): void {
  const bits = c.bits(0);
  const source = c.read(1);
  const old = c.modify(0, (x) => c.b.add(x, source), { op: 'add', operand: source });
  const sum = c.b.add(old, source);
  c.write(1, old);
  if (!c.isMemory) c.write(0, sum);
  c.setFlags(CC.ADD, bits, sum, source, { first: old });
}

function cmpxchg(c: Lift): void {
  const { b } = c;
  const bits = c.bits(0);
  const expected = c.reg(RAX, bits);
  const source = c.read(1);
  let old: Int;
  if (!c.isMemory) {
    old = c.read(0);
    const equal = b.eq(old, expected);
    if (bits === 32) {
      // A 32-bit form writes only one of the two registers, and only that one loses its upper half.
      b.if(equal, () => c.write(0, source), () => c.setReg(RAX, 32, old));
    } else {
      // The accumulator first: it may itself be the destination.
      const next = b.select(equal, source, old);
      c.setReg(RAX, bits, old);
      c.write(0, next);
    }
  } else {
    const a = c.memory(bits / 8, true);
    if (c.d.lock) old = c.compareExchange(a, bits, expected, source);
    else {
      old = c.loadToWrite(a, bits);
      c.store(a, bits, b.select(b.eq(old, expected), source, old));
    }
    if (bits === 32) b.if(b.ne(old, expected), () => c.setReg(RAX, 32, old));
    else c.setReg(RAX, bits, old);
  }
  c.setFlags(CC.SUB, bits, b.sub(expected, old), old, { first: expected });
}

/** BOUND: index in a register, two signed bounds in memory. */
function bound(c: Lift): void {
  const { b } = c;
  const bits = c.bits(0);
  const a = c.memory(bits / 4);
  const lower = c.signedValue(c.load(a, bits), bits);
  const upper = c.signedValue(c.load(c.offset(a, bits / 8), bits), bits);
  const index = c.signedValue(c.reg(c.d.reg, bits), bits);
  b.raiseIf(b.or(b.ltS(index, lower), b.ltS(upper, index)), TRAP.BR);
}

/** CMPXCHG8B. */
function cmpxchg8b(c: Lift): void {
  const { b } = c;
  const a = c.memory(8, true);
  const flags = c.flags.bits();
  const join = (low: number, high: number): Value<'i64'> => b.or(b.extendU(c.to32(c.reg(low, 32))), b.shl(b.extendU(c.to32(c.reg(high, 32))), b.i64(32)));
  const expected = join(RAX, RDX);
  const old = c.compareExchange(a, 64, expected, join(RBX, RCX)) as Value<'i64'>;
  const equal = b.eq(old, expected);
  b.if(b.eqz(equal), () => {
    c.setReg(RAX, 32, b.wrap(old));
    c.setReg(RDX, 32, b.wrap(b.shrU(old, b.i64(32))));
  });
  c.setFlagBits(b.or(b.and(flags, b.i32(~EFLAG.ZF)), b.shl(equal, b.i32(6))));
}

/**
 * CMPXCHG16B: both halves are probed first, so a fault changes nothing. With LOCK, one at a time in the machine: between taking the lock word and giving
 * it back there is nothing that could wait or fault, for the TLB grants the page. Where it does not (code lies in the page), there is no lock.
 */
function cmpxchg16b(c: Lift): void {
  const { b } = c;
  const a = c.memory(16, true);
  b.raiseIf(b.and(b.wrap(c.sum(a)), b.i32(15)), TRAP.GP0);
  const flags = c.flags.bits();
  const upper = c.offset(a, 8);
  c.probeWrite(a, 64);
  c.probeWrite(upper, 64);
  const isLocked = b.temp('i32', c.d.lock ? b.ne(b.op('tlb.write', [c.sum(a)]), b.i32(-1)) : b.i32(0));
  const exchangeLock = (from: number, to: number): Value<'i32'> => b.op('i32.ram_cmpxchg', [b.i32(WIDE_LOCK_AT), b.i32(from), b.i32(to)]);
  if (c.d.lock) b.if(b.get(isLocked), () => b.loopWhile(() => exchangeLock(0, 1)));
  const low = c.load(a, 64);
  const high = c.load(upper, 64);
  const equal = b.and(b.eq(low, c.reg(RAX, 64)), b.eq(high, c.reg(RDX, 64)));
  c.store(a, 64, b.select(equal, c.reg(RBX, 64), low));
  c.store(upper, 64, b.select(equal, c.reg(RCX, 64), high));
  if (c.d.lock) b.if(b.get(isLocked), () => void exchangeLock(1, 0));
  b.if(b.eqz(equal), () => {
    c.setReg(RAX, 64, low);
    c.setReg(RDX, 64, high);
  });
  c.setFlagBits(b.or(b.and(flags, b.i32(~EFLAG.ZF)), b.shl(equal, b.i32(6))));
}

/** ADCX and ADOX: add with the carry kept in CF or in OF alone. */
function addWithFlag(c: Lift, bit: 0 | 11): void {
  const { b } = c;
  const carry = c.flags.carry();
  const overflow = c.flags.condition(0);
  const into = bit === 0 ? carry : overflow;
  const x = c.read(0);
  const y = c.read(1);
  const sum = addCarry(c, b.add(x, y), into, 1);
  const out = b.select(into, b.leU(sum, y), b.ltU(sum, y));
  c.write(0, sum);
  c.flags.setCarryOverflow(bit === 0 ? out : carry, bit === 0 ? overflow : out);
}

/** DAA and DAS. */
function decimal(c: Lift, add: boolean): void {
  const { b } = c;
  const flags = c.flags.bits();
  const al = c.to32(c.reg(RAX, 8));
  const low = b.or(b.gtU(b.and(al, b.i32(15)), b.i32(9)), b.op('i32.ne', [b.and(flags, b.i32(EFLAG.AF)), b.i32(0)]));
  const high = b.or(b.gtU(al, b.i32(0x99)), b.and(flags, b.i32(1)));
  const fix = b.add(b.mul(low, b.i32(6)), b.mul(high, b.i32(0x60)));
  const result = b.and(add ? b.add(al, fix) : b.sub(al, fix), b.i32(0xff));
  // DAS: a borrow out of the low correction also sets CF.
  const carry = add ? high : b.or(high, b.and(low, b.ltU(al, b.i32(6))));
  c.setReg(RAX, 8, result);
  setDecimalFlags(c, result, b.or(carry, b.shl(low, b.i32(4))));
}
function setDecimalFlags(c: Lift, result: Value<'i32'>, carries: Value<'i32'>): void {
  const { b } = c;
  c.setFlags(CC.LOGIC, 8, result);
  const f = c.flags.bits();
  c.setFlagBits(b.or(f, carries));
}
/** AAA and AAS. */
function ascii(c: Lift, add: boolean): void {
  const { b } = c;
  const flags = c.flags.bits();
  const ax = c.to32(c.reg(RAX, 16));
  const fix = b.or(b.gtU(b.and(ax, b.i32(15)), b.i32(9)), b.op('i32.ne', [b.and(flags, b.i32(EFLAG.AF)), b.i32(0)]));
  const change = b.mul(fix, b.i32(0x106));
  const result = b.and(add ? b.add(ax, change) : b.sub(ax, change), b.i32(0xff0f));
  c.setReg(RAX, 16, result);
  setDecimalFlags(c, b.and(result, b.i32(0xff)), b.or(fix, b.shl(fix, b.i32(4))));
}
function aam(c: Lift): void {
  const { b } = c;
  const base = b.i32(c.imm() & 0xff);
  if ((c.imm() & 0xff) === 0) return c.trap(TRAP.DE);
  const al = c.to32(c.reg(RAX, 8));
  const result = b.or(b.shl(b.op('i32.div_u', [al, base]), b.i32(8)), b.op('i32.rem_u', [al, base]));
  c.setReg(RAX, 16, result);
  c.setFlags(CC.LOGIC, 8, b.and(result, b.i32(0xff)));
}
function aad(c: Lift): void {
  const { b } = c;
  const ax = c.to32(c.reg(RAX, 16));
  const result = b.and(b.add(ax, b.mul(b.shrU(ax, b.i32(8)), b.i32(c.imm() & 0xff))), b.i32(0xff));
  c.setReg(RAX, 16, result);
  c.setFlags(CC.LOGIC, 8, result);
}

const signedMul = (c: Lift): void => multiply(c, c.read(0), c.read(1));
const immediateMul = (c: Lift): void => multiply(c, c.read(1), c.read(2));
const both = (group: string, text: string, lift: (c: Lift) => void): Row[] => [
  insn(`F6 ${group}`, text.replace('E', 'Eb'), undefined, lift),
  insn(`F7 ${group}`, text.replace('E', 'Ev'), undefined, lift),
];

export const ARITHMETIC_ROWS: readonly Row[] = [
  ...classic,
  insn('!64 40+r', 'inc Zv', undefined, (c) => step(c, 1)),
  insn('!64 48+r', 'dec Zv', undefined, (c) => step(c, -1)),
  insn('lock FE /0', 'inc Eb', undefined, (c) => step(c, 1)),
  insn('lock FF /0', 'inc Ev', undefined, (c) => step(c, 1)),
  insn('lock FE /1', 'dec Eb', undefined, (c) => step(c, -1)),
  insn('lock FF /1', 'dec Ev', undefined, (c) => step(c, -1)),
  insn('84', 'test Eb,Gb', undefined, test),
  insn('85', 'test Ev,Gv', undefined, test),
  insn('A8', 'test AL,Ib', undefined, test),
  insn('A9', 'test rAX,Iz', undefined, test),
  insn('F6 /0', 'test Eb,Ib', undefined, test),
  insn('F7 /0', 'test Ev,Iz', undefined, test),
  insn('F6 /1', 'test Eb,Ib', undefined, test),
  insn('F7 /1', 'test Ev,Iz', undefined, test),
  insn('lock F6 /2', 'not Eb', undefined, (c) => void c.modify(0, (x) => c.b.xor(x, c.const(8, -1)), { op: 'xor', operand: c.const(8, -1) })),
  insn('lock F7 /2', 'not Ev', undefined, (c) => void c.modify(0, (x) => c.b.xor(x, c.const(c.bits(0), -1)), { op: 'xor', operand: c.const(c.bits(0), -1) })),
  insn('lock F6 /3', 'neg Eb', undefined, neg),
  insn('lock F7 /3', 'neg Ev', undefined, neg),
  ...both('/4', 'mul E', (c) => wideMultiply(c, false)),
  ...both('/5', 'imul E', (c) => wideMultiply(c, true)),
  ...both('/6', 'div E', (c) => divide(c, false)),
  ...both('/7', 'idiv E', (c) => divide(c, true)),
  insn('0F AF', 'imul Gv,Ev', undefined, signedMul),
  insn('69', 'imul Gv,Ev,Iz', undefined, immediateMul),
  insn('6B', 'imul Gv,Ev,Ib', undefined, immediateMul),
  insn('lock 0F C0', 'xadd Eb,Gb', undefined, xadd),
  insn('lock 0F C1', 'xadd Ev,Gv', undefined, xadd),
  insn('lock 0F B0', 'cmpxchg Eb,Gb', undefined, cmpxchg),
  insn('lock 0F B1', 'cmpxchg Ev,Gv', undefined, cmpxchg),
  insn('lock W0 0F C7 /1', 'cmpxchg8b M', 'cx8', cmpxchg8b),
  insn('lock W1 64 0F C7 /1', 'cmpxchg16b M', 'cx16', cmpxchg16b),
  insn('66 0F38 F6', 'adcx Gy,Ey', 'adx', (c) => addWithFlag(c, 0)),
  insn('F3 0F38 F6', 'adox Gy,Ey', 'adx', (c) => addWithFlag(c, 11)),
  insn('!64 62', 'bound Gv,M', undefined, bound),
  insn('!64 27', 'daa', undefined, (c) => decimal(c, true)),
  insn('!64 2F', 'das', undefined, (c) => decimal(c, false)),
  insn('!64 37', 'aaa', undefined, (c) => ascii(c, true)),
  insn('!64 3F', 'aas', undefined, (c) => ascii(c, false)),
  insn('!64 D4', 'aam Ib', undefined, aam),
  insn('!64 D5', 'aad Ib', undefined, aad),
];
