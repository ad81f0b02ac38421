// Aims a memory operand: given the linear address it shall have, finds base, index, scale and displacement among registers whose values are known,
// in every form that ModRM and SIB have. SDM 2A 2.1.5, 2.2.1.3 (address size), 2.2.1.6 (RIP-relative).

import type { CaseBuilder } from './case-builder.ts';

export interface AddressOperand {
  /** mod and rm fields (mod << 6 | rm), SIB (or -1), displacement and its size in bytes. */
  readonly modrm: number;
  readonly sib: number;
  readonly displacement: number;
  readonly displacementBytes: 0 | 1 | 2 | 4;
  /** REX.X and REX.B. */
  readonly x: number;
  readonly b: number;
  /** 67 prefix. */
  readonly addressSize: boolean;
  /** The displacement is relative to the instruction's end: `target` minus that. */
  readonly ripTarget: number | undefined;
  /** The linear address aimed at; undefined where no register could be aimed. */
  readonly address: bigint | undefined;
}

const fitsSigned = (value: bigint, bits: number): boolean => BigInt.asIntN(bits, value) === value;

function registers(builder: CaseBuilder): number[] {
  const all: number[] = [];
  for (let i = 0; i < (builder.mode === 64 ? 16 : 8); i++) if (builder.known(i)) all.push(i);
  return all;
}

interface Parts {
  readonly base: number;
  readonly index: number;
  readonly scale: number;
}

function absolute(builder: CaseBuilder, target: bigint, addressSize: boolean): AddressOperand {
  const low = Number(BigInt.asIntN(32, target));
  const common = { displacement: low, displacementBytes: 4, x: 0, b: 0, addressSize, address: target } as const;
  if (builder.mode === 32) return { ...common, modrm: 5, sib: -1, ripTarget: undefined };
  const reachable = target >= 0n && target < 0x7000_0000n;
  if (reachable && builder.random.chance(60)) {
    builder.movable = false;
    return { ...common, modrm: 5, sib: -1, ripTarget: Number(target) };
  }
  // A target that no displacement reaches becomes whatever its low half sign-extends to.
  const extended = BigInt.asUintN(addressSize ? 32 : 64, BigInt(low));
  return { ...common, modrm: 4, sib: 0x25, ripTarget: undefined, address: extended };
}

function encodeParts(
  builder: CaseBuilder,
  { base, index, scale }: Parts,
  displacement: number,
  addressSize: boolean,
  address: bigint,
): AddressOperand {
  const random = builder.random;
  const noBase = base < 0;
  let displacementBytes: 0 | 1 | 4 = 4;
  if (!noBase && displacement === 0 && (base & 7) !== 5 && !random.chance(10)) displacementBytes = 0;
  else if (!noBase && displacement >= -128 && displacement < 128 && !random.chance(15)) displacementBytes = 1;
  const mod = noBase || displacementBytes === 0 ? 0 : displacementBytes === 1 ? 1 : 2;
  const needsSib = index >= 0 || noBase || (base & 7) === 4 || random.chance(8);
  const common = { displacement, displacementBytes, addressSize, address, ripTarget: undefined, b: noBase ? 0 : base >> 3 } as const;
  if (!needsSib) return { ...common, modrm: (mod << 6) | (base & 7), sib: -1, x: 0 };
  const sib = (scale << 6) | ((index < 0 ? 4 : index & 7) << 3) | (noBase ? 5 : base & 7);
  return { ...common, modrm: (mod << 6) | 4, sib, x: index < 0 ? 0 : index >> 3 };
}

function choose(builder: CaseBuilder): Parts {
  const random = builder.random;
  const candidates = registers(builder);
  const base = candidates.length > 0 && random.chance(90) ? random.pick(candidates) : -1;
  const indexes = candidates.filter((i) => i !== 4);
  const index = indexes.length > 0 && (base < 0 || random.chance(50)) ? random.pick(indexes) : -1;
  return { base, index, scale: index < 0 && builder.sparse ? 0 : random.below(4) };
}

/** Aims at `target`; `needKnown` insists on it, otherwise one operand in a hundred goes astray. */
export function aim(builder: CaseBuilder, target: bigint, needKnown: boolean): AddressOperand {
  const random = builder.random;
  const addressSize = builder.mode === 64 && random.chance(builder.sparse ? 2 : 6);
  const width = builder.mode === 32 || addressSize ? 32 : 64;
  if (!needKnown && builder.canFault && random.chance(1)) return stray(builder, addressSize);
  for (let attempt = 0; attempt < 4; attempt++) {
    const parts = choose(builder);
    if (parts.base < 0 && parts.index < 0) break;
    const value = (i: number): bigint => (i < 0 ? 0n : builder.gpr(i));
    const scaled = (): bigint => value(parts.index) << BigInt(parts.scale);
    let displacement = BigInt.asIntN(width, target - value(parts.base) - scaled());
    const canSet = parts.base >= 0 && parts.base !== parts.index && parts.base !== 4 && builder.free(parts.base);
    if (canSet && (builder.sparse || random.chance(60))) {
      displacement = BigInt(random.pick([0, 0, random.between(-128, 127), random.between(-128, 127), random.between(-0x8000, 0x7fff)]));
      builder.assign(parts.base, target - displacement - scaled());
    }
    if (!fitsSigned(displacement, 32)) continue;
    for (const i of [parts.base, parts.index]) if (i >= 0) builder.reads(i);
    const address = width === 32 ? target & 0xffff_ffffn : target;
    return encodeParts(builder, parts, Number(displacement), addressSize, address);
  }
  return absolute(builder, target, addressSize);
}

/** Any ModRM and SIB with whatever the registers hold: mostly a fault. */
function stray(builder: CaseBuilder, addressSize: boolean): AddressOperand {
  const random = builder.random;
  const parts: Parts = {
    base: random.below(builder.mode === 64 ? 16 : 8),
    index: random.pick([-1, 0, 1, 2, 3, 5, 6, 7]),
    scale: random.below(4),
  };
  for (const i of [parts.base, parts.index]) if (i >= 0) builder.reads(i);
  return { ...encodeParts(builder, parts, random.pick([0, 1, -1, random.u32() | 0]), addressSize, 0n), address: undefined };
}
