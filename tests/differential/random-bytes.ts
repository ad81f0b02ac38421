// Byte strings as code: what the decoder makes of encodings that no table lists. EFLAGS.TF is set, so the CPU stops after one instruction, whose
// length RIP then tells, and every executor has to agree on the exception where there is one. What enters the kernel, reads what only the host knows
// (time, CPUID, descriptor tables, FS and GS), or differs between processors is left out.

import type { CaseBuilder } from './case-builder.ts';
import { DATA_BASE, DATA_BYTES } from './memory-map.ts';
import type { Random } from './random.ts';
import { FLAG, IMAGE, type Mode, setU32, STATUS_FLAGS, u32 } from './test-case.ts';

const LONGEST = 15;
const CONDITION_CODES = 0x4700;
const LEGACY = [0x26, 0x2e, 0x36, 0x3e, 0x66, 0x67, 0xf0, 0xf2, 0xf3];
const isLegacy = (byte: number): boolean => LEGACY.includes(byte) || byte === 0x64 || byte === 0x65;

/** An instruction's bytes, as far as the choice of what to leave out needs them. */
interface Reading {
  readonly prefixes: readonly number[];
  /** 0 to 3, or -1 for VEX. */
  readonly map: number;
  readonly vexMap: number;
  readonly vexWide: boolean;
  readonly opcode: number;
  readonly modrm: number;
}

function read(bytes: readonly number[], mode: Mode): Reading {
  let at = 0;
  const prefixes: number[] = [];
  while (isLegacy(bytes[at]) || (mode === 64 && (bytes[at] & 0xf0) === 0x40)) prefixes.push(bytes[at++]);
  const first = bytes[at];
  const isVex = (first === 0xc4 || first === 0xc5) && (mode === 64 || bytes[at + 1] >= 0xc0);
  if (isVex) {
    const long = first === 0xc4;
    const last = bytes[at + (long ? 2 : 1)];
    const after = at + (long ? 3 : 2);
    return {
      prefixes,
      map: -1,
      vexMap: long ? bytes[at + 1] & 31 : 1,
      vexWide: (last & 4) !== 0,
      opcode: bytes[after],
      modrm: bytes[after + 1],
    };
  }
  let map = 0;
  if (first === 0x0f) {
    map = 1;
    at++;
    if (bytes[at] === 0x38 || bytes[at] === 0x3a) map = bytes[at++] === 0x38 ? 2 : 3;
  }
  return { prefixes, map, vexMap: 0, vexWide: false, opcode: bytes[at], modrm: bytes[at + 1] };
}

/** Interrupts, INT1 (compare.ts) and far transfers; segment registers; AMD's XOP; near branches with 66, which AMD cuts to 16 bits in 64-bit code and Intel does not. */
function isLeftOutOneByte({ opcode, modrm, prefixes }: Reading, mode: Mode): boolean {
  const reg = (modrm >> 3) & 7;
  const isMemory = modrm < 0xc0;
  if ([0xf1, 0x8c, 0x8e, 0x9a, 0xca, 0xcb, 0xcd, 0xcf, 0xea, 0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f].includes(opcode)) return true;
  if (mode === 32 && (opcode === 0xc4 || opcode === 0xc5)) return true;
  if (opcode === 0xff && (reg === 3 || reg === 5)) return true;
  // AMD's XOP, undefined without that, may be too long as such, which is another fault.
  if (opcode === 0x8f && (modrm & 0x1f) >= 8) return true;
  // REP before LOOPE and LOOPNE: AMD takes it for the condition, Intel ignores it.
  if ((opcode & 0xfe) === 0xe0 && (prefixes.includes(0xf2) || prefixes.includes(0xf3))) return true;
  const branches =
    (opcode >= 0x70 && opcode <= 0x7f) || (opcode >= 0xe0 && opcode <= 0xe3) || [0xe8, 0xe9, 0xeb, 0xc2, 0xc3].includes(opcode);
  if (prefixes.includes(0x66) && (branches || (opcode === 0xff && (reg === 2 || reg === 4)))) return true;
  // x87: transcendental functions are approximations; images hold pointers that are not compared; FNSTENV and FLDENV have rows of their own.
  if (opcode === 0xd9) return isMemory ? reg === 4 || reg === 6 : modrm >= 0xf0 && modrm !== 0xf6 && modrm !== 0xf7;
  return opcode === 0xdd && isMemory && (reg === 4 || reg === 6);
}

/** System instructions whose effect is the host's own, RCPPS and RSQRTPS, AMD's SSE4A, images; see isLeftOutOneByte for branches. */
function isLeftOutTwoByte({ opcode, modrm, prefixes }: Reading): boolean {
  const reg = (modrm >> 3) & 7;
  const isMemory = modrm < 0xc0;
  if ([0x00, 0x01, 0x02, 0x03, 0x05, 0x07, 0x31, 0x33, 0x34, 0x35, 0xa0, 0xa1, 0xa2, 0xa8, 0xa9, 0xb2, 0xb4, 0xb5].includes(opcode))
    return true;
  // A prefetch of a register is undefined to AMD and nothing to Intel.
  if ([0x52, 0x53, 0xf7].includes(opcode) || (opcode === 0x0d && !isMemory)) return true;
  // UD0 has a ModRM byte for Intel; LOCK MOV CR0 is CR8 for AMD.
  if (opcode === 0xff || (prefixes.includes(0xf0) && (opcode & 0xfd) === 0x20)) return true;
  if ((opcode & 0xfe) === 0x78 || (opcode === 0x2b && (prefixes.includes(0xf2) || prefixes.includes(0xf3)))) return true;
  if (prefixes.includes(0x66) && ((opcode & 0xf0) === 0x80 || [0xa4, 0xa5, 0xac, 0xad].includes(opcode) || (opcode & 0xf8) === 0xc8))
    return true;
  if (opcode === 0xc7) return isMemory ? reg !== 1 : reg >= 6;
  return opcode === 0xae && (isMemory ? reg !== 3 && reg !== 7 : reg < 4);
}

function isLeftOut(r: Reading, mode: Mode): boolean {
  if (r.prefixes.includes(0x64) || r.prefixes.includes(0x65)) return true;
  if (r.map === 0) return isLeftOutOneByte(r, mode);
  if (r.map === 1) return isLeftOutTwoByte(r);
  if (r.map !== -1) return false;
  // VAES and VPCLMULQDQ of 256 bits are later extensions; VLDMXCSR may meet MXCSR.MM.
  if (r.vexMap === 2) return r.opcode >= 0xdc && r.opcode <= 0xdf && r.vexWide;
  if (r.vexMap === 3) return r.opcode === 0x44 && r.vexWide;
  return [0x52, 0x53, 0xf7, 0xae].includes(r.opcode);
}

function randomBytes(random: Random, mode: Mode): number[] {
  const bytes: number[] = [];
  // Where an undefined instruction becomes one that is too long is the processor's affair; MOV tells.
  if (random.chance(3)) {
    for (let i = random.between(8, 15); i > 0; i--) bytes.push(random.pick(LEGACY.filter((prefix) => prefix !== 0xf0)));
    bytes.push(0x8b);
    while (bytes.length < LONGEST + 1) bytes.push(random.below(256));
    return bytes;
  }
  const prefixCount = random.pick([0, 0, 0, 1, 1, 2, 3]);
  for (let i = 0; i < prefixCount; i++) bytes.push(mode === 64 && random.chance(30) ? 0x40 | random.below(16) : random.pick(LEGACY));
  if (mode === 64 && random.chance(25)) bytes.push(0x40 | random.below(16));
  const kind = random.below(10);
  if (kind >= 4 && kind < 7) bytes.push(0x0f);
  else if (kind === 7) bytes.push(0x0f, random.pick([0x38, 0x3a]));
  else if (kind === 8) bytes.push(0xc5, random.below(256));
  else if (kind === 9) bytes.push(0xc4, (random.u32() & 0xe0) | random.pick([1, 2, 3, 2, 3, random.below(32)]), random.below(256));
  bytes.push(random.below(256));
  // ModRM: half of them name registers, or memory without a long displacement.
  bytes.push(
    random.chance(40)
      ? 0xc0 | random.below(64)
      : random.chance(60)
        ? (random.below(8) << 3) | random.pick([0, 1, 2, 3, 6, 7])
        : random.below(256),
  );
  while (bytes.length < LONGEST + 1) bytes.push(random.chance(20) ? random.pick([0, 0xff, 0x80, 1]) : random.below(256));
  return bytes;
}

export function emitRandomBytes(builder: CaseBuilder): boolean {
  const { random, mode } = builder;
  if (!builder.canFault || builder.sparse || builder.instructions.length > 0) return false;
  const bytes = randomBytes(random, mode);
  if (isLeftOut(read([...bytes, 0, 0, 0, 0], mode), mode)) return false;
  for (let i = 0; i < 16; i++)
    if (i !== 4 && random.chance(55)) builder.assign(i, BigInt(DATA_BASE + 0x200 + random.below(DATA_BYTES - 0x400)));
  if (random.chance(80)) for (const i of [1, 6, 7]) if (random.chance(50)) builder.assign(i, BigInt(DATA_BASE + random.below(DATA_BYTES)));
  setU32(builder.state, IMAGE.rflags, u32(builder.state, IMAGE.rflags) | FLAG.tf);
  const undefinedFlags = { read: 0, written: 0, undefined: STATUS_FLAGS };
  // A gather that faults has done part of its work.
  builder.undefined.vectorsOnFault = 0xffff;
  builder.append('random bytes', bytes, undefinedFlags, { read: 0, written: 0, undefined: CONDITION_CODES });
  builder.ended = true;
  return true;
}
