// What the threads of a machine with several CPUs have in common beside the guest's memory (docs/adr/0012-several-cpus.md): for each vCPU a signal word,
// the state of its thread, a mailbox for questions to the board, and its local APIC with an inbox; and for all the debugger's calls.

import { struct, type View } from '@anillo/base/struct';
import { APIC_INBOX, type ApicInbox } from '@anillo/devices/irqchip/far-apic';
import { LOCAL_APIC_STATE, type LocalApicCells } from '@anillo/devices/irqchip/local-apic-registers';
import { CALL, type CallCells } from './far-debug.ts';

const COMMON = struct({
  /** What all threads but the machine's are to do: COMMAND. */
  command: ['i32', 1],
  /** Number of the last reset: a thread that has not seen it resets its vCPU. */
  reset: ['i32', 1],
  /** Of GuestClock. */
  clockOffset: ['f64', 1],
});
const PROCESSOR = struct({
  /** Goes up whenever there is something for the vCPU; who waits for that waits here. */
  signal: ['i32', 1],
  state: ['i32', 1],
  mail: ['i32', 1],
  kind: 'i32',
  byteCount: 'i32',
  value: 'u32',
  address: 'f64',
  /** In the order of COUNTERS. */
  stats: ['f64', 5],
});

/** What the CPUs' counters add up to. */
export const COUNTERS = ['interpretedInsns', 'compiledInsns', 'compilations', 'compileMs', 'tlbMisses'] as const;

export const COMMAND = { RUN: 0, STOP: 1, END: 2 } as const;
export const STATE = { STOPPED: 0, RUNNING: 1 } as const;
export const MAIL = { NONE: 0, ASKED: 1, ANSWERED: 2 } as const;
export const QUESTION = { READ_PORT: 0, WRITE_PORT: 1, READ_MMIO: 2, WRITE_MMIO: 3, END_OF_INTERRUPT: 4, ACKNOWLEDGE_PIC: 5 } as const;

export type Processor = View<(typeof PROCESSOR)['spec']>;
export type CommonCells = View<(typeof COMMON)['spec']>;

/** Plain data, for a structured clone. */
export interface SharedCells {
  readonly cells: SharedArrayBuffer;
  readonly apics: readonly SharedArrayBuffer[];
  readonly call: SharedArrayBuffer;
}

export function makeSharedCells(cpuCount: number): SharedCells {
  return {
    cells: new SharedArrayBuffer(COMMON.bytes + cpuCount * (PROCESSOR.bytes + APIC_INBOX.bytes)),
    apics: Array.from({ length: cpuCount }, () => new SharedArrayBuffer(LOCAL_APIC_STATE.bytes)),
    call: new SharedArrayBuffer(CALL.bytes),
  };
}

/** The views of one thread. */
export class ProcessorCells {
  readonly common: CommonCells;
  readonly processors: readonly Processor[];
  readonly inboxes: readonly ApicInbox[];
  readonly apicBuffers: readonly SharedArrayBuffer[];
  readonly apics: readonly LocalApicCells[];
  readonly call: CallCells;

  constructor({ cells, apics, call }: SharedCells) {
    this.call = CALL.view(call, 0);
    this.common = COMMON.view(cells, 0);
    const processorAt = (id: number): number => COMMON.bytes + id * (PROCESSOR.bytes + APIC_INBOX.bytes);
    this.processors = apics.map((_, id) => PROCESSOR.view(cells, processorAt(id)));
    this.inboxes = apics.map((_, id) => APIC_INBOX.view(cells, processorAt(id) + PROCESSOR.bytes));
    this.apicBuffers = apics;
    this.apics = apics.map((buffer) => LOCAL_APIC_STATE.view(buffer, 0));
  }

  /** Tells whoever waits for the vCPU's signal. */
  raise(id: number): void {
    const { signal } = this.processors[id];
    Atomics.add(signal, 0, 1);
    Atomics.notify(signal, 0);
  }
}
