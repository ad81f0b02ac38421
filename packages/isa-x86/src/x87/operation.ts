// x87 arithmetic and comparison (SDM 2: FADD..FDIVR, FCOM, FUCOM, FCOMI, FTST, FXAM, FCHS, FABS).

import { add, divide, multiply, subtract } from '../softfloat/arithmetic.ts';
import { compare, ORDER, type Order } from '../softfloat/compare.ts';
import type { FloatEnv } from '../softfloat/float-env.ts';
import { EXT, F32, F64 } from '../softfloat/format.ts';
import { KIND, Unpacked } from '../softfloat/unpacked.ts';
import type { HelperFunction, X86Context } from '../helper-map.ts';
import { EFLAG } from '../state.ts';
import { setWords, word, WORD } from '../state-words.ts';
import { begin, env, finish, finishKeepingC1, isEmpty, mayWrite, physical, pop, rawStack, readStack, setConditions, stackUnderflow, STATUS, writeStack } from './fpu.ts';
import { operandBits } from './transfer.ts';

const a = new Unpacked();
const b = new Unpacked();
const SIGN = 1n << 79n;

/** Where the second operand comes from. */
export const SOURCE = { REGISTER: 0, M32: 1, M64: 2, I32: 3, I16: 4, ZERO: 5 } as const;

type Operation = (env: FloatEnv, a: Unpacked, b: Unpacked) => bigint;
/** By ModRM.reg of D8; 2 and 3 are comparisons. */
const OPERATIONS: readonly (Operation | undefined)[] = [
  (e, x, y) => add(e, EXT, x, y),
  (e, x, y) => multiply(e, EXT, x, y),
  undefined,
  undefined,
  (e, x, y) => subtract(e, EXT, x, y),
  (e, x, y) => subtract(e, EXT, y, x),
  (e, x, y) => divide(e, EXT, x, y),
  (e, x, y) => divide(e, EXT, y, x),
];

/** Fills `b`. False: the register is empty. */
function readSource(cpu: X86Context, source: number, i: number): boolean {
  switch (source) {
    case SOURCE.REGISTER:
      readStack(cpu, i, b);
      return !isEmpty(cpu, i);
    case SOURCE.M32:
      b.set(F32, BigInt(word(cpu, WORD.x)), env);
      return true;
    case SOURCE.M64:
      b.set(F64, operandBits(cpu), env);
      return true;
    default:
      setInteger(source === SOURCE.I32 ? word(cpu, WORD.x) | 0 : source === SOURCE.I16 ? (word(cpu, WORD.x) << 16) >> 16 : 0);
      return true;
  }
}

function setInteger(value: number): void {
  b.setFinite(value < 0 ? 1 : 0, 0, BigInt(Math.abs(value)));
}

/** (operation | source << 3, i, destination register, pop, where): ST(destination) = ST(0) op source. */
const x87Arithmetic: HelperFunction = (cpu, kind, i, destination, popAfter, where) => {
  if (begin(cpu, where)) return 1;
  const present = readSource(cpu, kind >> 3, i) && !isEmpty(cpu, 0);
  const result = present ? (OPERATIONS[kind & 7] as Operation)(env, readStack(cpu, 0, a), b) : stackUnderflow();
  if (mayWrite()) {
    writeStack(cpu, destination, result);
    if (popAfter) pop(cpu);
  }
  return finish(cpu);
};

const CONDITION: Readonly<Record<Order, number>> = {
  [ORDER.LESS]: STATUS.C0,
  [ORDER.EQUAL]: STATUS.C3,
  [ORDER.GREATER]: 0,
  [ORDER.UNORDERED]: STATUS.C0 | STATUS.C2 | STATUS.C3,
};
const COMPARE_FLAGS: Readonly<Record<Order, number>> = {
  [ORDER.LESS]: EFLAG.CF,
  [ORDER.EQUAL]: EFLAG.ZF,
  [ORDER.GREATER]: 0,
  [ORDER.UNORDERED]: EFLAG.CF | EFLAG.PF | EFLAG.ZF,
};

export const QUIET = 8;
/** The result goes to EFLAGS: x1 gets them. */
export const TO_EFLAGS = 16;

/** (source | QUIET | TO_EFLAGS, i, number of pops, where) */
const x87Compare: HelperFunction = (cpu, kind, i, pops, where) => {
  if (begin(cpu, where)) return 1;
  let order: Order = ORDER.UNORDERED;
  if (readSource(cpu, kind & 7, i) && !isEmpty(cpu, 0)) order = compare(env, readStack(cpu, 0, a), b, (kind & QUIET) === 0);
  else stackUnderflow();
  if ((kind & TO_EFLAGS) === 0) setConditions(cpu, CONDITION[order]);
  else setWords(cpu, WORD.x + 4, COMPARE_FLAGS[order], 0);
  if (mayWrite()) for (let n = 0; n < pops; n++) pop(cpu);
  return kind & TO_EFLAGS ? finishKeepingC1(cpu) : finish(cpu);
};

/** FCHS (1) and FABS (0): any bits, no exception but an empty register. */
const x87Sign: HelperFunction = (cpu, change, where) => {
  if (begin(cpu, where)) return 1;
  const value = isEmpty(cpu, 0) ? stackUnderflow() : change ? rawStack(cpu, 0) ^ SIGN : rawStack(cpu, 0) & (SIGN - 1n);
  if (mayWrite()) writeStack(cpu, 0, value);
  return finish(cpu);
};

const CLASS: Readonly<Record<number, number>> = {
  [KIND.UNSUPPORTED]: 0,
  [KIND.QNAN]: STATUS.C0,
  [KIND.SNAN]: STATUS.C0,
  [KIND.FINITE]: STATUS.C2,
  [KIND.INFINITY]: STATUS.C2 | STATUS.C0,
  [KIND.ZERO]: STATUS.C3,
};

const x87Examine: HelperFunction = (cpu, where) => {
  if (begin(cpu, where)) return 1;
  readStack(cpu, 0, a);
  const kind = isEmpty(cpu, 0) ? STATUS.C3 | STATUS.C0 : a.denormal ? STATUS.C3 | STATUS.C2 : (CLASS[a.kind] as number);
  setConditions(cpu, kind | ((cpu.view.fpuExponent[physical(cpu, 0)] >> 15) & 1 ? STATUS.C1 : 0));
  return 0;
};

export const OPERATION = { x87Arithmetic, x87Compare, x87Sign, x87Examine };
