// A small machine for testing both tiers against the oracle: one vCPU with slots of every type, a TLB, and linear pages of every kind.

import type { Block } from '@anillo/ir/block';
import type { Routine } from '@anillo/ir/callee';
import { type EvaluatorWorld, readBits, writeBits } from '@anillo/ir/evaluate';
import { slot, stackPointerSlot, type Slot } from '@anillo/ir/slot';
import type { Type } from '@anillo/ir/ops';
import { JUMP_CACHE_OFFSET, VCPU_BYTES, VcpuHeader } from '@anillo/ir/vcpu-header';
import { BLOCK_BUCKET_TABLE_BYTES, BUCKETS_OFFSET, blockBucket, BlockRecord } from '../block-record.ts';
import { BlockEncoder } from '../bytecode.ts';
import { JUMP_CACHE_BYTES } from '../jump-cache.ts';
import { compileRegions, type Region } from '../region-compiler.ts';
import { buildRuntime, type RuntimeOptions } from '../runtime-module.ts';
import { ACCESS_KIND, MISS_RESULT, RMW_KINDS } from '../slow-access.ts';
import { TLB_BYTES, TLB_STACK_ENTRY, TlbEntry, tlbEntryOffset } from '../tlb-layout.ts';

interface WasmMemory {
  readonly buffer: ArrayBuffer;
}
interface WasmTable {
  get(index: number): unknown;
  set(index: number, value: unknown): void;
}
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: Record<string, (...args: number[]) => number> };
  readonly Memory: new (descriptor: { initial: number; maximum?: number; shared?: boolean }) => WasmMemory;
  readonly Table: new (descriptor: { initial: number; element: 'anyfunc' }) => WasmTable;
};

const PAGE = 4096;
const CPU = 0x10000;
const BUCKETS = CPU + BUCKETS_OFFSET;
const TLB = 0x70000;
const ARENA = 0x80000;
const ARENA_END = 0x180000;
const RAM = 0x200000;
const MEMORY_PAGES = 64;
export const RAM_PAGES = 16;

/** How an access to a linear page behaves. `device` and `code` pages are served by the host (code: stores only). */
export type PageKind = 'ram' | 'readonly' | 'code' | 'device' | 'absent';
const PAGE_KINDS: readonly PageKind[] = [
  'ram',
  'ram',
  'readonly',
  'ram',
  'code',
  'ram',
  'device',
  'absent',
  'ram',
  'device',
  'ram',
  'code',
  'absent',
  'ram',
  'ram',
  'ram',
];

/** Linear address of the first data page; page k is backed by RAM page k. */
export const DATA_BASE = 0x7fff_f000_0000n;
/** Linear address of the code page, backed by RAM page 15; its TLB entry is not one of the data pages. */
export const CODE_BASE_LINEAR = 0x42_0000;

const STATE_AT = 0x400;
/** A tag that no test's address hits. */
const NO_PAGE = 0x5a5a_1234_5678_9fffn;
/** Number of the i64 slot that is the stack pointer. */
const STACK_POINTER = 5;
const slots = <T extends Type>(type: T, name: string, at: number, count: number, pinned = false): Slot<T>[] =>
  Array.from({ length: count }, (_, i) => slot(`${name}${i}`, type, at + i * (type === 'v128' ? 16 : 8), pinned));

/** Test slots. */
export const SLOTS = {
  i64: slots('i64', 'r', STATE_AT, 8).map((s, i) => (i === STACK_POINTER ? stackPointerSlot(s.name, s.offset) : s)),
  i32: slots('i32', 'w', STATE_AT + 0x40, 8),
  f32: slots('f32', 'f', STATE_AT + 0x80, 4),
  f64: slots('f64', 'd', STATE_AT + 0xc0, 4),
  v128: slots('v128', 'q', STATE_AT + 0x100, 6),
  /** Reached by offset too. */
  pinned: slots('i64', 'p', STATE_AT + 0x180, 4, true),
  /** The same bytes, in pairs. */
  pinnedWide: slots('v128', 'pp', STATE_AT + 0x180, 2, true),
} as const;
export const STATE_END = STATE_AT + 0x1a0;
export const PINNED_AT = STATE_AT + 0x180;

export interface Outcome {
  readonly reason: number;
  /** Slots and the header's x fields. */
  readonly state: Uint8Array;
  readonly ram: Uint8Array;
  /** Where execution is: pc of the next block, or of the instruction that trapped. */
  readonly pc: bigint;
  readonly trapped: number;
  readonly trapCode: number;
  readonly faultAddress: bigint | undefined;
  readonly exitReason: number;
}

const at = VcpuHeader.offset;

export interface RigOptions {
  readonly routines?: readonly Routine[];
  readonly helpers?: Readonly<Record<string, (rig: TierRig, ...args: number[]) => number>>;
  readonly shared?: boolean;
  /** Routines among `routines`. */
  readonly events?: RuntimeOptions['events'];
}

export class TierRig {
  readonly memory: WasmMemory;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly state: DataView;
  readonly header: ReturnType<typeof VcpuHeader.view>;
  readonly runtime: { readonly exports: Record<string, (...args: number[]) => number> };
  readonly encoder: BlockEncoder;
  misses = 0;
  faultAddress: bigint | undefined = undefined;
  readonly #table: WasmTable;
  readonly #imports: object;
  readonly #shared: { sharedMaximumPages?: number };
  #arena = ARENA;

  constructor(options: RigOptions = {}) {
    this.memory = new WebAssembly.Memory({ initial: MEMORY_PAGES, maximum: MEMORY_PAGES, ...(options.shared ? { shared: true } : {}) });
    this.#shared = options.shared ? { sharedMaximumPages: MEMORY_PAGES } : {};
    this.#table = new WebAssembly.Table({ initial: 64, element: 'anyfunc' });
    this.bytes = new Uint8Array(this.memory.buffer);
    this.view = new DataView(this.memory.buffer);
    this.state = new DataView(this.memory.buffer, CPU, VCPU_BYTES);
    this.header = VcpuHeader.view(this.memory.buffer, CPU);
    const helper: Record<string, (...args: number[]) => number> = {};
    for (const [name, f] of Object.entries(options.helpers ?? {})) helper[name] = (...args) => f(this, ...args);
    const runtime = buildRuntime({
      routines: options.routines ?? [],
      helpers: Object.entries(options.helpers ?? {}).map(([name, f]) => ({ name, argCount: f.length - 1 })),
      events: options.events,
      ...this.#shared,
    });
    const env = { memory: this.memory, table: this.#table };
    const host = { memory_miss: (_cpu: number, _at: number, kind: number) => this.#miss(kind) };
    this.runtime = new WebAssembly.Instance(new WebAssembly.Module(runtime.bytes), { env, host, helper });
    this.#imports = { env, helper, runtime: this.runtime.exports };
    this.encoder = new BlockEncoder(runtime.opcodes, this.memory.buffer);
  }

  static readonly codeHost = RAM + 15 * PAGE;
  static readonly ramAt = RAM;
  static readonly bucketsAt = BUCKETS;

  pageKind(va: bigint): PageKind {
    const page = (va - DATA_BASE) >> 12n;
    return page >= 0n && page < BigInt(RAM_PAGES) ? PAGE_KINDS[Number(page)] : 'absent';
  }
  #hostOf(va: bigint): number {
    return RAM + Number(va - DATA_BASE);
  }

  #miss(kind: number): number {
    this.misses += 1;
    const va = this.header.accessAddress;
    const size = 1 << (kind & ACCESS_KIND.SIZE_LOG2);
    if (kind & (ACCESS_KIND.LOCK | ACCESS_KIND.UNLOCK)) return MISS_RESULT.DONE;
    const isRmw = (kind & ACCESS_KIND.RMW) !== 0;
    const isWrite = isRmw || (kind & (ACCESS_KIND.WRITE | ACCESS_KIND.PROBE)) !== 0;
    const page = this.pageKind(va);
    if ((va & 0xfffn) + BigInt(size) > 4096n) throw new Error('an access that crosses pages reached the host');
    if (page === 'absent' || (page === 'readonly' && isWrite)) {
      this.header.trapped = 1;
      this.faultAddress = va;
      return MISS_RESULT.LEAVE;
    }
    const host = this.#hostOf(va);
    const isFilled = page === 'ram' || (page !== 'device' && !isWrite);
    if (isRmw && !(isFilled && host % size === 0)) {
      this.#modify(host, size, RMW_KINDS[kind >> ACCESS_KIND.RMW_SHIFT]);
      return MISS_RESULT.DONE;
    }
    if (isFilled) {
      this.fillTlb(va, host & -PAGE, { read: true, write: page === 'ram', exec: false });
      return MISS_RESULT.FILLED;
    }
    const data = CPU + at.accessData;
    if (kind & ACCESS_KIND.WRITE) {
      this.bytes.copyWithin(host, data, data + size);
    } else if (!isWrite) {
      this.bytes.fill(0, data, data + 16);
      this.bytes.copyWithin(data, host, host + size);
    }
    return MISS_RESULT.DONE;
  }

  #modify(host: number, size: number, kind: (typeof RMW_KINDS)[number]): void {
    const bits = 8 * size;
    const read = (at: number): bigint => BigInt.asUintN(bits, this.view.getBigUint64(at, true));
    const old = read(host);
    const operand = read(CPU + at.accessData);
    const replacement = read(CPU + at.accessData + 8);
    const results = { add: old + operand, and: old & operand, or: old | operand, xor: old ^ operand, xchg: operand };
    const result = kind === 'cmpxchg' ? (old === operand ? replacement : old) : results[kind];
    this.view.setBigUint64(CPU + at.accessData, old, true);
    for (let i = 0; i < size; i++) this.bytes[host + i] = Number((result >> BigInt(8 * i)) & 0xffn);
  }

  fillTlb(va: bigint, hostPage: number, grants: { read: boolean; write: boolean; exec: boolean }): void {
    const entry = TLB + tlbEntryOffset(Number(va & 0xffff_ffffn));
    const tag = va & ~0xfffn;
    this.view.setBigUint64(entry + TlbEntry.offset.tagRead, grants.read ? tag : ~tag, true);
    this.view.setBigUint64(entry + TlbEntry.offset.tagWrite, grants.write ? tag : ~tag, true);
    this.view.setBigUint64(entry + TlbEntry.offset.tagExec, grants.exec ? tag : ~tag, true);
    this.view.setUint32(entry + TlbEntry.offset.addend, (hostPage - Number(tag & 0xffff_ffffn)) | 0, true);
  }

  /** Forgets all blocks and all translations but the code page's. */
  reset(): void {
    this.bytes.fill(0xff, TLB, TLB + TLB_BYTES);
    this.fillTlb(-1n, 0, { read: false, write: false, exec: false });
    this.view.setBigUint64(TLB + TLB_STACK_ENTRY + TlbEntry.offset.tagWrite, NO_PAGE, true);
    this.bytes.fill(0, BUCKETS, BUCKETS + BLOCK_BUCKET_TABLE_BYTES);
    this.#forgetJumps();
    this.fillTlb(BigInt(CODE_BASE_LINEAR), TierRig.codeHost, { read: false, write: false, exec: true });
    this.#arena = ARENA;
    this.faultAddress = undefined;
  }

  #forgetJumps(): void {
    this.bytes.fill(0, CPU + JUMP_CACHE_OFFSET, CPU + JUMP_CACHE_OFFSET + JUMP_CACHE_BYTES);
  }

  /** Puts the state in: slots and RAM from images, header fields to defaults, pc at `pc`. */
  start(state: Uint8Array, ram: Uint8Array, pc: number): void {
    this.bytes.fill(0, CPU, CPU + STATE_END);
    this.bytes.set(state, CPU + STATE_AT);
    this.bytes.set(ram, RAM);
    this.header.pc = BigInt(pc);
    this.header.tlb = TLB;
    this.header.budget = 1000;
    this.header.maxDepth = 48;
    this.faultAddress = undefined;
  }

  outcome(reason: number): Outcome {
    const h = this.header;
    const pc = h.trapped || reason === 3 ? BigInt.asUintN(64, h.pc + BigInt(h.trapAt | 0)) : h.pc;
    return {
      reason: reason === 1 ? 0 : reason,
      state: this.bytes.slice(CPU + STATE_AT, CPU + STATE_END),
      ram: this.bytes.slice(RAM, RAM + RAM_PAGES * PAGE),
      pc,
      trapped: h.trapped,
      trapCode: h.trapCode,
      faultAddress: this.faultAddress,
      exitReason: h.exitReason,
    };
  }

  /** Encodes a block for the code page offset `offset`; returns its record. */
  addBlock(block: Block, offset: number, hotAt = 0): number {
    const record = this.#arena;
    const hostAddress = TierRig.codeHost + offset;
    const used = this.encoder.encode(block, record, ARENA_END, { hostAddress, mode: 0, hotAt });
    if (used < 0) throw new RangeError('the rig has no room for so many blocks');
    this.#arena += used;
    const bucket = BUCKETS + 4 * blockBucket(hostAddress, 0);
    this.view.setUint32(record + BlockRecord.offset.next, this.view.getUint32(bucket, true), true);
    this.view.setUint32(bucket, record, true);
    return record;
  }

  run(): number {
    return this.runtime.exports.run(CPU);
  }

  /** Compiles regions; function i goes into table slot i + 1. */
  compile(regions: readonly Region[]): {
    call: (region: number, block: number) => number;
    entries: readonly Int32Array[];
    byteCount: number;
  } {
    this.#forgetJumps();
    const { bytes, entries } = compileRegions(regions, this.#shared);
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), this.#imports);
    regions.forEach((_, i) => {
      if (i < 63) this.#table.set(i + 1, exports[`f${i}`]);
    });
    return {
      call: (region, block) => exports[`f${region}`](CPU, entries[region][block], this.header.maxDepth),
      entries,
      byteCount: bytes.length,
    };
  }

  /** Moves a compiled function in the table; what stands for a dead one takes its place. */
  moveFunction(from: number, to: number): void {
    this.#table.set(to, this.#table.get(from));
    this.#table.set(from, this.runtime.exports.absent);
  }

  /** The oracle's view of the same machine. `calls` serves callees. */
  world(calls: EvaluatorWorld['call'] = () => undefined): EvaluatorWorld {
    const faults = (va: bigint, byteCount: number, isWrite: boolean): boolean => {
      for (let i = 0n; i < byteCount; i++) {
        const kind = this.pageKind(BigInt.asUintN(64, va + i));
        if (kind === 'absent' || (isWrite && kind === 'readonly')) {
          this.faultAddress = BigInt.asUintN(64, va + i);
          return true;
        }
      }
      return false;
    };
    return {
      state: this.state,
      memory: this.view,
      load: (va, byteCount) => (faults(va, byteCount, false) ? undefined : readBits(this.view, this.#hostOf(va), byteCount)),
      store: (va, byteCount, value) => {
        if (faults(va, byteCount, true)) return false;
        writeBits(this.view, this.#hostOf(va), byteCount, value);
        return true;
      },
      probe: (va, byteCount) => !faults(va, byteCount, true),
      call: calls,
    };
  }
}
