// One vCPU on a thread of its own: waits for a start-up IPI, runs, halts, stops with the machine. Everything that others want of it comes as a signal.
//
//   stopped -> waits for SIPI -> runs <-> halts
//                  ^--- INIT, reset ---'

import type { Accelerator, CpuStart, Vcpu, VcpuExit } from '@anillo/accel/accelerator';
import type { Trace, TraceChoice } from '@anillo/accel/trace';
import { GuestClock } from '@anillo/devices/clock/guest-clock';
import { LocalApicBus } from '@anillo/devices/irqchip/apic-bus';
import { FarApic, takeInbox } from '@anillo/devices/irqchip/far-apic';
import { LocalApic } from '@anillo/devices/irqchip/local-apic';
import { StolenTime } from '../stolen-time.ts';
import { tscToNs } from '../boards/tsc-time.ts';
import type { MachineHost } from '../machine-host.ts';
import { tracedPorts } from '../traced-ports.ts';
import { FarBoard } from './far-board.ts';
import { answerCall } from './far-debug.ts';
import { COMMAND, COUNTERS, ProcessorCells, type Processor, QUESTION, type SharedCells, STATE } from './processor-cells.ts';
import { SignalWait } from './signal-wait.ts';

/** Plain data, for a structured clone. */
export interface ProcessorStart {
  readonly id: number;
  readonly cells: SharedCells;
  /** Of the accelerator's machine. */
  readonly share: unknown;
  readonly tscHz: number;
  readonly trace: TraceChoice | undefined;
  /** What firmware would have set in every CPU. */
  readonly modelRegisters: NonNullable<CpuStart['modelRegisters']>;
}

/** What such a thread tells the machine. */
export type ProcessorMessage =
  | { readonly kind: 'trace'; readonly line: string }
  | { readonly kind: 'shutdown'; readonly state: string }
  | (VcpuExit & { readonly kind: 'debug' });

export type ProcessorHost = Pick<MachineHost, 'nowNs' | 'wallMs' | 'yieldToHost' | 'threadNs'> & { post(message: ProcessorMessage): void };

/** Also between two looks at the host's events. */
const SLICE_MS = 4;
const NS_PER_MS = 1e6;

export async function runProcessor(start: ProcessorStart, accelerator: Accelerator, host: ProcessorHost): Promise<void> {
  try {
    await new ProcessorThread(start, accelerator, host).run();
  } finally {
    // After a failure too: the machine's thread waits until all stand still before it ends.
    Atomics.store(new ProcessorCells(start.cells).processors[start.id].state, 0, STATE.STOPPED);
  }
}

class ProcessorThread {
  readonly #start: ProcessorStart;
  readonly #host: ProcessorHost;
  readonly #cells: ProcessorCells;
  readonly #own: Processor;
  readonly #clock: GuestClock;
  readonly #apic: LocalApic;
  readonly #vcpu: Vcpu;
  readonly #wait: SignalWait;
  readonly #stolen: StolenTime;
  #resetsSeen: number;
  /** Vector of a start-up IPI that the vCPU has not followed yet. */
  #startVector = -1;
  #isStarted = false;

  constructor(start: ProcessorStart, accelerator: Accelerator, host: ProcessorHost) {
    const { id, share, tscHz } = start;
    const cells = new ProcessorCells(start.cells);
    this.#start = start;
    this.#host = host;
    this.#cells = cells;
    this.#stolen = new StolenTime(host);
    this.#own = cells.processors[id];
    this.#wait = new SignalWait(this.#own.signal, () => host.nowNs());
    this.#resetsSeen = Atomics.load(cells.common.reset, 0);
    this.#clock = new GuestClock({
      hostNowNs: () => host.nowNs(),
      hostWallMs: () => host.wallMs(),
      offset: { cell: cells.common.clockOffset, joins: true },
    });
    const board = new FarBoard({
      processor: this.#own,
      clock: this.#clock,
      nowNs: () => host.nowNs(),
      waited: (sinceNs) => this.#stolen.waited(sinceNs),
      kickMachine: () => this.#kick(0),
      polled: () => this.#polled(),
    });
    const bus = new LocalApicBus();
    this.#apic = new LocalApic({
      ...{ id, clock: this.#clock, bus, bootProcessor: false, tscToNs: tscToNs(tscHz) },
      ...{ stateBuffer: cells.apicBuffers[id], isPoweredOn: true },
      acknowledgePic: () => board.ask(QUESTION.ACKNOWLEDGE_PIC, 0, 0, 0) | 0,
    });
    board.localApic = this.#apic;
    cells.apics.forEach((apic, other) => {
      const far = { id: other, cells: apic, inbox: cells.inboxes[other], kick: () => this.#kick(other) };
      bus.attach(other === id ? this.#apic : new FarApic(far));
    });
    bus.attachIoApic({ endOfInterrupt: (vector) => void board.ask(QUESTION.END_OF_INTERRUPT, vector, 0, 0) });
    this.#apic.onInit = () => {
      this.#isStarted = false;
      this.#startVector = -1;
    };
    this.#apic.onSipi = (vector) => {
      if (!this.#isStarted) this.#startVector = vector;
    };
    const trace: Trace | undefined = start.trace && {
      ...start.trace,
      line: (line) => host.post({ kind: 'trace', line: `cpu${id}: ${line}` }),
    };
    const vm = accelerator.joinVm(share, { id, ports: tracedPorts(board, trace), trace });
    this.#kickVcpu = (other) => vm.kick(other);
    this.#vcpu = vm.createVcpu(id);
  }
  readonly #kickVcpu: (id: number) => void;

  #kick(id: number): void {
    this.#kickVcpu(id);
    this.#cells.raise(id);
  }

  /** Between two bursts of guest code: is there something that the loop must do? */
  #polled(): void {
    takeInbox(this.#cells.inboxes[this.#start.id], this.#apic);
    if (!this.#isStarted || Atomics.load(this.#cells.common.command, 0) !== COMMAND.RUN) this.#vcpu.kick();
  }

  async run(): Promise<void> {
    const { signal } = this.#own;
    let lastYieldNs = this.#host.nowNs();
    for (;;) {
      if (!this.#obey()) return;
      const seen = Atomics.load(signal, 0);
      takeInbox(this.#cells.inboxes[this.#start.id], this.#apic);
      if (!this.#isStarted && !this.#startUp()) {
        if (Atomics.load(this.#cells.common.command, 0) === COMMAND.RUN) this.#waiting(() => Atomics.wait(signal, 0, seen));
        continue;
      }
      const exit = this.#vcpu.run(SLICE_MS);
      if (exit.kind === 'shutdown') {
        this.#isStarted = false;
        this.#host.post({ kind: 'shutdown', state: exit.state });
      } else if (exit.kind === 'debug') this.#hold(exit);
      else if (exit.kind === 'halted') this.#halt(seen);
      if (this.#host.nowNs() - lastYieldNs < SLICE_MS * NS_PER_MS) continue;
      this.#tellStats();
      await this.#host.yieldToHost();
      lastYieldNs = this.#host.nowNs();
      this.#vcpu.tellStolen(this.#stolen.totalNs());
    }
  }

  /** Waits while the machine stands still. False: the end. */
  #obey(): boolean {
    const { command, reset } = this.#cells.common;
    const { state, signal } = this.#own;
    for (;;) {
      Atomics.store(state, 0, STATE.RUNNING);
      const seen = Atomics.load(signal, 0);
      const wanted = Atomics.load(command, 0);
      if (wanted === COMMAND.RUN) break;
      this.#tellStats();
      Atomics.store(state, 0, STATE.STOPPED);
      if (wanted === COMMAND.END) return false;
      this.#cells.raise(0);
      this.#serveDebugger(seen);
    }
    const resets = Atomics.load(reset, 0);
    if (resets !== this.#resetsSeen) {
      this.#resetsSeen = resets;
      this.#isStarted = false;
      this.#startVector = -1;
      this.#vcpu.reset();
    }
    return true;
  }

  /** While the machine stands still. */
  #serveDebugger(signalSeen: number): void {
    const { common, call } = this.#cells;
    const { id } = this.#start;
    const step = (): VcpuExit => (this.#isStarted ? this.#vcpu.step() : { kind: 'halted' });
    for (let seen = signalSeen; Atomics.load(common.command, 0) === COMMAND.STOP; seen = Atomics.load(this.#own.signal, 0)) {
      if (answerCall(call, id, this.#vcpu.debug, step)) this.#cells.raise(0);
      else this.#waiting(() => Atomics.wait(this.#own.signal, 0, seen));
    }
  }

  #startUp(): boolean {
    if (this.#startVector < 0) return false;
    const pc = this.#startVector << 12;
    this.#startVector = -1;
    this.#isStarted = true;
    this.#vcpu.setStart({ mode: 'real16', pc, registers: {}, modelRegisters: this.#start.modelRegisters, afterInit: true });
    return true;
  }

  /** At a breakpoint: until the machine has stopped everyone. */
  #hold(exit: VcpuExit & { kind: 'debug' }): void {
    const { signal } = this.#own;
    this.#host.post(exit);
    for (;;) {
      const seen = Atomics.load(signal, 0);
      if (Atomics.load(this.#cells.common.command, 0) !== COMMAND.RUN) return;
      this.#waiting(() => Atomics.wait(signal, 0, seen));
    }
  }

  /** Until the next timer or signal. */
  #halt(seen: number): void {
    const waitNs = this.#clock.nextDeadlineNs() - this.#clock.nowNs();
    if (waitNs > 0) this.#waiting(() => this.#wait.wait(seen, waitNs));
  }
  #waiting(wait: () => void): void {
    const sinceNs = this.#host.nowNs();
    wait();
    this.#stolen.waited(sinceNs);
  }

  #tellStats(): void {
    const stats = this.#vcpu.stats();
    this.#own.stats.set(COUNTERS.map((name) => stats[name]));
  }
}
