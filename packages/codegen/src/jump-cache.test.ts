import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VcpuHeader } from '@anillo/ir/vcpu-header';
import { FunctionCode } from './function-code.ts';
import { emitContextAt } from './jump-cache.ts';
import { ModuleWriter } from './module-writer.ts';

declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: Record<string, (cpu: number, linear: bigint) => number> };
  readonly Memory: new (descriptor: { initial: number }) => { readonly buffer: ArrayBuffer };
};

test('code at 3 GiB has the number of the upper half where addresses have 32 bits, code with bit 63 where they have 64', () => {
  const module = new ModuleWriter();
  module.importMemory(undefined);
  for (const pcBits of [32, 64, undefined] as const) {
    const f = new FunctionCode(2);
    emitContextAt(f, 0, 1, pcBits);
    module.define(module.declare({ params: ['i32', 'i64'], results: ['i32'] }, `of${pcBits}`), f);
  }
  const memory = new WebAssembly.Memory({ initial: 1 });
  const header = VcpuHeader.view(memory.buffer, 0);
  const instance = new WebAssembly.Instance(new WebAssembly.Module(module.finish()), { env: { memory } });
  const isUpper = (pcBits: 32 | 64 | undefined, linear: bigint): boolean => instance.exports[`of${pcBits}`](0, linear) === 4;
  const KERNEL = -0x8000_0000_0000n;
  const addresses = [0xbfff_ffffn, 0xc000_0000n, 0xffff_ffffn, KERNEL];
  assert.deepEqual(
    addresses.map((linear) => isUpper(64, linear)),
    [false, false, false, true],
  );
  assert.deepEqual(
    addresses.map((linear) => isUpper(undefined, linear)),
    [false, false, false, true],
  );
  assert.deepEqual(
    addresses.slice(0, 3).map((linear) => isUpper(32, linear)),
    [false, false, false],
  );
  header.upperQuarter = 1;
  assert.deepEqual(
    addresses.slice(0, 3).map((linear) => isUpper(32, linear)),
    [false, true, true],
  );
  assert.deepEqual(
    addresses.slice(0, 3).map((linear) => isUpper(undefined, linear)),
    [false, true, true],
  );
});
