// String instructions. SDM Vol. 2: MOVS, STOS, LODS, CMPS, SCAS and REP. A repeated instruction is a block that does one element and branches to
// itself, so it is interruptible and restartable at every element. MOVS and STOS first try a routine that does as many elements as one
// page of each operand and the TLB allow.

import type { Value } from '@anillo/ir/block';
import { routine, type Routine } from '@anillo/ir/callee';
import type { Slot } from '@anillo/ir/slot';
import { CC, type IntBits } from '../flags.ts';
import type { Address } from '../effective-address.ts';
import type { Int, Lift } from '../lift.ts';
import { MODE } from '../mode.ts';
import { insn, type Row } from '../row.ts';
import { DS, ES, FLAGS, GPR, RAX, RCX, RDI, RSI, EFLAG } from '../state.ts';

const reg = (n: number): Slot<'i64'> => GPR[n] as Slot<'i64'>;

const source = (c: Lift, bits: IntBits): Address => at(c, RSI, c.d.segment >= 0 ? c.d.segment : DS, bits, false);
const destination = (c: Lift, bits: IntBits, write: boolean): Address => at(c, RDI, ES, bits, write);
function at(c: Lift, register: number, segment: number, bits: IntBits, write: boolean): Address {
  return c.linear(segment, { base: c.to64(c.reg(register, c.d.addressSize)), disp: 0 }, bits / 8, write);
}
function advance(c: Lift, register: number, bits: IntBits): void {
  const width = c.d.addressSize;
  const { b } = c;
  c.setReg(register, width, c.cut(b.add(b.get(reg(register)), c.stringStep(bits / 8)), width));
}

/**
 * Bulk of REP MOVS / REP STOS in 64-bit or flat 32-bit code with DF = 0: (log2 of the element size, most elements, linear destination, linear
 * source) -> elements done.
 * Both pages must be in the TLB; overlapping moves that repeat a pattern are left to the element loop.
 */
function bulk(name: string, isMove: boolean): Routine {
  return routine({
    name,
    params: ['i32', 'i64', 'i64', 'i64'],
    result: 'i32',
    reads: [reg(RAX)],
    writes: 'none',
    traps: false,
    build: (b, [shift, wanted, toLinear, fromLinear]) => {
      const log2 = shift as Value<'i32'>;
      const count = b.temp('i32', b.i32(0));
      const to = b.temp('i32', b.op('tlb.write', [toLinear as Value<'i64'>]));
      const from = b.temp('i32', isMove ? b.op('tlb.read', [fromLinear as Value<'i64'>]) : b.i32(0));
      const pageRest = (linear: Value): Value<'i32'> => b.sub(b.i32(4096), b.and(b.wrap(linear as Value<'i64'>), b.i32(4095)));
      b.if(b.and(b.ne(b.get(to), b.i32(-1)), b.ne(b.get(from), b.i32(-1))), () => {
        const rest = b.temp('i32', b.shrU(pageRest(toLinear as Value), log2));
        const limit = (v: Value<'i32'>): void => b.if(b.ltU(v, b.get(rest)), () => b.set(rest, v));
        if (isMove) limit(b.shrU(pageRest(fromLinear as Value), log2));
        b.if(b.ltU(wanted as Value<'i64'>, b.i64(4096)), () => limit(b.wrap(wanted as Value<'i64'>)));
        const bytes = b.temp('i32', b.shl(b.get(rest), log2));
        if (isMove) {
          const distance = b.sub(b.get(to), b.get(from));
          b.if(b.or(b.eqz(distance), b.geU(distance, b.get(bytes))), () => {
            b.op('memory.copy', [b.get(to), b.get(from), b.get(bytes)]);
            b.set(count, b.get(rest));
          });
        } else {
          const value = b.get(reg(RAX));
          const byte = b.and(b.wrap(value), b.i32(0xff));
          // memory.fill does bytes; a wider element qualifies when all its bytes are alike.
          const pattern = b.mul(b.extendU(byte), b.i64Words(0x01010101, 0x01010101));
          const mask = b.shrU(b.i64(-1), b.extendU(b.sub(b.i32(64), b.shl(b.i32(8), log2))));
          b.if(b.eqz(b.and(b.xor(value, pattern), mask)), () => {
            b.op('memory.fill', [b.get(to), byte, b.get(bytes)]);
            b.set(count, b.get(rest));
          });
        }
      });
      return b.get(count);
    },
  });
}
export const BULK_MOVS = bulk('bulkMovs', true);
export const BULK_STOS = bulk('bulkStos', false);

type Element = (c: Lift, bits: IntBits) => Value<'i32'> | undefined;

const movs: Element = (c, bits) => {
  const v = c.load(source(c, bits), bits);
  c.store(destination(c, bits, true), bits, v);
  advance(c, RSI, bits);
  advance(c, RDI, bits);
  return undefined;
};
const stos: Element = (c, bits) => {
  c.store(destination(c, bits, true), bits, c.reg(RAX, bits));
  advance(c, RDI, bits);
  return undefined;
};
const lods: Element = (c, bits) => {
  const v = c.load(source(c, bits), bits);
  c.setReg(RAX, bits, v);
  advance(c, RSI, bits);
  return undefined;
};
/** Compares set the flags of first - second and give equality. */
function compare(c: Lift, bits: IntBits, first: Int, second: Int): Value<'i32'> {
  c.setFlags(CC.SUB, bits, c.b.sub(first, second), second, { first });
  return c.b.eq(first, second);
}
const cmps: Element = (c, bits) => {
  // Processors differ in which operand they read first; this is AMD's order.
  const second = c.load(destination(c, bits, false), bits);
  const first = c.load(source(c, bits), bits);
  advance(c, RSI, bits);
  advance(c, RDI, bits);
  return compare(c, bits, first, second);
};
const scas: Element = (c, bits) => {
  const first = c.reg(RAX, bits);
  const second = c.load(destination(c, bits, false), bits);
  advance(c, RDI, bits);
  return compare(c, bits, first, second);
};

/** One instruction: plain, or an element of a repeated one. */
function string(c: Lift, bits: IntBits, element: Element, bulkRoutine?: Routine): void {
  const { b } = c;
  if (c.d.rep === 0) {
    element(c, bits);
    return;
  }
  const width = c.d.addressSize;
  const again = b.temp('i32', b.i32(0));
  const counter = c.reg(RCX, width);
  b.if(b.eqz(b.eqz(counter)), () => {
    const done = b.temp('i64', b.i64(1));
    // Single-stepping and alignment checks see every element.
    const isBulk = bulkRoutine !== undefined && (c.mode & (MODE.ALIGN | MODE.STEP)) === 0 && width !== 16 && c.isFlat && c.segmentIsPlain(bulkRoutine === BULK_MOVS);
    if (isBulk && bulkRoutine) {
      const bytes = bits / 8;
      b.set(done, b.i64(0));
      b.if(b.eqz(b.and(b.get(FLAGS), b.i64(EFLAG.DF))), () => {
        const n = b.extendU(b.call(bulkRoutine, [b.i32(Math.log2(bytes)), c.to64(counter), c.to64(c.reg(RDI, width)), c.to64(c.reg(RSI, width))]) as Value<'i32'>);
        b.set(done, n);
        const moved = b.shl(n, b.i64(Math.log2(bytes)));
        const move = (r: number): void => c.setReg(r, width, c.cut(b.add(b.get(reg(r)), moved), width));
        b.if(b.wrap(n), () => {
          move(RDI);
          if (bulkRoutine === BULK_MOVS) move(RSI);
        });
      });
      b.if(b.eqz(b.get(done)), () => {
        element(c, bits);
        b.set(done, b.i64(1));
      });
    }
    const equal = isBulk ? undefined : element(c, bits);
    const rest = c.cut(b.sub(c.to64(counter), b.get(done)), width);
    c.setReg(RCX, width, rest);
    const more = b.eqz(b.eqz(rest));
    b.set(again, equal === undefined ? more : b.and(more, c.d.rep === 0xf3 ? equal : b.eqz(equal)));
  });
  c.flags.forget();
  c.terminal = { kind: 'branch', cond: b.get(again), taken: c.at, fall: c.next };
}

const ops: readonly [string, string, Element, Routine | undefined][] = [
  ['A4', 'movs', movs, BULK_MOVS],
  ['A6', 'cmps', cmps, undefined],
  ['AA', 'stos', stos, BULK_STOS],
  ['AC', 'lods', lods, undefined],
  ['AE', 'scas', scas, undefined],
];

export const STRING_ROWS: readonly Row[] = ops.flatMap(([code, name, element, bulkRoutine]) => [
  insn(code, `${name}b`, undefined, (c) => string(c, 8, element, bulkRoutine)),
  insn((Number.parseInt(code, 16) + 1).toString(16).toUpperCase(), `${name}v`, undefined, (c) => string(c, c.d.operandSize, element, bulkRoutine)),
]);
export const STRING_ROUTINES: readonly Routine[] = [BULK_MOVS, BULK_STOS];
