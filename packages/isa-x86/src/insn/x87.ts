// x87: opcodes D8 to DF and WAIT. SDM Vol. 2, A.5.2 (escape opcodes). Each row tests CR0.EM and CR0.TS by mode bits and calls a helper (x87/*.ts), which
// raises what is pending and computes; memory operands are loaded before it and stored after it. Rows marked "alias" are undocumented encodings that
// processors execute like the documented one.

import type { Value } from '@anillo/ir/block';
import { X64, X64_HIGH } from '@anillo/ir/vcpu-header';
import type { Address, Lift } from '../lift.ts';
import { MODE } from '../mode.ts';
import { insn, type Row } from '../row.ts';
import { RAX, TRAP, X86State } from '../state.ts';
import { requireX87 } from '../usable.ts';
import { BINARY_INDEX, PAIR_INDEX, UNARY_INDEX } from '../x87/elementary.ts';
import { IMAGE_FORMAT } from '../x87/environment.ts';
import { AT_BITS, OPCODE_BITS } from '../x87/fpu.ts';
import { QUIET, SOURCE, TO_EFLAGS } from '../x87/operation.ts';
import { callPending } from '../x87/pending.ts';
import { OPERAND, POP, TRUNCATE } from '../x87/transfer.ts';
import { X87_CALLEES, type X87HelperName } from '../x87/x87-helper-map.ts';

const at = X86State.offset;
type Meaning = (c: Lift) => void;

/** A row whose meaning runs only where the x87 is usable. */
const x87 = (encoding: string, text: string, meaning: Meaning): Row =>
  insn(encoding, text, 'fpu', (c) => {
    if (requireX87(c)) meaning(c);
  });

/** Register operand: ModRM.rm without REX.B. */
const rm = (c: Lift): number => c.d.modrm & 7;

/** The helpers' `where` argument: offset in the block, opcode, segment of the memory operand. */
function where(c: Lift): number {
  const opcode = ((c.d.opcode & 7) << 8) | c.d.modrm;
  const segment = c.isMemory ? c.segment + 1 : 0;
  return c.at | (opcode << AT_BITS) | (segment << (AT_BITS + OPCODE_BITS));
}

/** Calls a helper whose last argument is `where`. */
function call(c: Lift, name: X87HelperName, ...args: readonly (number | Value<'i32'>)[]): void {
  const { b } = c;
  if (c.isMemory) b.set(X64[3], c.sum(c.effectiveAddress()));
  b.call(X87_CALLEES[name], [...args, where(c)].map((a) => (typeof a === 'number' ? b.i32(a) : a)));
}

// ---- memory operands

type Bits = 16 | 32 | 64 | 80;

/** Puts the memory operand into x0. What is pending comes before what the access may raise. */
function loadOperand(c: Lift, bits: Bits): void {
  const { b } = c;
  callPending(c);
  const a = c.memory(bits / 8);
  const low = c.to64(c.load(a, bits === 80 ? 64 : bits));
  const high = bits === 80 ? c.to64(c.load(c.offset(a, 8), 16)) : undefined;
  b.set(X64[0], low);
  if (high) b.set(X64_HIGH[0], high);
}

function probeOperand(c: Lift, bits: Bits): Address {
  callPending(c);
  const a = c.memory(bits / 8, true);
  // #AC before anything has changed; the store itself comes too late for that.
  c.checkAlignment(a, bits === 80 ? 8 : bits / 8);
  c.probeWrite(a, bits === 80 ? 64 : bits);
  if (bits === 80) c.probeWrite(c.offset(a, 8), 16);
  return a;
}

/** FST and its kin: the helper leaves the bytes in x0 and says in x1 whether they are to be written. */
function storeOperand(c: Lift, bits: Bits, kind: number): void {
  const { b } = c;
  const a = probeOperand(c, bits);
  call(c, 'x87Store', kind);
  b.if(b.wrap(b.get(X64[1])), () => {
    c.store(a, bits === 80 ? 64 : bits, b.get(X64[0]));
    if (bits === 80) c.store(c.offset(a, 8), 16, b.get(X64_HIGH[0]));
  });
}

const load = (encoding: string, text: string, bits: Bits, kind: number): Row =>
  x87(encoding, text, (c) => {
    loadOperand(c, bits);
    call(c, 'x87Load', kind);
  });
const store = (encoding: string, text: string, bits: Bits, kind: number): Row => x87(encoding, text, (c) => storeOperand(c, bits, kind));

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
      loadOperand(c, bits);
      if (n === 2 || n === 3) call(c, 'x87Compare', source, 0, n - 2);
      else call(c, 'x87Arithmetic', n | (source << 3), 0, 0, 0);
    }),
  );
}

/** D8, DC, DE with registers: destination ST(0), ST(i), ST(i) and pop. 2 and 3 of DC and 2 of DE are aliases of FCOM and FCOMP. */
function arithmeticRegisters(opcode: string, toIndexed: boolean, pop: 0 | 1): Row[] {
  return OPERATION_NAMES.flatMap((name, n): Row[] => {
    if (opcode === 'DE' && n === 3) return [x87('DE =D9', 'fcompp', (c) => call(c, 'x87Compare', SOURCE.REGISTER, 1, 2))];
    if (n === 2 || n === 3) return [x87(`${opcode} /${n} reg`, name, (c) => call(c, 'x87Compare', SOURCE.REGISTER, rm(c), opcode === 'DE' ? 1 : n - 2))];
    return [x87(`${opcode} /${n} reg`, pop ? `${name}p` : name, (c) => call(c, 'x87Arithmetic', n, rm(c), toIndexed ? rm(c) : 0, pop))];
  });
}

const compare = (encoding: string, text: string, kind: number, pops: number): Row => x87(encoding, text, (c) => call(c, 'x87Compare', kind, rm(c), pops));
/** FCOMI and kin: ZF, PF, CF from the comparison, OF, SF, AF clear. */
const compareFlags = (encoding: string, text: string, kind: number, pops: number): Row =>
  x87(encoding, text, (c) => {
    call(c, 'x87Compare', kind | TO_EFLAGS, rm(c), pops);
    c.setFlagBits(c.b.wrap(c.b.get(X64[1])));
  });

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
const fixed = (encoding: string, text: string, name: X87HelperName, ...args: readonly number[]): Row => x87(encoding, text, (c) => call(c, name, ...args));

const elementary = [
  ...CONSTANT_NAMES.map((name, i) => fixed(`D9 =${hex(0xe8 + i)}`, name, 'x87LoadConstant', i)),
  fixed('D9 =E0', 'fchs', 'x87Sign', 1),
  fixed('D9 =E1', 'fabs', 'x87Sign', 0),
  fixed('D9 =E5', 'fxam', 'x87Examine'),
  fixed('D9 =F0', 'f2xm1', 'x87Unary', UNARY_INDEX.f2xm1),
  fixed('D9 =F1', 'fyl2x', 'x87Binary', BINARY_INDEX.fyl2x),
  fixed('D9 =F2', 'fptan', 'x87Pair', PAIR_INDEX.fptan),
  fixed('D9 =F3', 'fpatan', 'x87Binary', BINARY_INDEX.fpatan),
  fixed('D9 =F4', 'fxtract', 'x87Pair', PAIR_INDEX.fxtract),
  fixed('D9 =F5', 'fprem1', 'x87Remainder', 1),
  fixed('D9 =F6', 'fdecstp', 'x87MoveTop', -1),
  fixed('D9 =F7', 'fincstp', 'x87MoveTop', 1),
  fixed('D9 =F8', 'fprem', 'x87Remainder', 0),
  fixed('D9 =F9', 'fyl2xp1', 'x87Binary', BINARY_INDEX.fyl2xp1),
  fixed('D9 =FA', 'fsqrt', 'x87Unary', UNARY_INDEX.fsqrt),
  fixed('D9 =FB', 'fsincos', 'x87Pair', PAIR_INDEX.fsincos),
  fixed('D9 =FC', 'frndint', 'x87Unary', UNARY_INDEX.frndint),
  fixed('D9 =FD', 'fscale', 'x87Binary', BINARY_INDEX.fscale),
  fixed('D9 =FE', 'fsin', 'x87Unary', UNARY_INDEX.fsin),
  fixed('D9 =FF', 'fcos', 'x87Unary', UNARY_INDEX.fcos),
];

// ---- registers

const exchange: Meaning = (c) => call(c, 'x87Exchange', rm(c));
const storeRegister = (pop: 0 | 1): Meaning => (c) => call(c, 'x87StoreRegister', rm(c), pop);
const free = (pop: 0 | 1): Meaning => (c) => call(c, 'x87Free', rm(c), pop);

/** FCMOVcc: condition code of Jcc. */
const conditionalMove = (encoding: string, text: string, cc: number): Row =>
  insn(encoding, text, 'cmov', (c) => {
    if (requireX87(c)) call(c, 'x87ConditionalMove', rm(c), c.flags.condition(cc));
  });

const registers = [
  x87('D9 /0 reg', 'fld', (c) => call(c, 'x87LoadRegister', rm(c))),
  x87('D9 /1 reg', 'fxch', exchange),
  x87('DD /1 reg', 'fxch', exchange), // alias
  x87('DF /1 reg', 'fxch', exchange), // alias
  x87('DD /2 reg', 'fst', storeRegister(0)),
  x87('DD /3 reg', 'fstp', storeRegister(1)),
  x87('D9 /3 reg', 'fstp', (c) => call(c, 'x87StoreUnchecked', rm(c))), // alias, almost
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

const stateWord = (c: Lift, offset: number): Value<'i32'> => c.b.op('state.load32', [c.b.i32(0)], offset);

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
    c.b.set(X64[0], c.to64(c.read(0)));
    c.b.call(X87_CALLEES.x87LoadControl);
  }),
  x87('D9 /7', 'fnstcw Mw', (c) => c.write(0, stateWord(c, at.fpuControl))),
  x87('DD /7', 'fnstsw Mw', (c) => c.write(0, stateWord(c, at.fpuStatus))),
  x87('DF =E0', 'fnstsw', (c) => c.setReg(RAX, 16, stateWord(c, at.fpuStatus))),
  x87('DB =E2', 'fnclex', plain('x87ClearExceptions')),
  x87('DB =E3', 'fninit', plain('x87Initialize')),
  // 8087 and 80287 instructions that do nothing since.
  x87('DB =E0', 'fneni', nothing),
  x87('DB =E1', 'fndisi', nothing),
  x87('DB =E4', 'fnsetpm', nothing),
];

export const X87_ROWS: readonly Row[] = [...transfers, ...arithmetic, ...elementary, ...registers, ...control];
