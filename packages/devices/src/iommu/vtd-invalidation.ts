// Invalidation of what the hardware remembers (VT-d specification, 6.5, 11.4.6): by registers, or by a queue of descriptors in guest memory. A write to
// the queue's tail works through what is queued, at most the queue's own size; a descriptor that is wrong stops it there until software clears the error.
// There are no device TLBs and interrupt entries are not remembered, so their descriptors ask for nothing.

import { gpa } from '@anillo/base/gpa';
import type { GuestMemory } from '@anillo/memory/guest-memory';
import type { VtdCache } from './vtd-cache.ts';
import type { VtdEvent } from './vtd-event.ts';
import type { VtdFaultLog } from './vtd-fault-log.ts';
import { GLOBAL, VTD, type VtdRegisters } from './vtd-registers.ts';

const DESCRIPTOR_BYTES = 16;
const QUEUE_OFFSET = 0x7fff0;
const SIZE_FIELD = 7;
const TYPE = { context: 1, iotlb: 2, deviceTlb: 3, interruptEntries: 4, wait: 5 } as const;
/** Bits of a descriptor's four words that must be 0. */
const RESERVED: Readonly<Record<number, readonly [number, number, number, number]>> = {
  [TYPE.context]: [0xffc0, 0xfffc0000, -1, -1],
  [TYPE.iotlb]: [0xff00, -1, 0xf80, 0],
  [TYPE.deviceTlb]: [0xfe0, 0, 0xffe, 0],
  [TYPE.interruptEntries]: [0x07ffffe0, 0xffff0000, -1, -1],
  [TYPE.wait]: [0xffffff00, 0, 3, 0],
};
const WAIT = { interrupt: 1 << 4, writeStatus: 1 << 5 } as const;
/** Requester bits that a function mask leaves out of comparison. */
const FUNCTION_MASKS = [0, 4, 6, 7] as const;
const GRANULARITY = { none: 0, global: 1, domain: 2, selective: 3 } as const;
/** Registers: bits of the upper word. */
const COMMAND_BUSY = 0x80000000;
const WAIT_COMPLETED = 1;
/** Largest range of pages, as a power of two. */
export const LARGEST_ADDRESS_MASK = 18;

export interface VtdInvalidationParts {
  readonly registers: VtdRegisters;
  readonly memory: GuestMemory;
  readonly cache: VtdCache;
  readonly faults: VtdFaultLog;
  readonly completion: VtdEvent;
}

export class VtdInvalidation {
  readonly #p: VtdInvalidationParts;

  constructor(parts: VtdInvalidationParts) {
    this.#p = parts;
  }

  // --- By registers ---

  /** The context command register's upper word was written. */
  contextCommand(): void {
    const { registers } = this.#p;
    const low = registers.word(VTD.contextCommand);
    const high = registers.word(VTD.contextCommand + 4);
    if ((high & COMMAND_BUSY) === 0) return;
    const granularity = (high >>> 29) & 3;
    this.#dropContexts(granularity, low & 0xffff, low >>> 16, high & 3);
    registers.setWord(VTD.contextCommand + 4, (high & 0x60000003) | (granularity << 27));
  }

  /** The IOTLB invalidate register's upper word was written. */
  iotlbCommand(): void {
    const { registers } = this.#p;
    const high = registers.word(VTD.iotlbInvalidate + 4);
    if ((high & COMMAND_BUSY) === 0) return;
    const granularity = (high >>> 28) & 3;
    const mask = registers.word(VTD.invalidateAddress) & 0x3f;
    const isDone = this.#dropPages(granularity, high & 0xffff, registers.page(VTD.invalidateAddress), mask);
    registers.setWord(VTD.iotlbInvalidate + 4, (high & 0x3003ffff) | (isDone ? granularity << 25 : 0));
  }

  #dropContexts(granularity: number, domain: number, source: number, functionMask: number): boolean {
    const { cache } = this.#p;
    if (granularity === GRANULARITY.global) cache.dropContexts();
    else if (granularity === GRANULARITY.domain) cache.dropContextsOfDomain(domain);
    else if (granularity === GRANULARITY.selective) cache.dropContextsOfSource(source, FUNCTION_MASKS[functionMask]);
    return granularity !== GRANULARITY.none;
  }

  #dropPages(granularity: number, domain: number, address: number, log2Count: number): boolean {
    const { cache } = this.#p;
    if (granularity === GRANULARITY.selective && log2Count > LARGEST_ADDRESS_MASK) return false;
    if (granularity === GRANULARITY.global) cache.dropPages();
    else if (granularity === GRANULARITY.domain) cache.dropPagesOfDomain(domain);
    else if (granularity === GRANULARITY.selective) cache.dropRange(domain, Math.floor(address / 4096), log2Count);
    return granularity !== GRANULARITY.none;
  }

  // --- By the queue ---

  /** Works through the queue. */
  run(): void {
    const { registers, faults } = this.#p;
    if (!registers.hasStatus(GLOBAL.queuedInvalidation)) return;
    const base = registers.page(VTD.queueAddress);
    const byteCount = 4096 << (registers.word(VTD.queueAddress) & SIZE_FIELD);
    const tail = registers.word(VTD.queueTail) & QUEUE_OFFSET;
    let head = registers.word(VTD.queueHead) & QUEUE_OFFSET;
    while (head !== tail && !faults.hasQueueError) {
      if (tail >= byteCount || head >= byteCount || !this.#execute(base + head)) {
        faults.queueError();
        break;
      }
      head = (head + DESCRIPTOR_BYTES) % byteCount;
      registers.setWord(VTD.queueHead, head);
    }
  }

  /** False: it cannot be reached, or it is wrong. */
  #execute(address: number): boolean {
    const { memory } = this.#p;
    if (memory.offsetOf(address, DESCRIPTOR_BYTES, false) < 0) return false;
    const words = [0, 4, 8, 12].map((at) => memory.read32(gpa(address + at)));
    const [low, high, word2, word3] = words;
    const type = low & 0xf;
    const reserved = RESERVED[type];
    if (reserved === undefined || words.some((word, i) => (word & reserved[i]) !== 0)) return false;
    const granularity = (low >> 4) & 3;
    const domain = low >>> 16;
    switch (type) {
      case TYPE.context:
        return this.#dropContexts(granularity, domain, high & 0xffff, (high >>> 16) & 3);
      case TYPE.iotlb:
        return this.#dropPages(granularity, domain, word3 * 2 ** 32 + ((word2 & ~0xfff) >>> 0), word2 & 0x3f);
      case TYPE.wait:
        this.#complete(low, high, word3 * 2 ** 32 + ((word2 & ~3) >>> 0));
        return true;
      default:
        return true;
    }
  }

  #complete(flags: number, status: number, statusAddress: number): void {
    const { memory, registers, completion } = this.#p;
    if ((flags & WAIT.writeStatus) !== 0) memory.write32(gpa(statusAddress), status);
    if ((flags & WAIT.interrupt) === 0 || (registers.word(VTD.completionStatus) & WAIT_COMPLETED) !== 0) return;
    registers.setBits(VTD.completionStatus, WAIT_COMPLETED);
    completion.fire();
  }

  writeCompletionStatus(value: number): void {
    const { registers, completion } = this.#p;
    registers.clearBits(VTD.completionStatus, value & WAIT_COMPLETED);
    if ((registers.word(VTD.completionStatus) & WAIT_COMPLETED) === 0) completion.withdraw();
  }
}
