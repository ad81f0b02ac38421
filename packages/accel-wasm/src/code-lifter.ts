// Guest code at the present pc, as blocks: finds the bytes, stops before a debugger's breakpoints, and makes sure that no other vCPU changes the bytes
// between lifting and entering the translation.

import { ACCESS, EXIT, type CodeSource, type GuestCpu, type Translation } from '@anillo/ir/frontend';
import type { Block } from '@anillo/ir/block';
import { Builder } from '@anillo/ir/builder';
import { VcpuHeader } from '@anillo/ir/vcpu-header';
import { CodeCopies } from './code-copies.ts';
import { ONES_PAGE } from './memory-plan.ts';
import type { BlockGuard } from './translation-cache.ts';
import type { VcpuTlb } from './vcpu-tlb.ts';
import type { VmParts } from './wasm-accelerator.ts';

const at = VcpuHeader.offset;

/** Stands where a debugger has set a breakpoint: leaves at once. */
const STOP: Block = new Builder().finish({ kind: 'exit', delta: 0, reason: EXIT.DEBUG }, { byteCount: 1, insnCount: 1, pcBits: 64 });

export interface LiftedBlock {
  readonly block: Block;
  readonly guard: BlockGuard | undefined;
}

export interface CodeLifterParts {
  readonly vm: VmParts;
  readonly cpu: GuestCpu;
  readonly state: number;
  readonly tlb: VcpuTlb;
  readonly breakpoints: ReadonlySet<bigint>;
}

export class CodeLifter {
  readonly #p: CodeLifterParts;
  readonly #view: ReturnType<typeof VcpuHeader.view>;
  readonly #words: Uint32Array;
  readonly #bytes: Uint8Array;
  readonly #pcAt: number;
  readonly #codeBaseAt: number;
  readonly #accessAt: number;
  #page: Uint8Array = new Uint8Array(0);

  constructor(parts: CodeLifterParts) {
    this.#p = parts;
    const { buffer } = parts.vm;
    this.#view = VcpuHeader.view(buffer, parts.state);
    this.#words = new Uint32Array(buffer);
    this.#bytes = new Uint8Array(buffer);
    this.#pcAt = (parts.state + at.pc) >>> 2;
    this.#codeBaseAt = (parts.state + at.codeBase) >>> 2;
    this.#accessAt = (parts.state + at.accessAddress) >>> 2;
  }

  linearPc(): bigint {
    return BigInt.asUintN(64, this.#view.pc + this.#view.codeBase);
  }

  /** Puts the linear address `delta` bytes after pc where the front end's `translate` looks for it. */
  setAccessAddress(delta: number): void {
    const words = this.#words;
    const low = (words[this.#pcAt] as number) + (words[this.#codeBaseAt] as number) + delta;
    words[this.#accessAt] = low;
    words[this.#accessAt + 1] =
      (words[this.#pcAt + 1] as number) + (words[this.#codeBaseAt + 1] as number) + Math.floor(low / 0x1_0000_0000);
  }
  get accessLow(): number {
    return this.#words[this.#accessAt] as number;
  }
  get accessHigh(): number {
    return this.#words[this.#accessAt + 1] as number;
  }

  /** Machine-memory page of code at a guest-physical address. */
  codePage(gpa: number): number {
    const page = this.#p.vm.memory.offsetOf(gpa - (gpa % 4096), 4096, false);
    return page < 0 ? ONES_PAGE : page;
  }

  /** The block at the present pc, which lies at `hostAddress` in the machine's memory; undefined: a fault has been recorded. */
  lift(hostAddress: number, mode: number, maxInsns: number): LiftedBlock | undefined {
    const { shared } = this.#p.vm;
    if (shared === undefined) return this.#liftFrom(hostAddress, mode, maxInsns, (place) => this.#pageBytes(place));
    for (;;) {
      const copies = new CodeCopies(this.#bytes);
      const made = this.#liftFrom(hostAddress, mode, maxInsns, (place) => copies.take((place & ~0xfff) >>> 0));
      if (made === undefined) return undefined;
      const { byteCount } = made.block;
      shared.mark(hostAddress, Math.max(1, Math.min(byteCount, 4096 - (hostAddress & 0xfff))));
      if (made.guard) shared.mark(made.guard.hostPage, Math.max(1, byteCount - made.guard.delta));
      if (copies.areCurrent(hostAddress & 0xfff, byteCount)) return made;
    }
  }

  /** `pageOf`: the page around an address of the machine's memory. */
  #liftFrom(hostAddress: number, mode: number, maxInsns: number, pageOf: (place: number) => Uint8Array): LiftedBlock | undefined {
    const { cpu, tlb, breakpoints } = this.#p;
    const pageOffset = hostAddress & 0xfff;
    const delta = 4096 - pageOffset;
    let second = -1;
    const into: Translation = { gpa: 0, grants: 0, pageBytes: 4096, isGlobal: false };
    const hasBreakpoints = breakpoints.size > 0 && maxInsns > 1;
    const start = hasBreakpoints ? this.linearPc() : 0n;
    if (hasBreakpoints && breakpoints.has(start)) return { block: STOP, guard: undefined };
    const source: CodeSource = {
      bytes: pageOf(hostAddress),
      start: pageOffset,
      mode,
      maxInsns,
      endsBefore: hasBreakpoints ? (distance) => breakpoints.has(start + BigInt(distance)) : undefined,
      nextPage: () => {
        this.setAccessAddress(delta);
        if (!cpu.translate(ACCESS.EXECUTE, into)) return undefined;
        second = this.codePage(into.gpa);
        tlb.fill(this.accessLow, this.accessHigh, second, into.grants & ~(1 << ACCESS.WRITE), into.pageBytes, into.isGlobal);
        return pageOf(second);
      },
    };
    const block = cpu.lift(source);
    return block && { block, guard: second < 0 ? undefined : { delta, hostPage: second } };
  }

  /** A block that has been lifted before; `nextPage` is the page that follows in linear memory, or -1. It ends before an instruction at `end` bytes from its start. */
  liftAgain(hostAddress: number, mode: number, nextPage: number, maxInsns: number, end: number | undefined): Block | undefined {
    return this.#p.cpu.lift({
      bytes: this.#pageBytes(hostAddress),
      start: hostAddress & 0xfff,
      mode,
      maxInsns,
      endsBefore: end === undefined ? undefined : (distance) => distance === end,
      nextPage: () => (nextPage < 0 ? undefined : this.#bytes.subarray(nextPage, nextPage + 4096)),
    });
  }

  /** The page around an address; the last one is kept, as most blocks are in the page of the one before. */
  #pageBytes(hostAddress: number): Uint8Array {
    const start = (hostAddress & ~0xfff) >>> 0;
    if (this.#page.byteOffset !== start) this.#page = this.#bytes.subarray(start, start + 4096);
    return this.#page;
  }
}
