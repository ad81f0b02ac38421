// Where everything lies in a machine's one WebAssembly memory (32-bit addresses, at most 4 GiB).
//
//   0x0001_0000  page of ones: what the guest fetches where nothing answers
//   0x0002_0000  vCPU structs, VCPU_BYTES each
//   then         TLBs: TLB_CLASSES for each of the address spaces of each vCPU; address-space records; the block bucket table; the arena of block records and bytecode;
//                code granules; guest regions, 64 KiB aligned

import { AnilloError } from '@anillo/base/anillo-error';
import { gpa } from '@anillo/base/gpa';
import { BLOCK_BUCKET_TABLE_BYTES } from '@anillo/codegen/block-record';
import { TLB_BYTES, TLB_CLASSES, TlbSpace } from '@anillo/codegen/tlb-layout';
import { VCPU_BYTES } from '@anillo/ir/vcpu-header';
import type { MemoryRegion } from '@anillo/memory/guest-memory';

const WASM_PAGE = 0x10000;
const PAGE = 4096;
export const GRANULE_BYTES = 8;
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
  /** Record (TlbSpace) of an address space. */
  readonly tlbSpaceAt: (id: number, space: number) => number;
  /** Two words of granule bits for each page of the memory (CodePages). */
  readonly granulesAt: number;
  readonly bucketsAt: number;
  readonly arenaAt: number;
  readonly arenaEnd: number;
  readonly regions: readonly MemoryRegion[];
  readonly pageCount: number;
}

export function planMemory(vcpuCount: number, regions: readonly { start: number; byteCount: number; kind: 'ram' | 'rom' }[]): MemoryPlan {
  const tlbsAt = VCPUS_AT + vcpuCount * VCPU_BYTES;
  const spacesAt = tlbsAt + vcpuCount * ADDRESS_SPACES * TLB_CLASSES * TLB_BYTES;
  const bucketsAt = align(spacesAt + vcpuCount * ADDRESS_SPACES * TlbSpace.bytes);
  const arenaAt = bucketsAt + BLOCK_BUCKET_TABLE_BYTES;
  const granulesAt = align(arenaAt + ARENA_BYTES);
  const guestBytes = regions.reduce((sum, r) => sum + align(r.byteCount), 0);
  const arenaEnd = granulesAt;
  // The table covers itself too: one page of it stands for 512 pages of the memory.
  let at = align(granulesAt + ((granulesAt + guestBytes) / PAGE + 1) * GRANULE_BYTES * (1 + 1 / 256));
  const placed = regions.map((r) => {
    const region = { start: gpa(r.start), byteCount: r.byteCount, offset: at, kind: r.kind };
    at = align(at + r.byteCount);
    return region;
  });
  if (at > FOUR_GIB) {
    throw new AnilloError(
      'BAD_MEMORY',
      `Guest memory of ${Math.round(guestBytes / (1 << 20))} MiB does not fit the translator's 4 GiB address space; ask for 3584M or less.`,
    );
  }
  return {
    vcpuAt: (id) => VCPUS_AT + id * VCPU_BYTES,
    tlbAt: (id, space, tlbClass) => tlbsAt + ((id * ADDRESS_SPACES + space) * TLB_CLASSES + tlbClass) * TLB_BYTES,
    tlbSpaceAt: (id, space) => spacesAt + (id * ADDRESS_SPACES + space) * TlbSpace.bytes,
    granulesAt,
    bucketsAt,
    arenaAt,
    arenaEnd,
    regions: placed,
    pageCount: at / WASM_PAGE,
  };
}
