// Where everything lies in a machine's one WebAssembly memory (32-bit addresses, at most 4 GiB).
//
//   0x0001_0000  page of ones: what the guest fetches where nothing answers
//   0x0002_0000  vCPU structs, VCPU_BYTES each
//   then         TLBs: TLB_CLASSES for each of the address spaces of each vCPU; the block bucket table; the arena of block records and bytecode; guest regions, 64 KiB aligned

import { AnilloError } from '@anillo/base/anillo-error';
import { gpa } from '@anillo/base/gpa';
import { BLOCK_BUCKET_TABLE_BYTES } from '@anillo/codegen/block-record';
import { TLB_BYTES, TLB_CLASSES } from '@anillo/codegen/tlb-layout';
import { VCPU_BYTES } from '@anillo/ir/vcpu-header';
import type { MemoryRegion } from '@anillo/memory/guest-memory';

const WASM_PAGE = 0x10000;
const ARENA_BYTES = 48 << 20;
/** Address spaces of a vCPU that keep their TLBs at the same time: Linux uses six PCIDs. */
export const ADDRESS_SPACES = 8;
const FOUR_GIB = 0x1_0000_0000;
const align = (n: number): number => Math.ceil(n / WASM_PAGE) * WASM_PAGE;

export const ONES_PAGE = 0x10000;
const VCPUS_AT = 0x20000;

export interface MemoryPlan {
  readonly vcpuAt: (id: number) => number;
  readonly tlbAt: (id: number, space: number, tlbClass: number) => number;
  readonly bucketsAt: number;
  readonly arenaAt: number;
  readonly arenaEnd: number;
  readonly regions: readonly MemoryRegion[];
  readonly pageCount: number;
}

export function planMemory(vcpuCount: number, regions: readonly { start: number; byteCount: number; kind: 'ram' | 'rom' }[]): MemoryPlan {
  const tlbsAt = VCPUS_AT + vcpuCount * VCPU_BYTES;
  const bucketsAt = align(tlbsAt + vcpuCount * ADDRESS_SPACES * TLB_CLASSES * TLB_BYTES);
  const arenaAt = bucketsAt + BLOCK_BUCKET_TABLE_BYTES;
  const arenaEnd = align(arenaAt + ARENA_BYTES);
  let at = arenaEnd;
  const placed = regions.map((r) => {
    const region = { start: gpa(r.start), byteCount: r.byteCount, offset: at, kind: r.kind };
    at = align(at + r.byteCount);
    return region;
  });
  if (at > FOUR_GIB) {
    throw new AnilloError('BAD_MEMORY', `Guest memory of ${Math.round((at - arenaEnd) / (1 << 20))} MiB does not fit the translator's 4 GiB address space; ask for 3584M or less.`);
  }
  return {
    vcpuAt: (id) => VCPUS_AT + id * VCPU_BYTES,
    tlbAt: (id, space, tlbClass) => tlbsAt + ((id * ADDRESS_SPACES + space) * TLB_CLASSES + tlbClass) * TLB_BYTES,
    bucketsAt,
    arenaAt,
    arenaEnd,
    regions: placed,
    pageCount: at / WASM_PAGE,
  };
}
