// The TLB is filled by generated code and by the host (`VcpuTlb.fill`): they must leave the same behind.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildRuntime } from '@anillo/codegen/runtime-module';
import { TlbEntry, tlbEntryOffset, TlbSpace } from '@anillo/codegen/tlb-layout';
import { routine } from '@anillo/ir/callee';
import { WALK } from '@anillo/ir/frontend';
import { VcpuHeader } from '@anillo/ir/vcpu-header';
import { CodePages } from './code-pages.ts';
import { planMemory } from './memory-plan.ts';
import { VcpuTlb } from './vcpu-tlb.ts';

declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: Record<string, unknown> };
  readonly Memory: new (descriptor: { initial: number }) => { readonly buffer: ArrayBuffer };
  readonly Table: new (descriptor: { initial: number; element: 'anyfunc' }) => object;
};

const plan = planMemory(1, [{ start: 0, byteCount: 0x10000, kind: 'ram' }]);
const walk = routine({
  ...{ name: 'noWalk', params: ['i64', 'i32'], result: 'i32', reads: 'none', writes: 'none', traps: false },
  build: (b) => b.i32(0),
});
const { bytes } = buildRuntime({ routines: [], helpers: [], walk: { routine: walk, granulesAt: plan.granulesAt } });
const HIGH = -1;
const CODE_PAGE = 0x5000;
const LARGE_BYTES = 0x40_0000;

function rig(upperQuarter: number) {
  const memory = new WebAssembly.Memory({ initial: plan.pageCount });
  const { buffer } = memory;
  const vcpu = plan.vcpuAt(0);
  const header = VcpuHeader.view(buffer, vcpu);
  const tlb = new VcpuTlb(buffer, plan, 0);
  header.upperQuarter = upperQuarter;
  const codePages = new CodePages(buffer, plan.granulesAt, plan.pageCount * 65536);
  codePages.add(CODE_PAGE, 8);
  const table = new WebAssembly.Table({ initial: 1, element: 'anyfunc' });
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory, table }, host: { memory_miss: () => 0 } });
  const generated = instance.exports.tlbFill as (cpu: number, linear: bigint, found: number) => number;
  const words = (at: number, byteCount: number): readonly number[] => [...new Uint32Array(buffer, at, byteCount >>> 2)];
  return {
    fill: { generated: (linear: bigint, found: number) => generated(vcpu, linear, found), host: tlb },
    left: (low: number) => ({
      entry: words(plan.tlbAt(0, 0, 0) + tlbEntryOffset(low), TlbEntry.bytes),
      space: words(plan.tlbSpaceAt(0, 0), TlbSpace.bytes),
      upperIsOwn: header.upperIsOwn,
    }),
  };
}

test('generated code and the host fill the TLB alike', () => {
  for (const upperQuarter of [0, 1]) {
    for (const kind of [0, WALK.GLOBAL, WALK.LARGE]) {
      const [ours, theirs] = [rig(upperQuarter), rig(upperQuarter)];
      const addresses = [
        [0x1234_5678, 0],
        [0xbfff_f000, 0],
        [0xc000_0000, 0],
        [0xffff_f123, 0],
        [0x8123_4000, HIGH],
        [0x1234_6000, 0],
      ] as const;
      for (const [low, high] of addresses) {
        for (const hostPage of [0x7000, CODE_PAGE, 0x40_7000, 0x7000]) {
          for (const grants of [1, 3, 4, 7]) {
            const linear = BigInt.asIntN(64, (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0));
            const withheld = hostPage === CODE_PAGE ? grants & 2 : 0;
            assert.equal(ours.fill.generated(linear, hostPage | kind | grants), grants & ~withheld);
            const pageBytes = kind === WALK.LARGE ? LARGE_BYTES : 4096;
            theirs.fill.host.fill(low, high, hostPage, grants & ~withheld, pageBytes, kind === WALK.GLOBAL, withheld !== 0);
            assert.deepEqual(ours.left(low), theirs.left(low), JSON.stringify({ upperQuarter, kind, low, high, hostPage, grants }));
          }
        }
      }
    }
  }
});
