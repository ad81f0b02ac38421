// Where everything lies in a machine's one WebAssembly memory (32-bit addresses, at most 4 GiB).
//
//   0x0001_0000  page of ones: what the guest fetches where nothing answers
//   0x0001_1000  what vCPUs share: the lock word of wide read-modify-writes, SharedCode (with several vCPUs)
//   0x0002_0000  code granules, two words a page of the memory; with several vCPUs then the masks of their owners, one word a page
//   then         for each vCPU its struct and block buckets; TLBs: TLB_CLASSES for each of the address spaces of each vCPU; address-space records; for each vCPU
//                an arena of block records and bytecode; guest regions, 64 KiB aligned

import { AnilloError } from '@anillo/base/anillo-error';
import { gpa } from '@anillo/base/gpa';
import { BLOCK_BUCKET_TABLE_BYTES, BUCKETS_OFFSET } from '@anillo/codegen/block-record';
import { TLB_BYTES, TLB_CLASSES, TlbSpace } from '@anillo/codegen/tlb-layout';
import { WIDE_LOCK_AT } from '@anillo/ir/vcpu-header';
import type { MemoryRegion } from '@anillo/memory/guest-memory';

const WASM_PAGE = 0x10000;
const PAGE = 4096;
const MIB = 1 << 20;
export const GRANULE_BYTES = 8;
const OWNER_BYTES = 4;
/** One vCPU has room for all that a large program translates; several share what a 32-bit memory can give. */
const ARENA_BYTES = 48 * MIB;
const ARENA_OF_SEVERAL_BYTES = 24 * MIB;
/** Address spaces of a vCPU that keep their TLBs at the same time: Linux uses six PCIDs. */
export const ADDRESS_SPACES = 8;
const FOUR_GIB = 0x1_0000_0000;
const align = (n: number): number => Math.ceil(n / WASM_PAGE) * WASM_PAGE;

export const ONES_PAGE = 0x10000;
export const SHARED_CODE_AT = WIDE_LOCK_AT + 0x100;
/** The same in every machine: it is a constant of the runtime module. */
export const GRANULES_AT = 0x20000;

export interface MemoryPlan {
  readonly vcpuAt: (id: number) => number;
  readonly tlbAt: (id: number, space: number, tlbClass: number) => number;
  /** Record (TlbSpace) of an address space. */
  readonly tlbSpaceAt: (id: number, space: number) => number;
  /** Two words of granule bits for each page of the memory (CodePages). */
  readonly granulesAt: number;
  /** Which vCPUs have translated code of a page: a word for each. */
  readonly ownersAt: number;
  readonly bucketsAt: (id: number) => number;
  readonly arenaAt: (id: number) => number;
  readonly arenaBytes: number;
  readonly regions: readonly MemoryRegion[];
  readonly pageCount: number;
}

export function planMemory(vcpuCount: number, regions: readonly { start: number; byteCount: number; kind: 'ram' | 'rom' }[]): MemoryPlan {
  const isShared = vcpuCount > 1;
  const vcpuBytes = BUCKETS_OFFSET + BLOCK_BUCKET_TABLE_BYTES;
  const tlbBytes = vcpuCount * ADDRESS_SPACES * TLB_CLASSES * TLB_BYTES;
  const spaceBytes = align(vcpuCount * ADDRESS_SPACES * TlbSpace.bytes);
  const arenaBytes = isShared ? ARENA_OF_SEVERAL_BYTES : ARENA_BYTES;
  const guestBytes = regions.reduce((sum, r) => sum + align(r.byteCount), 0);
  const restBytes = vcpuCount * (vcpuBytes + arenaBytes) + tlbBytes + spaceBytes + guestBytes;
  // The tables cover themselves too: one page of them stands for some 340 or 512 pages of the memory.
  const perPage = GRANULE_BYTES + (isShared ? OWNER_BYTES : 0);
  const pages = Math.ceil(((GRANULES_AT + restBytes) / PAGE + 64) * (1 + perPage / (PAGE - perPage)));
  const ownersAt = GRANULES_AT + pages * GRANULE_BYTES;
  const vcpusAt = align(GRANULES_AT + pages * perPage);
  const tlbsAt = vcpusAt + vcpuCount * vcpuBytes;
  const spacesAt = tlbsAt + tlbBytes;
  const arenasAt = align(spacesAt + spaceBytes);
  let at = arenasAt + vcpuCount * arenaBytes;
  const fixedBytes = at;
  const placed = regions.map((r) => {
    const region = { start: gpa(r.start), byteCount: r.byteCount, offset: at, kind: r.kind };
    at = align(at + r.byteCount);
    return region;
  });
  if (at > FOUR_GIB) {
    const most = Math.min(3584, Math.floor((FOUR_GIB - fixedBytes) / MIB / 64) * 64);
    throw new AnilloError(
      'BAD_MEMORY',
      `Guest memory of ${Math.round(guestBytes / MIB)} MiB does not fit the translator's 4 GiB address space${isShared ? ` with ${vcpuCount} CPUs` : ''}; ask for ${most}M or less.`,
    );
  }
  return {
    vcpuAt: (id) => vcpusAt + id * vcpuBytes,
    tlbAt: (id, space, tlbClass) => tlbsAt + ((id * ADDRESS_SPACES + space) * TLB_CLASSES + tlbClass) * TLB_BYTES,
    tlbSpaceAt: (id, space) => spacesAt + (id * ADDRESS_SPACES + space) * TlbSpace.bytes,
    granulesAt: GRANULES_AT,
    ownersAt,
    bucketsAt: (id) => vcpusAt + id * vcpuBytes + BUCKETS_OFFSET,
    arenaAt: (id) => arenasAt + id * arenaBytes,
    arenaBytes,
    regions: placed,
    pageCount: at / WASM_PAGE,
  };
}
