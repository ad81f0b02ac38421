// The machine's side of its other CPUs: starts their threads, answers their mail, stops them all and lets them go on.

import type { AcceleratedVm, BoardPorts, VcpuStats } from '@anillo/accel/accelerator';
import { AnilloError } from '@anillo/base/anillo-error';
import { clearInbox, takeInbox } from '@anillo/devices/irqchip/far-apic';
import type { LocalApic } from '@anillo/devices/irqchip/local-apic';
import type { HostThread, MachineHost } from '../machine-host.ts';
import { COMMAND, COUNTERS, MAIL, type Processor, type ProcessorCells, QUESTION, STATE } from './processor-cells.ts';
import { FarDebug } from './far-debug.ts';
import type { ProcessorMessage, ProcessorStart } from './processor-thread.ts';
import { SignalWait } from './signal-wait.ts';

type Bytes = 1 | 2 | 4;

/** The board's answers, and what only other CPUs ask it. */
export interface ProcessorBoard extends Omit<BoardPorts, 'interrupts'> {
  readonly bootApic: LocalApic;
  acknowledgePic(): number;
  endOfInterrupt(vector: number): void;
}

export interface ProcessorsOptions {
  readonly cells: ProcessorCells;
  readonly vm: AcceleratedVm;
  readonly board: ProcessorBoard;
  readonly host: MachineHost;
  /** For the thread of a vCPU. */
  readonly startOf: (id: number) => ProcessorStart;
  readonly onMessage: (message: ProcessorMessage, id: number) => void;
  /** A thread ended that should not have. */
  readonly onFailure: (error: unknown) => void;
}

const NAP_MS = 1;
/** A thread that has not answered the debugger for so long has failed. */
const PATIENCE_NS = 60e9;

function threadFailure(id: number, cause: unknown): AnilloError {
  const [what, where = ''] = (cause instanceof Error ? cause.message : String(cause)).split('\n');
  const sentence = `The thread of the guest's CPU ${id} failed (${what}${where.replace(/^ */, ' ')}), a defect of Anillo; a machine with one CPU does without it.`;
  return new AnilloError('THREAD', sentence, { cause });
}

export class Processors {
  readonly #o: ProcessorsOptions;
  readonly #boot: Processor;
  readonly #others: readonly Processor[];
  #threads: readonly HostThread[] = [];
  #stops = 0;
  /** The boot CPU's signal when its mail was last looked at. */
  #seen = 0;
  readonly #wait: SignalWait;
  #isWatching = false;
  #isEnding = false;

  constructor(options: ProcessorsOptions) {
    this.#o = options;
    [this.#boot, ...this.#others] = options.cells.processors as [Processor, ...Processor[]];
    this.#wait = new SignalWait(this.#boot.signal, () => options.host.nowNs());
  }

  /** Starts the threads. */
  start(): void {
    const { host, startOf, onMessage, onFailure } = this.#o;
    const { startThread } = host;
    if (startThread === undefined) throw new AnilloError('UNSUPPORTED', 'This host gives no threads; run the machine with one CPU.');
    this.#threads = this.#others.map((_, i) => startThread(startOf(i + 1)));
    this.#threads.forEach((thread, i) => {
      thread.onMessage = (message) => onMessage(message as ProcessorMessage, i + 1);
      const lost = (error: unknown): void => {
        Atomics.store((this.#others[i] as Processor).state, 0, STATE.STOPPED);
        if (!this.#isEnding) onFailure(threadFailure(i + 1, error));
      };
      thread.ended.then(() => lost(new TypeError('it ended')), lost);
    });
  }

  /** Answers what has been asked, and takes what was sent to the boot CPU. On the machine's thread, often. */
  serve(): void {
    const { cells, board } = this.#o;
    this.#seen = Atomics.load(this.#boot.signal, 0);
    for (const other of this.#others) if (Atomics.load(other.mail, 0) === MAIL.ASKED) this.#answer(other);
    takeInbox(cells.inboxes[0], board.bootApic);
  }

  #answer(p: Processor): void {
    const { board } = this.#o;
    const byteCount = p.byteCount as Bytes;
    switch (p.kind) {
      case QUESTION.READ_PORT:
        p.value = board.readPort(p.address, byteCount);
        break;
      case QUESTION.WRITE_PORT:
        board.writePort(p.address, byteCount, p.value);
        break;
      case QUESTION.READ_MMIO:
        p.value = board.readMmio(p.address, byteCount);
        break;
      case QUESTION.WRITE_MMIO:
        board.writeMmio(p.address, byteCount, p.value);
        break;
      case QUESTION.END_OF_INTERRUPT:
        board.endOfInterrupt(p.address);
        break;
      default:
        p.value = board.acknowledgePic();
    }
    Atomics.store(p.mail, 0, MAIL.ANSWERED);
    Atomics.notify(p.mail, 0);
  }

  /** The machine's thread waits for something to come, for so long. Has it? */
  nap(timeoutNs: number): boolean {
    return this.#wait.wait(this.#seen, timeoutNs);
  }

  /** May the machine's thread sleep? False: something has come. Otherwise `wake` is called when something comes. */
  watch(wake: () => void): boolean {
    if (Atomics.load(this.#boot.signal, 0) !== this.#seen) return false;
    if (this.#isWatching) return true;
    const result = Atomics.waitAsync(this.#boot.signal, 0, this.#seen);
    if (!result.async) return false;
    this.#isWatching = true;
    void result.value.then(() => {
      this.#isWatching = false;
      wake();
    });
    return true;
  }

  /** All other CPUs stand still afterwards, until `release` has been called as often. */
  stopAll(): void {
    if (this.#stops++ > 0) return;
    this.#command(COMMAND.STOP);
    this.#waitUntil(() => this.#others.every(({ state }) => Atomics.load(state, 0) === STATE.STOPPED));
  }
  release(): void {
    if (--this.#stops === 0) this.#command(COMMAND.RUN);
  }
  #command(command: number): void {
    const { cells, vm } = this.#o;
    Atomics.store(cells.common.command, 0, command);
    this.#others.forEach((_, i) => {
      vm.kick(i + 1);
      cells.raise(i + 1);
    });
  }

  /** The debugger's view of all but the boot CPU. */
  makeDebug(): readonly FarDebug[] {
    return this.#others.map(
      (_, i) => new FarDebug({ id: i + 1, cells: this.#o.cells.call, reach: (ask, isDone) => this.#reach(i + 1, ask, isDone) }),
    );
  }
  #reach(id: number, ask: () => void, isDone: () => boolean): void {
    if (this.#threads.length === 0 || this.#isEnding) {
      throw new AnilloError('STATE', `CPU ${id} is there only while the machine runs or is paused; start the machine.`);
    }
    const { cells, host } = this.#o;
    const endNs = host.nowNs() + PATIENCE_NS;
    this.stopAll();
    ask();
    cells.raise(id);
    this.#waitUntil(() => isDone() || host.nowNs() > endNs);
    this.release();
    if (!isDone()) throw threadFailure(id, new TypeError('no answer'));
  }
  #waitUntil(isDone: () => boolean): void {
    while (!isDone()) {
      this.serve();
      Atomics.wait(this.#boot.signal, 0, this.#seen, NAP_MS);
    }
  }

  /** While all are stopped: they wait for a start-up IPI afterwards. The board has reset their local APICs. */
  reset(): void {
    const { cells } = this.#o;
    for (const inbox of cells.inboxes) clearInbox(inbox);
    Atomics.add(cells.common.reset, 0, 1);
  }

  /** The boot CPU's counters and those of all others. */
  sum(own: VcpuStats): VcpuStats {
    const total = (name: (typeof COUNTERS)[number], i: number): number =>
      this.#others.reduce((sum, { stats }) => sum + stats[i], own[name]);
    return { ...own, ...Object.fromEntries(COUNTERS.map((name, i) => [name, total(name, i)])) };
  }

  /** Ends the threads. */
  async end(): Promise<void> {
    if (this.#isEnding) return;
    this.#isEnding = true;
    this.stopAll();
    this.#command(COMMAND.END);
    await Promise.allSettled(this.#threads.map((thread) => thread.ended));
  }
}
