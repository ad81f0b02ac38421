// Serves the accesses that the inline TLB check does not: fills the TLB, or does the access itself (devices, ROM writes, stores beside code).
// Contract: codegen/src/slow-access.ts. An access never crosses a page.

import { ACCESS_KIND, MISS_RESULT } from '@anillo/codegen/slow-access';
import { ACCESS, EXIT, type GuestCpu, type Translation } from '@anillo/ir/frontend';
import { VcpuHeader } from '@anillo/ir/vcpu-header';
import type { BoardPorts } from '@anillo/accel/accelerator';
import type { GuestMemory } from '@anillo/memory/guest-memory';
import { modified, readBits, writeBits } from './host-rmw.ts';
import type { SharedCode } from './shared-code.ts';
import type { TranslationCache } from './translation-cache.ts';
import type { VcpuTlb } from './vcpu-tlb.ts';
import type { Watchpoints } from './watchpoints.ts';

const at = VcpuHeader.offset;

export interface MissParts {
  readonly buffer: ArrayBufferLike;
  readonly state: number;
  readonly cpu: GuestCpu;
  readonly memory: GuestMemory;
  readonly ports: BoardPorts;
  readonly tlb: VcpuTlb;
  readonly cache: TranslationCache;
  readonly watchpoints: Watchpoints;
  /** With several vCPUs. */
  readonly shared?: SharedCode;
}

/** Bytes within a page, in the machine's memory. */
export interface StoredRange {
  at: number;
  byteCount: number;
}

export class MemoryMiss {
  /** Accesses served; those that went to devices. */
  misses = 0;
  deviceAccesses = 0;
  /** While one instruction runs alone: stores may overwrite code, whose pages are then dropped. */
  storeThrough = false;
  /** Code that the refused store would have overwritten. */
  readonly stale: StoredRange = { at: 0, byteCount: 0 };
  readonly overwritten: StoredRange[] = [];
  readonly #p: MissParts;
  readonly #words: Uint32Array;
  readonly #bytes: Uint8Array;
  readonly #data: DataView;
  readonly #into: Translation = { gpa: 0, grants: 0, pageBytes: 4096, isGlobal: false };

  constructor(parts: MissParts) {
    this.#p = parts;
    this.#words = new Uint32Array(parts.buffer);
    this.#bytes = new Uint8Array(parts.buffer);
    this.#data = new DataView(parts.buffer);
  }

  #leave(reason: number): number {
    this.#words[(this.#p.state + at.trapped) >>> 2] = 0;
    this.#words[(this.#p.state + at.exitReason) >>> 2] = reason;
    return MISS_RESULT.LEAVE;
  }

  /** `place`: that of the instruction, for the fault exit; `kind`: see ACCESS_KIND. */
  serve(place: number, kind: number): number {
    this.misses++;
    if (kind & (ACCESS_KIND.LOCK | ACCESS_KIND.UNLOCK)) return this.#turn((kind & ACCESS_KIND.LOCK) !== 0);
    this.#words[(this.#p.state + at.trapAt) >>> 2] = place;
    const { cpu, memory, tlb, state } = this.#p;
    const byteCount = 1 << (kind & ACCESS_KIND.SIZE_LOG2);
    const isModify = (kind & ACCESS_KIND.RMW) !== 0;
    const isWrite = (kind & (ACCESS_KIND.WRITE | ACCESS_KIND.PROBE | ACCESS_KIND.RMW)) !== 0;
    const low = this.#words[(state + at.accessAddress) >>> 2] as number;
    const high = this.#words[(state + at.accessAddress + 4) >>> 2] as number;
    const into = this.#into;
    if (!cpu.translate(isWrite ? ACCESS.WRITE : ACCESS.READ, into, byteCount)) return MISS_RESULT.LEAVE;
    const watched = this.#p.watchpoints.isActive && this.#p.watchpoints.pageHas(low, high);
    if (watched && (kind & ACCESS_KIND.PROBE) === 0 && this.#p.watchpoints.hit(low, high, byteCount, isWrite))
      return this.#leave(EXIT.DEBUG);
    const gpaPage = into.gpa - (into.gpa % 4096);
    const hostPage = memory.offsetOf(gpaPage, 4096, false);
    if (hostPage < 0) return isModify ? this.#modifyDevice(kind, byteCount, into.gpa) : this.#device(kind, byteCount, into.gpa);
    const writable = memory.offsetOf(gpaPage, 4096, true) >= 0;
    let grants = into.grants;
    const hasCode = this.#hasCode(hostPage);
    const besideCode = hasCode && writable && !watched && (grants & (1 << ACCESS.WRITE)) !== 0;
    if (!writable || hasCode) grants &= ~(1 << ACCESS.WRITE);
    if (watched) grants &= ~((1 << ACCESS.READ) | (1 << ACCESS.WRITE));
    tlb.fill(low, high, hostPage, grants, into.pageBytes, into.isGlobal, besideCode);
    const host = hostPage + (into.gpa % 4096);
    const isAligned = !isModify || host % byteCount === 0;
    if (isAligned && grants & (1 << (isWrite ? ACCESS.WRITE : ACCESS.READ))) return MISS_RESULT.FILLED;
    if (isModify) return this.#modify(kind, host, byteCount, writable);
    if (!isWrite) return this.#load(host, byteCount);
    if (!writable) return MISS_RESULT.DONE;
    const { shared } = this.#p;
    if (shared === undefined) return this.#storeBesideCode(kind, host, byteCount);
    shared.lock();
    const result = this.#storeBesideCode(kind, host, byteCount);
    shared.unlock();
    return result;
  }

  #hasCode(hostPage: number): boolean {
    const { shared, cache } = this.#p;
    return shared === undefined ? cache.codePages.hasCode(hostPage) : shared.hasCode(hostPage);
  }

  #turn(begins: boolean): number {
    if (begins) this.#p.shared?.lock();
    else this.#p.shared?.unlock();
    return MISS_RESULT.DONE;
  }

  /** A read-modify-write in memory that several vCPUs share, where the inline check does not let it through: under the lock, as all such accesses are. */
  #modify(kind: number, host: number, byteCount: number, writable: boolean): number {
    const { shared } = this.#p;
    const data = this.#data;
    shared?.lock();
    let result: number = MISS_RESULT.DONE;
    if (writable && this.#mustLeave(host, byteCount)) result = MISS_RESULT.LEAVE;
    else {
      const old = readBits(data, host, byteCount);
      const value = this.#modified(kind, byteCount, old);
      if (writable) writeBits(data, host, byteCount, value);
    }
    shared?.unlock();
    return result;
  }
  /** Leaves the old value where generated code finds it. */
  #modified(kind: number, byteCount: number, old: bigint): bigint {
    const at0 = this.#p.state + at.accessData;
    const operand = readBits(this.#data, at0, byteCount);
    const replacement = readBits(this.#data, at0 + 8, byteCount);
    this.#data.setBigUint64(at0, old, true);
    return modified(kind >> ACCESS_KIND.RMW_SHIFT, 8 * byteCount, old, operand, replacement);
  }
  #modifyDevice(kind: number, byteCount: number, address: number): number {
    const at0 = this.#p.state + at.accessData;
    const operands = this.#bytes.slice(at0, at0 + 16);
    this.#device(kind & ACCESS_KIND.SIZE_LOG2, byteCount, address);
    const old = readBits(this.#data, at0, byteCount);
    this.#bytes.set(operands, at0);
    const value = this.#modified(kind, byteCount, old);
    this.#data.setBigUint64(at0, value, true);
    this.#device((kind & ACCESS_KIND.SIZE_LOG2) | ACCESS_KIND.WRITE, byteCount, address);
    this.#data.setBigUint64(at0, old, true);
    return MISS_RESULT.DONE;
  }

  #load(host: number, byteCount: number): number {
    const data = this.#p.state + at.accessData;
    this.#bytes.fill(0, data, data + 16);
    this.#bytes.copyWithin(data, host, host + byteCount);
    return MISS_RESULT.DONE;
  }

  #storeBesideCode(kind: number, host: number, byteCount: number): number {
    const { state } = this.#p;
    const isStore = (kind & ACCESS_KIND.WRITE) !== 0;
    if (isStore && this.#isUnchanged(host, byteCount)) return MISS_RESULT.DONE;
    if (this.#mustLeave(host, byteCount)) return MISS_RESULT.LEAVE;
    if (isStore) this.#bytes.copyWithin(host, state + at.accessData, state + at.accessData + byteCount);
    return MISS_RESULT.DONE;
  }

  /** Would a store overwrite code? Then the block is left first; an instruction that runs alone goes on, and what it overwrote is dropped after it. */
  #mustLeave(host: number, byteCount: number): boolean {
    const { cache, shared } = this.#p;
    if (!cache.codePages.touches(host, byteCount)) return false;
    if (!this.storeThrough) {
      this.stale.at = host;
      this.stale.byteCount = byteCount;
      this.#leave(EXIT.STALE_CODE);
      return true;
    }
    shared?.dropOthers(host, byteCount);
    this.overwritten.push({ at: host, byteCount });
    return false;
  }

  /** Would the store leave memory as it is? Then code there stays valid. */
  #isUnchanged(host: number, byteCount: number): boolean {
    const data = this.#p.state + at.accessData;
    for (let i = 0; i < byteCount; i++) if (this.#bytes[host + i] !== this.#bytes[data + i]) return false;
    return true;
  }

  /** Device memory: pieces of at most four bytes, in order of address. */
  #device(kind: number, byteCount: number, gpa: number): number {
    const { ports, state } = this.#p;
    if (kind & ACCESS_KIND.PROBE) return MISS_RESULT.DONE;
    this.deviceAccesses++;
    const data = (state + at.accessData) >>> 2;
    if ((kind & ACCESS_KIND.WRITE) === 0) this.#words.fill(0, data, data + 4);
    for (let done = 0; done < byteCount; done += 4) {
      const size = Math.min(4, byteCount - done) as 1 | 2 | 4;
      if (kind & ACCESS_KIND.WRITE) {
        const value = this.#words[data + (done >> 2)] as number;
        ports.writeMmio(gpa + done, size, size === 4 ? value : value & ((1 << (size * 8)) - 1));
      } else this.#words[data + (done >> 2)] = ports.readMmio(gpa + done, size);
    }
    return MISS_RESULT.DONE;
  }
}
