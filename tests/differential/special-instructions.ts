// Instructions that a row cannot describe: strings, branches, stack frames, and encodings that must raise #UD. Each emits one instruction or a short
// fixed group that makes sense only together (PUSH imm; POPF).

import type { CaseBuilder } from './case-builder.ts';
import { hostileAddress } from './hostile-values.ts';
import { DATA_BASE, PAGE_BYTES } from './memory-map.ts';
import { emitRandomBytes } from './random-bytes.ts';
import { FLAG, type FlagEffect, type Mode, STATUS_FLAGS } from './test-case.ts';

export interface SpecialInstruction {
  readonly name: string;
  readonly group: string;
  readonly mode?: Mode;
  /** Returns false, having appended nothing, where it does not fit. */
  emit(builder: CaseBuilder): boolean;
}

const RAX = 0;
const RCX = 1;
const RBX = 3;
const RSP = 4;
const RBP = 5;
const RSI = 6;
const RDI = 7;
const effect = (read: number, written: number, left: number): FlagEffect => ({ read, written, undefined: left });
const little = (value: number, bytes: number): number[] => Array.from({ length: bytes }, (_, i) => (value >> (8 * i)) & 0xff);

const STRINGS = [
  { name: 'movs', opcode: 0xa4, source: true, destination: true, compares: false },
  { name: 'cmps', opcode: 0xa6, source: true, destination: true, compares: true },
  { name: 'stos', opcode: 0xaa, source: false, destination: true, compares: false },
  { name: 'lods', opcode: 0xac, source: true, destination: false, compares: false },
  { name: 'scas', opcode: 0xae, source: false, destination: true, compares: true },
] as const;

/** Makes runs of equal elements, or REPE would always stop at once. */
function equalRuns(builder: CaseBuilder, form: (typeof STRINGS)[number], from: bigint, to: bigint): void {
  const random = builder.random;
  const length = random.below(40);
  for (let i = -length; i < length; i++) {
    const at = Number(to) - DATA_BASE + i;
    const source = Number(from) - DATA_BASE + i;
    const inside = (x: number): boolean => x >= 0 && x < builder.data.length;
    if (!inside(at)) continue;
    if (!form.source) builder.data[at] = Number((builder.gpr(RAX) >> BigInt((i & 7) * 8)) & 0xffn);
    else if (inside(source)) builder.data[at] = builder.data[source];
  }
}

function emitString(builder: CaseBuilder, form: (typeof STRINGS)[number]): boolean {
  const random = builder.random;
  const log = random.below(builder.mode === 64 ? 4 : 3);
  const bytes = 1 << log;
  const repeat = random.chance(60);
  const used = [form.source ? RSI : -1, form.destination ? RDI : -1].filter((i) => i >= 0);
  if (used.some((i) => !builder.free(i)) || (repeat && !builder.free(RCX)))
    return random.chance(2) && !repeat && stringBytes(builder, form, log, false, false, used);
  const place = (): bigint => hostileAddress(random, bytes, random.chance(60) ? bytes : 1, builder.canFault && random.chance(30));
  const from = place();
  const to = random.chance(15) ? from + BigInt(random.between(-16, 16)) : place();
  if (form.source) builder.assign(RSI, from);
  if (form.destination) builder.assign(RDI, form.source ? to : from);
  if (builder.sparse) builder.assign(RAX, random.u64());
  if (form.compares && random.chance(60)) equalRuns(builder, form, from, form.source ? to : from);
  const large = builder.canFault && random.chance(4);
  if (repeat)
    builder.assign(
      RCX,
      BigInt(large ? random.pick([0x1000, 0x10000, 0x7fffffff]) : random.pick([0, 1, 2, 3, random.below(24), random.below(64)])),
    );
  return stringBytes(builder, form, log, repeat, builder.mode === 64 && random.chance(5), used);
}

function stringBytes(
  builder: CaseBuilder,
  form: (typeof STRINGS)[number],
  log: number,
  repeat: boolean,
  shortAddress: boolean,
  used: number[],
): boolean {
  const code: number[] = [];
  if (shortAddress) code.push(0x67);
  if (log === 1) code.push(0x66);
  if (repeat) code.push(form.compares && builder.random.chance(50) ? 0xf2 : 0xf3);
  if (log === 3) code.push(0x48);
  code.push(form.opcode + (log > 0 ? 1 : 0));
  for (const i of [...used, RAX, ...(repeat ? [RCX] : [])]) builder.operand(i);
  builder.append(`${repeat ? 'rep ' : ''}${form.name}`, code, effect(0, form.compares && !repeat ? STATUS_FLAGS : 0, 0));
  return true;
}

/** MOV r32, imm32: jumped over or not, the register tells. */
function filler(builder: CaseBuilder): number[] {
  const register = builder.random.pick([2, 3, 6, 7]);
  builder.operand(register);
  return [0xb8 + register, ...little(builder.random.u32(), 4)];
}

const CONDITION_READS = [FLAG.of, FLAG.cf, FLAG.zf, FLAG.cf | FLAG.zf, FLAG.sf, FLAG.pf, FLAG.sf | FLAG.of, FLAG.zf | FLAG.sf | FLAG.of];

function emitConditional(builder: CaseBuilder): boolean {
  const condition = builder.random.below(16);
  const read = CONDITION_READS[condition >> 1];
  if ((read & builder.undefinedFlags('flags')) !== 0) return false;
  const skipped = filler(builder);
  const short = builder.random.chance(60);
  const jump = short ? [0x70 + condition, skipped.length] : [0x0f, 0x80 + condition, skipped.length, 0, 0, 0];
  builder.append('jcc', [...jump, ...skipped], effect(read, 0, 0));
  return true;
}

function emitLoop(builder: CaseBuilder): boolean {
  const opcode = builder.random.pick([0xe0, 0xe1, 0xe2, 0xe3]);
  const read = opcode < 0xe2 ? FLAG.zf : 0;
  if ((read & builder.undefinedFlags('flags')) !== 0) return false;
  builder.assign(RCX, builder.random.pick([0n, 1n, 2n, 0x1_0000_0000n, 0x1_0000_0001n, 0x8000_0000n, builder.random.u64()]));
  builder.operand(RCX);
  const skipped = filler(builder);
  const prefix = builder.random.chance(15) ? [0x67] : [];
  builder.append(['loopne', 'loope', 'loop', 'jrcxz'][opcode - 0xe0], [...prefix, opcode, skipped.length, ...skipped], effect(read, 0, 0));
  return true;
}

function emitJump(builder: CaseBuilder): boolean {
  const skipped = filler(builder);
  const form = builder.random.below(3);
  if (form === 0) builder.append('jmp', [0xeb, skipped.length, ...skipped]);
  else if (form === 1) builder.append('jmp', [0xe9, skipped.length, 0, 0, 0, ...skipped]);
  else {
    builder.movable = false;
    builder.operand(RSP);
    builder.append('call', [0xe8, skipped.length, 0, 0, 0, ...skipped]);
  }
  return true;
}

/** MOV EAX, target; JMP or CALL RAX. */
function emitIndirect(builder: CaseBuilder): boolean {
  const skipped = filler(builder);
  const call = builder.random.chance(40);
  builder.movable = false;
  const target = builder.at + 5 + 2 + skipped.length;
  builder.operand(RAX);
  if (call) builder.operand(RSP);
  builder.append(call ? 'call r' : 'jmp r', [0xb8, ...little(target, 4), 0xff, call ? 0xd0 : 0xe0, ...skipped]);
  return true;
}

/** PUSH target; RET. */
function emitReturn(builder: CaseBuilder): boolean {
  const skipped = filler(builder);
  const release = builder.random.chance(40) ? builder.random.below(32) * 8 : -1;
  const ret = release < 0 ? [0xc3] : [0xc2, ...little(release, 2)];
  builder.movable = false;
  builder.operand(RSP);
  builder.append('ret', [0x68, ...little(builder.at + 5 + ret.length + skipped.length, 4), ...ret, ...skipped]);
  return true;
}

/** A jump to an address that is not canonical: the branch itself faults, before it has pushed or popped anything. */
function emitNonCanonicalJump(builder: CaseBuilder): boolean {
  if (!builder.canFault) return false;
  builder.operand(RAX);
  builder.operand(RSP);
  const target = [...little(builder.random.u32(), 4), ...little(builder.random.pick([0x8000, 0x10000, 0x7fff_ffff, 0xfffe_ffff]), 4)];
  const branch = builder.random.pick([
    [0xff, 0xe0],
    [0xff, 0xd0],
    [0x50, 0xc3],
    [0x50, 0xc2, 8, 0],
    [0x50, 0xff, 0x24, 0x24],
    [0x50, 0xff, 0x14, 0x24],
  ]);
  builder.append('jmp far off', [0x48, 0xb8, ...target, ...branch]);
  builder.ended = true;
  return true;
}

/** A jump to where nothing may be executed. */
function emitWildJump(builder: CaseBuilder): boolean {
  if (!builder.canFault) return false;
  builder.operand(RAX);
  const target = builder.random.pick([DATA_BASE + builder.random.below(PAGE_BYTES), DATA_BASE - PAGE_BYTES, 0, DATA_BASE + 8 * PAGE_BYTES]);
  builder.append('jmp wild', [0xb8, ...little(target, 4), 0xff, 0xe0]);
  builder.ended = true;
  return true;
}

function emitPopFlags(builder: CaseBuilder): boolean {
  const random = builder.random;
  let flags = random.u32() & (STATUS_FLAGS | FLAG.df | FLAG.if | 0x3000 | 2 | 8);
  if (random.chance(5)) flags |= FLAG.nt;
  if (random.chance(5)) flags |= FLAG.id;
  if (builder.canFault && random.chance(2)) flags |= FLAG.ac;
  const trap = builder.canFault && random.chance(3);
  if (trap) flags |= FLAG.tf;
  builder.operand(RSP);
  const wide = random.chance(80);
  const code = wide ? [0x68, ...little(flags, 4), 0x9d] : [0x66, 0x68, ...little(flags, 2), 0x66, 0x9d];
  // The trap comes after the instruction that follows.
  builder.append('popf', trap ? [...code, 0x90] : code, effect(0, STATUS_FLAGS, 0));
  if (trap) builder.ended = true;
  return true;
}

function emitEnter(builder: CaseBuilder): boolean {
  if (!builder.known(RSP)) return false;
  const random = builder.random;
  if (!builder.assign(RBP, BigInt(DATA_BASE + PAGE_BYTES + 8 * random.between(0x20, 0x100)))) return false;
  builder.operand(RBP);
  builder.operand(RSP);
  const prefix = random.chance(15) ? [0x66] : [];
  builder.append('enter', [...prefix, 0xc8, ...little(random.below(64) * 8, 2), random.pick([0, 0, 0, 1, 2, 3, 32, 33])]);
  return true;
}

function emitLeave(builder: CaseBuilder): boolean {
  const placed = builder.assign(RBP, BigInt(DATA_BASE + PAGE_BYTES + 8 * builder.random.between(0, 0x180)));
  if (!placed && !builder.random.chance(5)) return false;
  builder.operand(RBP);
  builder.operand(RSP);
  builder.append('leave', builder.random.chance(15) ? [0x66, 0xc9] : [0xc9]);
  return true;
}

function emitXlat(builder: CaseBuilder): boolean {
  if (!builder.assign(RBX, hostileAddress(builder.random, 256, 1, builder.canFault)) && !builder.random.chance(5)) return false;
  builder.reads(RBX);
  builder.operand(RAX);
  builder.append('xlat', [...(builder.random.chance(10) ? [0x67] : []), 0xd7]);
  return true;
}

/** CALL and JMP through memory. */
function emitMemoryBranch(builder: CaseBuilder): boolean {
  // An earlier instruction may have written where the target is.
  if (builder.instructions.length > 0) return false;
  const skipped = filler(builder);
  const at = 8 * builder.random.below(builder.data.length / 8);
  const call = builder.random.chance(50);
  const code = [0xff, call ? 0x14 : 0x24, 0x25, ...little(DATA_BASE + at, 4)];
  const target = builder.at + code.length + skipped.length;
  for (let i = 0; i < 8; i++) builder.data[at + i] = i < 4 ? (target >> (8 * i)) & 0xff : 0;
  builder.movable = false;
  if (call) builder.operand(RSP);
  builder.append(call ? 'call m' : 'jmp m', [...code, ...skipped]);
  return true;
}

const ILLEGAL_64 = [0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f, 0x37, 0x3f, 0x60, 0x61, 0x9a, 0xce, 0xd4, 0xd5, 0xd6, 0xea];
const ILLEGAL = [
  [0xf0, 0x90],
  [0xf0, 0x89, 0xc0],
  [0xf0, 0x01, 0xc8],
  [0xf0, 0x39, 0x00],
  [0xf0, 0x0f, 0xa3, 0x08],
  [0xf0, 0x0f, 0x28, 0x00],
  [0x66, 0xc5, 0xf8, 0x28, 0xc1],
  [0xf2, 0xc5, 0xf8, 0x28, 0xc1],
  [0xf3, 0xc5, 0xf8, 0x28, 0xc1],
  [0xf0, 0xc5, 0xf8, 0x28, 0xc1],
  [0xc5, 0xf0, 0x28, 0xc1],
  [0xc5, 0xfc, 0x16, 0xc1],
  [0xc4, 0xe2, 0x78, 0x00, 0xc1],
  [0xc4, 0xe3, 0xfd, 0x06, 0xc1, 0x00],
  [0xc4, 0xe2, 0x7c, 0xf2, 0xc1],
  [0x0f, 0x0b],
  [0x0f, 0xff, 0xc0],
  [0x0f, 0x20, 0xc8, 0x0f, 0x0b],
  [0x8d, 0xc0],
  [0xfe, 0xf8],
  [0xff, 0xf8],
  [0x8c, 0xf8],
  [0xc6, 0xc8, 0x00],
  [0x8f, 0xc8],
  [0x0f, 0xc7, 0xc8],
  [0x0f, 0xba, 0xc0, 0x01],
  [0x0f, 0xae, 0xc0],
  [0xdb, 0xe6],
  [0xd9, 0xd1],
  [0x0f, 0x38, 0x0f, 0xc0],
  [0x0f, 0x3a, 0x00, 0xc0, 0x00],
] as const;

function emitIllegal(builder: CaseBuilder): boolean {
  if (!builder.canFault) return false;
  const code =
    builder.mode === 64 && builder.random.chance(40)
      ? [builder.random.pick(ILLEGAL_64), 0, 0, 0, 0, 0, 0, 0]
      : builder.random.pick(ILLEGAL);
  builder.append('illegal', [...code]);
  builder.ended = true;
  return true;
}

export const SPECIAL_INSTRUCTIONS: readonly SpecialInstruction[] = [
  ...STRINGS.map((form) => ({ name: form.name, group: 'string', emit: (builder: CaseBuilder) => emitString(builder, form) })),
  { name: 'jcc', group: 'branch', emit: emitConditional },
  { name: 'loop', group: 'branch', emit: emitLoop },
  { name: 'jmp', group: 'branch', emit: emitJump },
  { name: 'jmp r', group: 'branch', emit: emitIndirect },
  { name: 'jmp m', group: 'branch', mode: 64, emit: emitMemoryBranch },
  { name: 'jmp wild', group: 'fault', emit: emitWildJump },
  { name: 'jmp far off', group: 'fault', mode: 64, emit: emitNonCanonicalJump },
  { name: 'ret', group: 'branch', emit: emitReturn },
  { name: 'popf', group: 'stack', emit: emitPopFlags },
  { name: 'enter', group: 'stack', emit: emitEnter },
  { name: 'leave', group: 'stack', emit: emitLeave },
  { name: 'xlat', group: 'base', emit: emitXlat },
  { name: 'illegal', group: 'fault', emit: emitIllegal },
  { name: 'bytes', group: 'bytes', emit: emitRandomBytes },
];
