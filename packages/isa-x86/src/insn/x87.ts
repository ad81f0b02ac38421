// x87: opcodes D8 to DF and WAIT. SDM Vol. 2, A.5.2 (escape opcodes). Each row tests CR0.EM and CR0.TS by mode bits; the usual case
// is lifted (x87/lift-*.ts), the rest calls a helper (x87/*.ts), which raises what is pending and computes. Rows marked "alias" are undocumented encodings that
// processors execute like the documented one.

import type { Routine } from '@anillo/ir/callee';
import { X64 } from '@anillo/ir/vcpu-header';
import type { Slot } from '@anillo/ir/slot';
import type { Lift } from '../lift.ts';
import { MODE } from '../mode.ts';
import { insn, type Row } from '../row.ts';
import { FPU_STATUS, FPU_TOP, RAX, TRAP, X86State } from '../state.ts';
import { requireX87 } from '../usable.ts';
import { X87_ARITHMETIC } from '../x87/arithmetic-routines.ts';
import { BINARY_INDEX, PAIR_INDEX, UNARY_INDEX } from '../x87/elementary.ts';
import { IMAGE_FORMAT } from '../x87/environment.ts';
import { controlWord, type I32 } from '../x87/extended-ir.ts';
import { CONDITIONS, CONTROL_BITS, CONTROL_FIXED, STATUS, TOP_SHIFT } from '../x87/fpu.ts';
import { liftArithmetic, liftArithmeticMemory, liftCompare, liftCompareMemory, liftExamine, liftExtract, liftScaling, liftTranscendental, liftUnary } from '../x87/lift-arithmetic.ts';
import { callHelper, rm } from '../x87/lift-stack.ts';
import {
  type Bits, liftConditionalMove, liftConstant, liftExchange, liftLoad, liftLoadRegister, liftSign, liftStore, liftStoreRegister,
} from '../x87/lift-transfer.ts';
import { QUIET, SOURCE, TO_EFLAGS } from '../x87/operation.ts';
import { X87_SCALING } from '../x87/scale-routines.ts';
import { callPending } from '../x87/pending.ts';
import type { QUICK } from '../x87/quick.ts';
import { OPERAND, POP, TRUNCATE } from '../x87/transfer.ts';
import { X87_CALLEES, type X87HelperName } from '../x87/x87-helper-map.ts';

type Meaning = (c: Lift) => void;

/** A row whose meaning runs only where the x87 is usable. */
const x87 = (encoding: string, text: string, meaning: Meaning): Row =>
  insn(encoding, text, 'fpu', (c) => {
    if (requireX87(c)) meaning(c);
  });

const load = (encoding: string, text: string, bits: Bits, kind: number): Row => x87(encoding, text, (c) => liftLoad(c, bits, kind));
const store = (encoding: string, text: string, bits: Bits, kind: number): Row => x87(encoding, text, (c) => liftStore(c, bits, kind));

const transfers = [
  load('D9 /0', 'fld Md', 32, OPERAND.M32),
  load('DD /0', 'fld Mq', 64, OPERAND.M64),
  load('DB /5', 'fld Mt', 80, OPERAND.M80),
  load('DF /0', 'fild Mw', 16, OPERAND.I16),
  load('DB /0', 'fild Md', 32, OPERAND.I32),
  load('DF /5', 'fild Mq', 64, OPERAND.I64),
  load('DF /4', 'fbld Mt', 80, OPERAND.BCD),
  store('D9 /2', 'fst Md', 32, OPERAND.M32),
  store('D9 /3', 'fstp Md', 32, OPERAND.M32 | POP),
  store('DD /2', 'fst Mq', 64, OPERAND.M64),
  store('DD /3', 'fstp Mq', 64, OPERAND.M64 | POP),
  store('DB /7', 'fstp Mt', 80, OPERAND.M80 | POP),
  store('DF /2', 'fist Mw', 16, OPERAND.I16),
  store('DF /3', 'fistp Mw', 16, OPERAND.I16 | POP),
  store('DB /2', 'fist Md', 32, OPERAND.I32),
  store('DB /3', 'fistp Md', 32, OPERAND.I32 | POP),
  store('DF /7', 'fistp Mq', 64, OPERAND.I64 | POP),
  store('DF /1', 'fisttp Mw', 16, OPERAND.I16 | POP | TRUNCATE),
  store('DB /1', 'fisttp Md', 32, OPERAND.I32 | POP | TRUNCATE),
  store('DD /1', 'fisttp Mq', 64, OPERAND.I64 | POP | TRUNCATE),
  store('DF /6', 'fbstp Mt', 80, OPERAND.BCD | POP),
];

// ---- arithmetic and comparison

const OPERATION_NAMES = ['fadd', 'fmul', 'fcom', 'fcomp', 'fsub', 'fsubr', 'fdiv', 'fdivr'] as const;

function arithmeticMemory(opcode: string, prefix: string, operand: string, bits: Bits, source: number): Row[] {
  return OPERATION_NAMES.map((name, n) =>
    x87(`${opcode} /${n} mem`, `${name.replace(/^f/, prefix)} ${operand}`, (c) => {
      if (n === 2 || n === 3) liftCompareMemory(c, bits, source, n - 2);
      else liftArithmeticMemory(c, n, bits, source);
    }),
  );
}

/** D8, DC, DE with registers: destination ST(0), ST(i), ST(i) and pop. 2 and 3 of DC and 2 of DE are aliases of FCOM and FCOMP. */
function arithmeticRegisters(opcode: string, toIndexed: boolean, pop: 0 | 1): Row[] {
  return OPERATION_NAMES.flatMap((name, n): Row[] => {
    if (opcode === 'DE' && n === 3) return [x87('DE =D9', 'fcompp', (c) => liftCompare(c, SOURCE.REGISTER, 1, 2))];
    if (n === 2 || n === 3) return [x87(`${opcode} /${n} reg`, name, (c) => liftCompare(c, SOURCE.REGISTER, rm(c), opcode === 'DE' ? 1 : n - 2))];
    return [x87(`${opcode} /${n} reg`, pop ? `${name}p` : name, (c) => liftArithmetic(c, n, toIndexed, pop))];
  });
}

const compare = (encoding: string, text: string, kind: number, pops: number): Row => x87(encoding, text, (c) => liftCompare(c, kind, rm(c), pops));
const compareFlags = (encoding: string, text: string, kind: number, pops: number): Row => compare(encoding, text, kind | TO_EFLAGS, pops);

const arithmetic = [
  ...arithmeticMemory('D8', 'f', 'Md', 32, SOURCE.M32),
  ...arithmeticMemory('DC', 'f', 'Mq', 64, SOURCE.M64),
  ...arithmeticMemory('DA', 'fi', 'Md', 32, SOURCE.I32),
  ...arithmeticMemory('DE', 'fi', 'Mw', 16, SOURCE.I16),
  ...arithmeticRegisters('D8', false, 0),
  ...arithmeticRegisters('DC', true, 0),
  ...arithmeticRegisters('DE', true, 1),
  compare('DD /4 reg', 'fucom', SOURCE.REGISTER | QUIET, 0),
  compare('DD /5 reg', 'fucomp', SOURCE.REGISTER | QUIET, 1),
  compare('DA =E9', 'fucompp', SOURCE.REGISTER | QUIET, 2),
  compare('D9 =E4', 'ftst', SOURCE.ZERO, 0),
  compareFlags('DB /6 reg', 'fcomi', SOURCE.REGISTER, 0),
  compareFlags('DF /6 reg', 'fcomip', SOURCE.REGISTER, 1),
  compareFlags('DB /5 reg', 'fucomi', SOURCE.REGISTER | QUIET, 0),
  compareFlags('DF /5 reg', 'fucomip', SOURCE.REGISTER | QUIET, 1),
];

// ---- one or two registers, constants

const hex = (n: number): string => n.toString(16).toUpperCase();
const CONSTANT_NAMES = ['fld1', 'fldl2t', 'fldl2e', 'fldpi', 'fldlg2', 'fldln2', 'fldz'] as const;
const fixed = (encoding: string, text: string, name: X87HelperName, ...args: readonly number[]): Row => x87(encoding, text, (c) => callHelper(c, name, ...args));
const remainder = (encoding: string, text: string, r: Routine, nearest: number): Row =>
  x87(encoding, text, (c) => liftScaling(c, r, CONDITIONS, () => callHelper(c, 'x87Remainder', nearest)));
const transcendental = (encoding: string, name: keyof typeof QUICK, helper: X87HelperName, index: number): Row =>
  x87(encoding, name, (c) => liftTranscendental(c, name, () => callHelper(c, helper, index)));

const elementary = [
  ...CONSTANT_NAMES.map((name, i) => x87(`D9 =${hex(0xe8 + i)}`, name, (c) => liftConstant(c, i))),
  x87('D9 =E0', 'fchs', (c) => liftSign(c, true)),
  x87('D9 =E1', 'fabs', (c) => liftSign(c, false)),
  x87('D9 =E5', 'fxam', liftExamine),
  transcendental('D9 =F0', 'f2xm1', 'x87Unary', UNARY_INDEX.f2xm1),
  transcendental('D9 =F1', 'fyl2x', 'x87Binary', BINARY_INDEX.fyl2x),
  transcendental('D9 =F2', 'fptan', 'x87Pair', PAIR_INDEX.fptan),
  transcendental('D9 =F3', 'fpatan', 'x87Binary', BINARY_INDEX.fpatan),
  x87('D9 =F4', 'fxtract', liftExtract),
  remainder('D9 =F5', 'fprem1', X87_SCALING.nearest, 1),
  fixed('D9 =F6', 'fdecstp', 'x87MoveTop', -1),
  fixed('D9 =F7', 'fincstp', 'x87MoveTop', 1),
  remainder('D9 =F8', 'fprem', X87_SCALING.remainder, 0),
  transcendental('D9 =F9', 'fyl2xp1', 'x87Binary', BINARY_INDEX.fyl2xp1),
  x87('D9 =FA', 'fsqrt', (c) => liftUnary(c, X87_ARITHMETIC.root, UNARY_INDEX.fsqrt)),
  transcendental('D9 =FB', 'fsincos', 'x87Pair', PAIR_INDEX.fsincos),
  x87('D9 =FC', 'frndint', (c) => liftUnary(c, X87_ARITHMETIC.round, UNARY_INDEX.frndint)),
  x87('D9 =FD', 'fscale', (c) => liftScaling(c, X87_SCALING.scale, STATUS.C1, () => callHelper(c, 'x87Binary', BINARY_INDEX.fscale))),
  transcendental('D9 =FE', 'fsin', 'x87Unary', UNARY_INDEX.fsin),
  transcendental('D9 =FF', 'fcos', 'x87Unary', UNARY_INDEX.fcos),
];

// ---- registers

const storeRegister = (pop: 0 | 1): Meaning => (c) => liftStoreRegister(c, pop);
const free = (pop: 0 | 1): Meaning => (c) => callHelper(c, 'x87Free', rm(c), pop);

/** FCMOVcc: condition code of Jcc. */
const conditionalMove = (encoding: string, text: string, cc: number): Row =>
  insn(encoding, text, 'cmov', (c) => {
    if (requireX87(c)) liftConditionalMove(c, cc);
  });

const registers = [
  x87('D9 /0 reg', 'fld', liftLoadRegister),
  x87('D9 /1 reg', 'fxch', liftExchange),
  x87('DD /1 reg', 'fxch', liftExchange), // alias
  x87('DF /1 reg', 'fxch', liftExchange), // alias
  x87('DD /2 reg', 'fst', storeRegister(0)),
  x87('DD /3 reg', 'fstp', storeRegister(1)),
  x87('D9 /3 reg', 'fstp', (c) => callHelper(c, 'x87StoreUnchecked', rm(c))), // alias, almost
  x87('DF /2 reg', 'fstp', storeRegister(1)), // alias
  x87('DF /3 reg', 'fstp', storeRegister(1)), // alias
  x87('DD /0 reg', 'ffree', free(0)),
  x87('DF /0 reg', 'ffreep', free(1)), // alias
  conditionalMove('DA /0 reg', 'fcmovb', 2),
  conditionalMove('DA /1 reg', 'fcmove', 4),
  conditionalMove('DA /2 reg', 'fcmovbe', 6),
  conditionalMove('DA /3 reg', 'fcmovu', 10),
  conditionalMove('DB /0 reg', 'fcmovnb', 3),
  conditionalMove('DB /1 reg', 'fcmovne', 5),
  conditionalMove('DB /2 reg', 'fcmovnbe', 7),
  conditionalMove('DB /3 reg', 'fcmovnu', 11),
];

// ---- control

const statusWord = ({ b }: Lift): I32 => b.or(b.get(FPU_STATUS), b.shl(b.get(FPU_TOP), b.i32(TOP_SHIFT)));

/** The word where it unmasks nothing that has happened, else the helper's work. */
function loadControl(c: Lift, value: I32): void {
  const { b } = c;
  const word = b.or(b.and(value, b.i32(CONTROL_BITS)), b.i32(CONTROL_FIXED));
  const status = b.get(FPU_STATUS);
  const unmasked = b.and(b.and(status, b.xor(word, b.i32(-1))), b.i32(STATUS.EXCEPTIONS));
  b.ifRarely(
    b.or(b.and(status, b.i32(STATUS.ES)), unmasked),
    () => {
      b.set(X64[0] as Slot<'i64'>, b.extendU(value));
      b.call(X87_CALLEES.x87LoadControl);
    },
    () => b.op('state.store32', [b.i32(0), word], X86State.offset.fpuControl),
  );
}

/** FNSTENV and kin: the helper reads or writes the image at the linear address in x0. Its format follows operand size and mode. */
function image(c: Lift, name: X87HelperName, registerBytes: number, write: boolean): void {
  const { b } = c;
  const wide = c.d.operandSize !== 16;
  const isProtected = (c.mode & MODE.PROTECTED) !== 0;
  if (!write) callPending(c);
  const a = c.memory((wide ? 28 : 14) + registerBytes, write);
  c.checkAlignment(a, wide ? 4 : 2);
  b.set(X64[0], c.sum(a));
  b.call(X87_CALLEES[name], [b.i32((wide ? IMAGE_FORMAT.WIDE : 0) | (isProtected ? IMAGE_FORMAT.PROTECTED : 0))]);
}

const plain = (name: X87HelperName): Meaning => (c) => {
  c.b.call(X87_CALLEES[name]);
};
const nothing: Meaning = () => undefined;

const control = [
  insn('9B', 'fwait', 'fpu', (c) => {
    if (c.mode & MODE.WAIT_NM) c.trap(TRAP.NM);
    else callPending(c);
  }),
  x87('D9 =D0', 'fnop', callPending),
  x87('D9 /4 mem', 'fldenv', (c) => image(c, 'x87LoadEnvironment', 0, false)),
  x87('D9 /6 mem', 'fnstenv', (c) => image(c, 'x87StoreEnvironment', 0, true)),
  x87('DD /4 mem', 'frstor', (c) => image(c, 'x87Restore', 80, false)),
  x87('DD /6 mem', 'fnsave', (c) => image(c, 'x87Save', 80, true)),
  x87('D9 /5', 'fldcw Mw', (c) => {
    callPending(c);
    loadControl(c, c.to32(c.read(0)));
  }),
  x87('D9 /7', 'fnstcw Mw', (c) => c.write(0, controlWord(c.b))),
  x87('DD /7', 'fnstsw Mw', (c) => c.write(0, statusWord(c))),
  x87('DF =E0', 'fnstsw', (c) => c.setReg(RAX, 16, statusWord(c))),
  x87('DB =E2', 'fnclex', plain('x87ClearExceptions')),
  x87('DB =E3', 'fninit', plain('x87Initialize')),
  // 8087 and 80287 instructions that do nothing since.
  x87('DB =E0', 'fneni', nothing),
  x87('DB =E1', 'fndisi', nothing),
  x87('DB =E4', 'fnsetpm', nothing),
];

export const X87_ROWS: readonly Row[] = [...transfers, ...arithmetic, ...elementary, ...registers, ...control];
