// Primary fault logging (VT-d specification, 7.2.1, 11.4.7): a ring of records. A record that software has not cleared is not written over; what comes
// then is lost, and the overflow bit tells. The event is sent when the first of the reported conditions arises.

import { FAULT_RECORDS, FAULT_STATUS, VTD, type VtdRegisters } from './vtd-registers.ts';
import type { VtdEvent } from './vtd-event.ts';

/** Fault reasons (7.1.3, and 7.1.4 for interrupts). */
export const FAULT = {
  rootNotPresent: 0x1,
  contextNotPresent: 0x2,
  contextInvalid: 0x3,
  beyondAddressWidth: 0x4,
  writeDenied: 0x5,
  readDenied: 0x6,
  tableUnreachable: 0x7,
  rootTableUnreachable: 0x8,
  contextTableUnreachable: 0x9,
  rootReserved: 0xa,
  contextReserved: 0xb,
  pageReserved: 0xc,
  requestReserved: 0x20,
  indexBeyondTable: 0x21,
  entryNotPresent: 0x22,
  interruptTableUnreachable: 0x23,
  entryReserved: 0x24,
  compatibilityBlocked: 0x25,
  sourceRejected: 0x26,
} as const;

const RECORD_BYTES = 16;
const FAULTED = 0x80000000;
const IS_READ = 0x40000000;
const CLEARABLE = FAULT_STATUS.overflow | FAULT_STATUS.queueError;

export interface Fault {
  readonly reason: number;
  /** Requester id. */
  readonly source: number;
  readonly isRead: boolean;
  /** Page address of a DMA, or the interrupt's index in its upper 16 bits. */
  readonly infoLow: number;
  readonly infoHigh: number;
}

export class VtdFaultLog {
  readonly #registers: VtdRegisters;
  readonly #event: VtdEvent;

  constructor(registers: VtdRegisters, event: VtdEvent) {
    this.#registers = registers;
    this.#event = event;
  }

  #recordAt(index: number): number {
    return VTD.faultRecord + index * RECORD_BYTES;
  }

  #isFaulted(index: number): boolean {
    return (this.#registers.word(this.#recordAt(index) + 12) & FAULTED) !== 0;
  }

  get #status(): number {
    return this.#registers.word(VTD.faultStatus);
  }

  #report(condition: number): void {
    const wasReported = (this.#status & (CLEARABLE | FAULT_STATUS.pending)) !== 0;
    this.#registers.setBits(VTD.faultStatus, condition);
    if (!wasReported) this.#event.fire();
  }

  record(fault: Fault): void {
    const r = this.#registers;
    const index = r.state.view.nextRecord % FAULT_RECORDS;
    if ((this.#status & FAULT_STATUS.overflow) !== 0) return;
    if (this.#isFaulted(index)) {
      this.#report(FAULT_STATUS.overflow);
      return;
    }
    const at = this.#recordAt(index);
    r.setWord(at, fault.infoLow & ~0xfff);
    r.setWord(at + 4, fault.infoHigh);
    r.setWord(at + 8, fault.source & 0xffff);
    r.setWord(at + 12, FAULTED | (fault.isRead ? IS_READ : 0) | fault.reason);
    r.state.view.nextRecord = (index + 1) % FAULT_RECORDS;
    if ((this.#status & FAULT_STATUS.pending) === 0) {
      r.clearBits(VTD.faultStatus, 0xff << FAULT_STATUS.indexShift);
      r.setBits(VTD.faultStatus, index << FAULT_STATUS.indexShift);
    }
    this.#report(FAULT_STATUS.pending);
  }

  /** The invalidation queue met an error and stands still. */
  queueError(): void {
    this.#report(FAULT_STATUS.queueError);
  }

  get hasQueueError(): boolean {
    return (this.#status & FAULT_STATUS.queueError) !== 0;
  }

  writeStatus(value: number): void {
    this.#registers.clearBits(VTD.faultStatus, value & CLEARABLE);
    this.#settle();
  }

  /** A write to a word of the records: only the last word's F bit can be cleared. */
  writeRecord(at: number, value: number): void {
    if ((at - VTD.faultRecord) % RECORD_BYTES !== 12 || (value & FAULTED) === 0) return;
    this.#registers.clearBits(at, FAULTED);
    if (!Array.from({ length: FAULT_RECORDS }, (_, index) => this.#isFaulted(index)).includes(true))
      this.#registers.clearBits(VTD.faultStatus, FAULT_STATUS.pending);
    this.#settle();
  }

  #settle(): void {
    if ((this.#status & (CLEARABLE | FAULT_STATUS.pending)) === 0) this.#event.withdraw();
  }
}
