// Instruction rows: encoding in the manual's notation, operands, enabling feature and meaning, adjacent. SDM Vol. 2, chapter 2 and appendix A.
//
// Encoding tokens, in any order before the opcode byte:
//   NP 66 F3 F2   mandatory prefix (NP: none of them); NFx: neither F2 nor F3; without one of these tokens prefixes are modifiers
//   0F 0F38 0F3A  opcode map;  VEX: VEX-encoded;  W0 W1: REX.W / VEX.W;  L0 L1: VEX.L
//   !64 64        not in 64-bit code / only in 64-bit code
// (64 before the opcode byte only), then the opcode byte: `C0`, with `+r` when its low three bits name a register, and
//   /0../7        ModRM.reg;  mem / reg: ModRM.mod is a memory or the register form;  =C8: the whole ModRM byte
//   /r            a ModRM byte follows (implied by operands that need one);  any: ModRM.mod is not looked at, ModRM.rm is a register
//   d64           operand size is 64 bits by default in 64-bit code (push, pop, near branches); f64: always
//   lock          LOCK is allowed when the destination is memory
// Operands: letter of appendix A.2.1 (E G M R I J O S C D Z V W H U L P Q N B X Y A) and size (b w d q v y z x dq p), or a fixed register.

import type { Feature } from './cpu-model.ts';
import type { Lift } from './lift.ts';

export type OperandKind = 'E' | 'G' | 'M' | 'R' | 'I' | 'J' | 'O' | 'S' | 'C' | 'D' | 'Z' | 'V' | 'W' | 'H' | 'U' | 'L' | 'P' | 'Q' | 'N' | 'B' | 'A' | 'fixed' | 'one';
/** Size code: bits, or v (16/32/64 by operand size), y (32/64), z (immediate of 16/32 bits, sign-extended), x (128/256 by VEX.L), p (far pointer). */
export type OperandSize = 8 | 16 | 32 | 64 | 80 | 128 | 256 | 'v' | 'y' | 'z' | 'x' | 'p' | 0;

export interface Operand {
  readonly kind: OperandKind;
  readonly size: OperandSize;
  /** `size` where it is a number, else 0. */
  readonly bits: number;
  /** Register number of a fixed operand. */
  readonly register: number;
}

export interface Row {
  readonly encoding: string;
  readonly mnemonic: string;
  readonly operands: readonly Operand[];
  readonly feature: Feature | undefined;
  readonly lift: (c: Lift) => void;
  readonly map: 0 | 1 | 2 | 3;
  readonly vex: boolean;
  readonly opcode: number;
  readonly plusRegister: boolean;
  readonly hasModrm: boolean;
  /** Masks over: prefix (bit 0 none, 1 66, 2 F3, 3 F2), ModRM.reg, form (bit 0 memory, 1 register), W, L, code size (bit 0 16, 1 32, 2 64). */
  readonly prefixMask: number;
  readonly regMask: number;
  readonly formMask: number;
  readonly wMask: number;
  readonly lMask: number;
  readonly codeMask: number;
  /** Whole ModRM byte, or -1. */
  readonly modrm: number;
  /** ModRM.mod means nothing: ModRM.rm is a register. */
  readonly ignoresMod: boolean;
  readonly default64: boolean;
  readonly force64: boolean;
  readonly lockable: boolean;
  /** The 66 prefix is part of the opcode and not an operand size. */
  readonly mandatory66: boolean;
  /** Which instructions the row means, one bit each for what the masks above have (ACCEPT); `modrm` comes on top. */
  readonly accepts: number;
  readonly specificity: number;
  /** Operands that are bytes of the instruction after ModRM and displacement. */
  readonly immediates: readonly Operand[];
  /** For each operand: how many of those stand before it. */
  readonly immediateOf: readonly number[];
  /** What the operands need of the CPU's state (NEEDS). */
  readonly needs: number;
}

/**
 * The masks of a row in one word; an instruction is a word with one bit in each of them, and is the row's if the row has all of its bits.
 * Of a row without ModRM byte all bits of that are set.
 */
export const ACCEPT = { prefix: 0, code: 4, w: 7, l: 9, reg: 11, form: 19 } as const;
const acceptsOf = (row: Pick<Row, 'prefixMask' | 'codeMask' | 'wMask' | 'lMask' | 'regMask' | 'formMask' | 'hasModrm'>): number =>
  (row.prefixMask << ACCEPT.prefix) |
  (row.codeMask << ACCEPT.code) |
  (row.wMask << ACCEPT.w) |
  (row.lMask << ACCEPT.l) |
  ((row.hasModrm ? row.regMask : 0xff) << ACCEPT.reg) |
  ((row.hasModrm ? row.formMask : 3) << ACCEPT.form);

/** Bits of `Row.needs`: vector registers, MMX registers; V: VEX.vvvv names a register. */
export const NEEDS = { VECTOR: 1, MMX: 2, V: 4 } as const;
const NEEDS_OF: Readonly<Partial<Record<OperandKind, number>>> = {
  V: NEEDS.VECTOR, W: NEEDS.VECTOR, U: NEEDS.VECTOR, L: NEEDS.VECTOR, P: NEEDS.MMX, Q: NEEDS.MMX, N: NEEDS.MMX, H: NEEDS.VECTOR | NEEDS.V, B: NEEDS.V,
};

const FIXED: Readonly<Record<string, readonly [number, OperandSize]>> = {
  AL: [0, 8], CL: [1, 8], AX: [0, 16], DX: [2, 16], eAX: [0, 32], rAX: [0, 'v'], rCX: [1, 'v'], rDX: [2, 'v'],
};
const SIZES: Readonly<Record<string, OperandSize>> = { b: 8, w: 16, d: 32, q: 64, t: 80, v: 'v', y: 'y', z: 'z', x: 'x', dq: 128, qq: 256, p: 'p', '': 0 };
const MODRM_KINDS = 'EGMRSCDVWUPQN';

const operandOf = (kind: OperandKind, size: OperandSize, register: number): Operand => ({ kind, size, bits: typeof size === 'number' ? size : 0, register });
const parsed = new Map<string, Operand>();

function operand(text: string): Operand {
  let found = parsed.get(text);
  if (found === undefined) {
    found = parseOperand(text);
    parsed.set(text, found);
  }
  return found;
}

function parseOperand(text: string): Operand {
  const fixed = FIXED[text];
  if (fixed) return operandOf('fixed', fixed[1], fixed[0]);
  if (text === '1') return operandOf('one', 8, 0);
  const size = SIZES[text.slice(1)];
  if (size === undefined || !'EGMRIJOSCDZVWHULPQNBA'.includes(text[0] as string)) throw new TypeError(`unknown operand ${text}`);
  return operandOf(text[0] as OperandKind, size, 0);
}

const PREFIX_MASK: Readonly<Record<string, number>> = { NP: 1, '66': 2, F3: 4, F2: 8, NFx: 3 };
const MAPS: Readonly<Record<string, 0 | 1 | 2 | 3>> = { '0F': 1, '0F38': 2, '0F3A': 3 };

const HEX = '0123456789ABCDEF';
/** Two hexadecimal digits, perhaps with `+r`. */
const isByte = (token: string): boolean => (token.length === 2 || token.endsWith('+r')) && HEX.includes(token[0] as string) && HEX.includes(token[1] as string);

const isImmediate = (o: Operand): boolean => 'IJOAL'.includes(o.kind);

/** Makes a row. Example: `insn('F3 0F B8 /r', 'popcnt Gv,Ev', 'popcnt', (c) => ...)`. */
export function insn(encoding: string, text: string, feature: Feature | undefined, lift: (c: Lift) => void): Row {
  const [mnemonic, operandText = ''] = text.split(' ') as [string, string?];
  const operands = operandText === '' ? [] : operandText.split(',').map(operand);
  const row = {
    encoding, mnemonic, operands, feature, lift,
    map: 0 as 0 | 1 | 2 | 3, vex: false, opcode: -1, plusRegister: false, hasModrm: operands.some((o) => MODRM_KINDS.includes(o.kind)),
    prefixMask: 15, regMask: 0xff, formMask: 3, wMask: 3, lMask: 3, codeMask: 7, modrm: -1, ignoresMod: false, default64: false, force64: false, lockable: false, mandatory66: false, accepts: 0, specificity: 0,
    immediates: operands.filter(isImmediate),
    immediateOf: operands.map((_, i) => operands.slice(0, i).filter(isImmediate).length),
    needs: operands.reduce((needs, o) => needs | (NEEDS_OF[o.kind] ?? 0), 0),
  };
  if (operands.some((o) => o.kind === 'M')) row.formMask = 1;
  if (operands.some((o) => 'RUN'.includes(o.kind))) row.formMask = 2;
  const tokens = encoding.split(' ');
  // The opcode is the last token that is a byte; bytes before it are prefixes and maps.
  let opcodeAt = tokens.length - 1;
  while (opcodeAt >= 0 && !isByte(tokens[opcodeAt] as string)) opcodeAt--;
  for (const [i, token] of tokens.entries()) {
    const before = i < opcodeAt;
    if (i === opcodeAt) { row.opcode = Number.parseInt(token, 16); row.plusRegister = token.endsWith('+r'); }
    else if (token === 'VEX') row.vex = true;
    else if (before && MAPS[token] !== undefined) row.map = MAPS[token];
    else if (before && PREFIX_MASK[token] !== undefined) row.prefixMask = PREFIX_MASK[token];
    else if (token === 'W0' || token === 'W1') row.wMask = token === 'W0' ? 1 : 2;
    else if (token === 'L0' || token === 'L1') row.lMask = token === 'L0' ? 1 : 2;
    else if (token === '!64') row.codeMask = 3;
    else if (before && token === '64') row.codeMask = 4;
    else if (token === 'd64') row.default64 = true;
    else if (token === 'f64') row.force64 = true;
    else if (token === 'lock') row.lockable = true;
    else if (token === '/r') row.hasModrm = true;
    else if (token === 'any') { row.ignoresMod = true; row.hasModrm = true; }
    else if (token === 'mem' || token === 'reg') { row.formMask = token === 'mem' ? 1 : 2; row.hasModrm = true; }
    else if (token[0] === '/') { row.regMask = 1 << Number(token[1]); row.hasModrm = true; }
    else if (token[0] === '=') { row.modrm = Number.parseInt(token.slice(1), 16); row.hasModrm = true; }
    else throw new TypeError(`unknown token ${token} in encoding ${encoding}`);
  }
  if (row.opcode < 0) throw new TypeError(`no opcode byte in encoding ${encoding}`);
  row.mandatory66 = row.prefixMask === 2;
  row.accepts = acceptsOf(row);
  const bits = (mask: number, width: number): number => (mask === (1 << width) - 1 ? 0 : 1);
  row.specificity = (row.modrm >= 0 ? 8 : 0) + bits(row.prefixMask, 4) * 4 + bits(row.regMask, 8) * 2 + bits(row.formMask, 2) + bits(row.wMask, 2) + bits(row.lMask, 2) + bits(row.codeMask, 3);
  return row;
}
