// Relaxed SIMD (WebAssembly 3.0, 2.2.4): does this engine take it, and is its multiply-add fused? On x86 it is where the CPU has FMA.
// Engines without get a multiplication and an addition, and a vCPU whose `hostFuses` is 0.

import { FunctionCode } from './function-code.ts';
import { ModuleWriter } from './module-writer.ts';
import { opcodeOf } from './wasm-opcodes.ts';

/** A module whose `fuse(a, b, c)` is the relaxed a * b + c. */
function makeProbe(): Uint8Array<ArrayBuffer> {
  const module = new ModuleWriter();
  const fuse = module.declare({ params: ['f64', 'f64', 'f64'], results: ['f64'] }, 'fuse');
  const f = new FunctionCode(3);
  for (const parameter of [0, 1, 2]) {
    f.get(parameter);
    f.op(opcodeOf('f64x2.splat'));
  }
  f.op(opcodeOf('f64x2.relaxed_madd'));
  f.op(opcodeOf('f64x2.extract_lane'));
  f.code.u8(0);
  module.define(fuse, f);
  return module.finish();
}

interface Engine {
  validate(bytes: Uint8Array<ArrayBuffer>): boolean;
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => unknown;
  readonly Instance: new (module: unknown) => { readonly exports: Readonly<Record<string, unknown>> };
}
const engine = (): Engine => (globalThis as unknown as { readonly WebAssembly: Engine }).WebAssembly;

export const HAS_RELAXED_SIMD: boolean = engine().validate(makeProbe());

/** Asked each time anew: the program may have been prepared on another CPU. */
export function hostFuses(): boolean {
  if (!HAS_RELAXED_SIMD) return false;
  const { Module, Instance } = engine();
  const fuse = new Instance(new Module(makeProbe())).exports.fuse as (a: number, b: number, c: number) => number;
  // (1 + u)^2 - (1 + 2u) is u^2 when rounded once, else 0.
  const u = 2 ** -30;
  return fuse(1 + u, 1 + u, -(1 + 2 * u)) === u * u;
}
