// One instruction from a row of the table: chooses operand size, registers, addresses, immediates and prefixes, gives the operands hostile values
// where they are still free to choose, and appends the bytes. Returns false (and has appended nothing) where the row does not fit this case.

import { type AddressOperand, aim } from './address-operand.ts';
import type { CaseBuilder } from './case-builder.ts';
import { type Element, fillHostile, hostileAddress } from './hostile-values.ts';
import type { Operand, Row } from './instruction-row.ts';
import { DATA_BASE, DATA_BYTES } from './memory-map.ts';
import { prepare } from './operand-values.ts';
import { shiftEffect } from './shift-effect.ts';
import type { FlagEffect } from './test-case.ts';

/** What has been decided about the instruction while it is put together. */
export interface Encoding {
  readonly row: Row;
  /** Bits of a v, z or y operand. */
  readonly size: 8 | 16 | 32 | 64;
  readonly wide: boolean;
  lock: boolean;
  reg: number;
  rm: number;
  vvvv: number;
  memory: AddressOperand | undefined;
  memoryBytes: number;
  opcodeRegister: number;
  immediate: number[];
  moffs: bigint | undefined;
}

const VECTOR_KINDS = 'VHWUL';

export function elementOf(operand: Operand): Element {
  switch (operand.type.replace(/^\/\d/, '')) {
    case 'ps':
    case 'ss':
      return 'f32';
    case 'pd':
    case 'sd':
      return 'f64';
    case 'ph':
      return 'f16';
    case 't':
      return 'f80';
    case 'bcd':
      return 'bcd';
    default:
      return 'int';
  }
}

function operandBytes(operand: Operand, size: number, wide: boolean): number {
  const type = operand.type;
  const vector = wide ? 32 : 16;
  const fixed: Record<string, number> = {
    b: 1,
    w: 2,
    d: 4,
    q: 8,
    ss: 4,
    sd: 8,
    dq: 16,
    qq: 32,
    t: 10,
    bcd: 10,
    x: vector,
    ps: vector,
    pd: vector,
  };
  if (type in fixed) return fixed[type];
  if (type === 'v' || type === 'y' || type === 'z') return size / 8;
  if (type.startsWith('/')) return vector / Number(type[1]);
  return Number(type);
}

function chooseSize(builder: CaseBuilder, row: Row): 8 | 16 | 32 | 64 {
  const has = (letter: string): boolean => row.operands.some((o) => o.type === letter && o.kind !== 'I');
  if (row.options.has('f64')) return builder.random.chance(15) ? 16 : builder.mode;
  const v = has('v') || row.options.has('ov');
  const random = builder.random;
  if (v) return builder.mode === 64 ? random.pick([16, 32, 32, 64, 64]) : random.pick([16, 32, 32]);
  if (has('y')) return builder.mode === 64 ? random.pick([32, 64]) : 32;
  return row.operands[0]?.type === 'b' ? 8 : 32;
}

const chooseWide = (builder: CaseBuilder, row: Row): boolean => {
  if (!row.vex || row.options.has('l0')) return false;
  if (row.options.has('l1')) return true;
  const vectors = row.operands.some((o) => VECTOR_KINDS.includes(o.kind) && /^(x|ps|pd|\/\d.*)$/.test(o.type));
  return vectors && builder.random.chance(50);
};

function immediateBytes(builder: CaseBuilder, encoding: Encoding, type: string): number[] {
  const random = builder.random;
  const count = type === 'b' ? 1 : type === 'w' ? 2 : type === 'z' ? Math.min(4, encoding.size / 8) : encoding.size / 8;
  const bytes = new Uint8Array(8);
  if (count === 1)
    bytes[0] = random.chance(50) ? random.pick([0, 1, 2, 7, 8, 0xf, 0x10, 0x1f, 0x20, 0x3f, 0x7f, 0x80, 0xff]) : random.below(256);
  else fillHostile(random, 'int', bytes, 0, 8);
  return [...bytes.subarray(0, count)];
}

function alignment(row: Row, operand: Operand, bytes: number, lock: boolean): number {
  if (row.options.has('al16')) return 16;
  if (row.options.has('al')) return bytes;
  if (lock) return bytes;
  if (operand.kind === 'Q' && row.options.has('half')) return 8;
  return operand.kind === 'W' && !row.vex && bytes === 16 && !row.options.has('mu') ? 16 : 1;
}

function placeMemory(builder: CaseBuilder, encoding: Encoding, operand: Operand): boolean {
  const { row } = encoding;
  const bytes = operandBytes(operand, encoding.size, encoding.wide);
  const exact = ['env', 'fximage', 'storenv', 'storefx', 'cmpxchg', 'mxcsr', 'fcw'].some((o) => row.options.has(o));
  const inside = ['storenv', 'storefx'].some((o) => row.options.has(o));
  const target = hostileAddress(
    builder.random,
    Math.max(1, bytes),
    alignment(row, operand, bytes, encoding.lock),
    builder.canFault && !inside,
  );
  const wrapped = builder.mode === 32 ? target & 0xffff_ffffn : target;
  encoding.memory = aim(builder, wrapped, exact || builder.sparse);
  encoding.memoryBytes = bytes;
  const at = encoding.memory.address;
  if (at !== undefined && bytes > 0 && (builder.sparse || builder.random.chance(75))) builder.fillMemory(at, bytes, elementOf(operand));
  return !inside || (at !== undefined && at >= BigInt(DATA_BASE) && at + BigInt(bytes) <= BigInt(DATA_BASE + DATA_BYTES));
}

/** VSIB: a base register that points into the middle of the data area and an index register of small numbers. SDM 2A 2.3.12. */
function placeGather(builder: CaseBuilder, encoding: Encoding, operand: Operand): boolean {
  const random = builder.random;
  const registers = builder.mode === 64 ? 16 : 8;
  const base = random.below(registers);
  const index = random.below(registers);
  if (base === 4 || !builder.free(base) || !builder.vectorFree(index)) return false;
  if ((index === encoding.reg || index === encoding.vvvv || encoding.reg === encoding.vvvv) && !random.chance(2)) return false;
  const scale = random.below(4);
  const reach = builder.canFault && random.chance(10) ? 0x2000 : 0x700;
  builder.assign(base, BigInt(DATA_BASE + 0x1000));
  builder.reads(base);
  const step = operand.type === 'd' ? 4 : 8;
  for (const at of [builder.vectorOffset(index, false), builder.vectorOffset(index, true)]) {
    for (let i = 0; i < 16; i += step) {
      const value = random.between(-reach, reach) >> scale;
      for (let b = 0; b < step; b++) builder.state[at + i + b] = b < 4 ? value >> (8 * b) : value < 0 ? 0xff : 0;
    }
  }
  builder.vectorOperand(index, 'kept', false);
  encoding.memory = {
    modrm: 0x44,
    sib: (scale << 6) | ((index & 7) << 3) | (base & 7),
    displacement: random.between(-64, 64),
    displacementBytes: 1,
    x: index >> 3,
    b: base >> 3,
    addressSize: false,
    ripTarget: undefined,
    address: undefined,
  };
  return true;
}

function placeRegister(builder: CaseBuilder, encoding: Encoding, operand: Operand): number {
  const registers = builder.mode === 64 ? 16 : 8;
  const i = builder.random.below('PQN'.includes(operand.kind) ? 8 : registers);
  if (VECTOR_KINDS.includes(operand.kind)) builder.vectorOperand(i, elementOf(operand), encoding.wide);
  else if ('PQN'.includes(operand.kind)) builder.mmxOperand(i);
  return i;
}

/** Marks a general operand as used. A byte register 4-7 without REX is AH-BH. */
function useGeneral(builder: CaseBuilder, i: number, operand: Operand, rex: boolean): void {
  builder.operand(operand.type === 'b' && !rex && i >= 4 && i < 8 ? i - 4 : i);
}

function placeOperand(builder: CaseBuilder, encoding: Encoding, operand: Operand): boolean {
  const inMemory = 'MX'.includes(operand.kind) || ('EWQ'.includes(operand.kind) && builder.random.chance(builder.sparse ? 35 : 50));
  switch (operand.kind) {
    case 'I':
      encoding.immediate.push(...immediateBytes(builder, encoding, operand.type));
      return true;
    case 'X':
      return placeGather(builder, encoding, operand);
    case 'G':
    case 'V':
    case 'P':
      encoding.reg = placeRegister(builder, encoding, operand);
      return true;
    case 'B':
    case 'H':
      encoding.vvvv = placeRegister(builder, encoding, operand);
      return true;
    case 'L':
      encoding.immediate.push(placeRegister(builder, encoding, operand) << 4);
      return true;
    case 'Z':
      encoding.opcodeRegister = placeRegister(builder, encoding, operand);
      return true;
    case 'O':
      encoding.moffs = hostileAddress(builder.random, encoding.size / 8, 1, builder.canFault);
      builder.fillMemory(encoding.moffs, encoding.size / 8, 'int');
      return true;
    case '1':
    case 'CL':
      return true;
    default:
      if (inMemory) return placeMemory(builder, encoding, operand);
      encoding.rm = placeRegister(builder, encoding, operand);
      return true;
  }
}

function vexBytes(builder: CaseBuilder, encoding: Encoding, w: number, r: number, x: number, b: number): number[] {
  const { row } = encoding;
  const pp = row.prefix === 0x66 ? 1 : row.prefix === 0xf3 ? 2 : row.prefix === 0xf2 ? 3 : 0;
  const vvvv = (encoding.vvvv < 0 ? 15 : ~encoding.vvvv & 15) << 3;
  // Scalar instructions ignore VEX.L.
  const ignoresL = row.options.has('v2s') || row.options.has('v3s') || row.options.has('lig');
  const low = vvvv | (encoding.wide || (ignoresL && !builder.sparse && builder.random.chance(10)) ? 4 : 0) | pp;
  if (row.map === 1 && w === 0 && x === 0 && b === 0 && !builder.random.chance(15)) return [0xc5, ((r ^ 1) << 7) | low];
  return [0xc4, ((r ^ 1) << 7) | ((x ^ 1) << 6) | ((b ^ 1) << 5) | row.map, (w << 7) | low];
}

function legacyPrefixes(builder: CaseBuilder, encoding: Encoding): number[] {
  const { row } = encoding;
  const random = builder.random;
  const prefixes: number[] = [];
  if (encoding.memory?.addressSize) prefixes.push(0x67);
  if (!builder.sparse && random.chance(3)) prefixes.push(random.pick([0x26, 0x2e, 0x36, 0x3e]));
  if (!builder.sparse && random.chance(1)) prefixes.push(...prefixes, random.pick([0x26, 0x2e, 0x36, 0x3e]));
  // REX counts only directly before the opcode.
  if (!builder.sparse && random.chance(1) && builder.mode === 64) prefixes.push(0x40 | random.below(16), 0x3e);
  if (row.vex) return prefixes;
  if (encoding.size === 16 && row.prefix !== 0x66) prefixes.push(0x66);
  const plain =
    row.group === 'base' && row.map === 0 && row.prefix === 0 && !encoding.lock && (row.opcode & 0xf8) !== 0x90 && row.opcode !== 0xf1;
  if (!builder.sparse && plain) {
    if (encoding.size === 8 && random.chance(2)) prefixes.push(0x66);
    else if (random.chance(1)) prefixes.push(random.pick([0xf2, 0xf3]));
  }
  if (encoding.lock) prefixes.push(0xf0);
  if (row.prefix !== 0) prefixes.push(row.prefix);
  return prefixes;
}

const MAP_BYTES = [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]];

function assemble(builder: CaseBuilder, encoding: Encoding, rexWanted: boolean): number[] {
  const { row, memory } = encoding;
  const random = builder.random;
  const general64 = encoding.size === 64 && !row.options.has('f64');
  const wig = row.vex && !row.options.has('w0') && !row.options.has('w1') && !row.operands.some((o) => o.type === 'y');
  const w = row.options.has('w1') || general64 ? 1 : wig && !builder.sparse && !row.options.has('lengths') && random.chance(10) ? 1 : 0;
  const r = encoding.reg >> 3;
  const x = memory === undefined ? 0 : memory.x;
  const b = memory !== undefined ? memory.b : (encoding.opcodeRegister >= 0 ? encoding.opcodeRegister : encoding.rm) >> 3;
  const bytes = legacyPrefixes(builder, encoding);
  if (row.vex) {
    bytes.push(...vexBytes(builder, encoding, w, r, x, b));
  } else {
    const rex = (w << 3) | (r << 2) | (x << 1) | b;
    if (builder.mode === 64 && (rex !== 0 || rexWanted)) bytes.push(0x40 | rex);
    bytes.push(...MAP_BYTES[row.map]);
  }
  bytes.push(row.opcode + (encoding.opcodeRegister >= 0 ? encoding.opcodeRegister & 7 : 0));
  if (row.modrm >= 0) bytes.push(row.modrm + (row.plusStack ? random.below(8) : 0));
  else if (memory !== undefined || row.digit >= 0 || row.operands.some((o) => 'GVPERUNWQ'.includes(o.kind))) {
    const reg = row.digit >= 0 ? row.digit : encoding.reg & 7;
    bytes.push((memory === undefined ? 0xc0 | (encoding.rm & 7) : memory.modrm) | (reg << 3));
    if (memory !== undefined && memory.sib >= 0) bytes.push(memory.sib);
  }
  return bytes;
}

function pushLittle(bytes: number[], value: number, count: number): void {
  for (let i = 0; i < count; i++) bytes.push((value >> (8 * i)) & 0xff);
}

function appendOperandBytes(builder: CaseBuilder, encoding: Encoding, bytes: number[]): void {
  const { memory, moffs } = encoding;
  if (moffs !== undefined) {
    pushLittle(bytes, Number(moffs & 0xffff_ffffn) | 0, 4);
    if (builder.mode === 64) pushLittle(bytes, Number(moffs >> 32n) | 0, 4);
  }
  if (memory !== undefined) {
    const end = builder.at + bytes.length + memory.displacementBytes + encoding.immediate.length;
    pushLittle(bytes, memory.ripTarget === undefined ? memory.displacement : memory.ripTarget - end, memory.displacementBytes);
  }
  bytes.push(...encoding.immediate);
}

/** Undefined flags of this very instance: shifts depend on the count. */
function effect(builder: CaseBuilder, encoding: Encoding): FlagEffect | undefined {
  const { row } = encoding;
  const kind = [...row.options].find((o) => o.startsWith('shift='));
  if (kind === undefined) return row.flags;
  return shiftEffect(builder, encoding, kind.slice(6));
}

export function encodeRow(builder: CaseBuilder, row: Row): boolean {
  const { vectorsOnFault, tolerance } = builder.undefined;
  const ranges = builder.undefined.memory.length;
  if (tryRow(builder, row)) return true;
  Object.assign(builder.undefined, { vectorsOnFault, tolerance });
  builder.undefined.memory.length = ranges;
  return false;
}

function tryRow(builder: CaseBuilder, row: Row): boolean {
  if ((row.flags.read & builder.undefinedFlags('flags')) !== 0 || (row.fsw.read & builder.undefinedFlags('fsw')) !== 0) return false;
  const random = builder.random;
  const lock = row.options.has('lock') && random.chance(12);
  const encoding: Encoding = {
    row,
    size: chooseSize(builder, row),
    wide: chooseWide(builder, row),
    lock,
    reg: 0,
    rm: 0,
    vvvv: -1,
    memory: undefined,
    memoryBytes: 0,
    opcodeRegister: -1,
    immediate: [],
    moffs: undefined,
  };
  if (row.operands.some((o) => o.kind === 'CL') && builder.free(1)) {
    builder.assign(1, BigInt(random.chance(60) ? random.below(12) : random.pick([15, 16, 17, 31, 32, 33, 63, 64, 65, 0x80, 0xff])));
  }
  if (row.operands.some((o) => o.kind === 'CL')) builder.reads(1);
  // VSIB looks at the other registers, so it goes last.
  const order = row.operands.some((o) => o.kind === 'X') ? [0, 2, 1].map((i) => row.operands[i]) : row.operands;
  for (const operand of order) if (!placeOperand(builder, encoding, operand)) return false;
  if (encoding.lock && encoding.memory === undefined && !random.chance(3)) encoding.lock = false;
  if (!builder.canFault && encoding.memory === undefined) encoding.lock = false;
  const byteRegister = row.operands.some((o) => o.type === 'b' && 'EGZR'.includes(o.kind));
  const rex = builder.mode === 64 && random.chance(byteRegister ? 30 : builder.sparse ? 0 : 3);
  if (!prepare(builder, encoding)) return false;
  const flags = effect(builder, encoding);
  if (flags === undefined) return false;
  const bytes = assemble(builder, encoding, rex);
  appendOperandBytes(builder, encoding, bytes);
  if (bytes.length > builder.room || bytes.length > 15) return false;
  const hasRex =
    rex || encoding.reg > 7 || encoding.rm > 7 || (encoding.memory !== undefined && (encoding.memory.x | encoding.memory.b) !== 0);
  for (const operand of row.operands) {
    if (operand.kind === 'G') useGeneral(builder, encoding.reg, operand, hasRex);
    if (operand.kind === 'B') builder.operand(encoding.vvvv);
    if (operand.kind === 'Z') useGeneral(builder, encoding.opcodeRegister, operand, hasRex || encoding.opcodeRegister > 7);
    if ((operand.kind === 'E' || operand.kind === 'R') && encoding.memory === undefined) useGeneral(builder, encoding.rm, operand, hasRex);
  }
  for (const i of row.implied) builder.operand(i);
  builder.append(row.name, bytes, flags, row.fsw);
  if (row.options.has('last')) builder.ended = true;
  return true;
}
