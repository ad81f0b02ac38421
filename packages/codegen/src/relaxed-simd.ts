// Relaxed SIMD (WebAssembly 3.0, 2.2.4): does this engine take it, and what does it make of it? On x86 its multiply-add is fused where the CPU has FMA.

import type { Type } from '@anillo/ir/ops';
import { FunctionCode } from './function-code.ts';
import { ModuleWriter } from './module-writer.ts';
import { opcodeOf } from './wasm-opcodes.ts';

function moduleOf(params: readonly Type[], result: Type, write: (f: FunctionCode) => void): Uint8Array<ArrayBuffer> {
  const module = new ModuleWriter();
  const f = new FunctionCode(params.length);
  write(f);
  module.define(module.declare({ params, results: [result] }, 'probe'), f);
  return module.finish();
}

/** The relaxed a * b + c. */
const makeFuseProbe = (): Uint8Array<ArrayBuffer> =>
  moduleOf(['f64', 'f64', 'f64'], 'f64', (f) => {
    for (const parameter of [0, 1, 2]) {
      f.get(parameter);
      f.op(opcodeOf('f64x2.splat'));
    }
    f.op(opcodeOf('f64x2.relaxed_madd'));
    f.op(opcodeOf('f64x2.extract_lane'));
    f.code.u8(0);
  });

/** Byte 0 of the relaxed swizzle of bytes 1 to 16 with an index. */
const makeSwizzleProbe = (): Uint8Array<ArrayBuffer> =>
  moduleOf(['i32'], 'i32', (f) => {
    f.op(opcodeOf('v128.const'));
    f.code.append(Uint8Array.from({ length: 16 }, (_, i) => i + 1));
    f.get(0);
    f.op(opcodeOf('i8x16.splat'));
    f.op(opcodeOf('i8x16.relaxed_swizzle'));
    f.op(opcodeOf('i8x16.extract_lane_u'));
    f.code.u8(0);
  });

interface Engine {
  validate(bytes: Uint8Array<ArrayBuffer>): boolean;
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => unknown;
  readonly Instance: new (module: unknown) => { readonly exports: Readonly<Record<string, unknown>> };
}
const engine = (): Engine => (globalThis as unknown as { readonly WebAssembly: Engine }).WebAssembly;

export interface RelaxedSimd {
  readonly isThere: boolean;
  /** The relaxed swizzle is `i8x16.pick`, x86's PSHUFB. */
  readonly picks: boolean;
  /** The relaxed multiply-add rounds once. */
  readonly fuses: boolean;
}
/** For code that is made before its host is known. */
export const NO_RELAXED_SIMD: RelaxedSimd = { isThere: false, picks: false, fuses: false };

function probe(): RelaxedSimd {
  const { validate, Module, Instance } = engine();
  const [fuseBytes, pickBytes] = [makeFuseProbe(), makeSwizzleProbe()];
  if (!validate(fuseBytes) || !validate(pickBytes)) return NO_RELAXED_SIMD;
  const fuse = new Instance(new Module(fuseBytes)).exports.probe as (a: number, b: number, c: number) => number;
  const pick = new Instance(new Module(pickBytes)).exports.probe as (index: number) => number;
  // (1 + u)^2 - (1 + 2u) is u^2 when rounded once, else 0.
  const u = 2 ** -30;
  const picks = Array.from({ length: 256 }, (_, index) => pick(index) === (index < 128 ? (index & 15) + 1 : 0));
  return { isThere: true, picks: picks.every((isSame) => isSame), fuses: fuse(1 + u, 1 + u, -(1 + 2 * u)) === u * u };
}

let known: RelaxedSimd | undefined;
/**
 * This host's. Not to be asked while modules are evaluated or the runtime module is made: a start-up snapshot can hold no WebAssembly objects, even ones that
 * nobody needs any more.
 */
export function hostRelaxedSimd(): RelaxedSimd {
  known ??= probe();
  return known;
}
