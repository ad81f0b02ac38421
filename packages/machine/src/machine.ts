// One machine: board, accelerator and boot image, run cooperatively on the caller's thread; CPUs beyond the first have threads of their own (smp/).
//
//             start()              pause()
//   created ----------> running <==========> paused
//      |                   |      resume()      |
//      |      the guest powers off, resets      |
//      |      (noReboot), crashes; stop()       |
//      +-----------------> stopped <------------+
//                             (final)
//
// The loop: due timers, a slice of guest code, what the guest asked of the board; between slices the host's events are served. A halted guest sleeps
// until its next timer or until an interrupt input goes up. Guest time stands still in every state but running.

import type { AcceleratedVm, Accelerator, CpuStart, Vcpu, VcpuExit, VcpuStats } from '@anillo/accel/accelerator';
import { TRACE_CATEGORIES } from '@anillo/accel/trace';
import { AnilloError } from '@anillo/base/anillo-error';
import { GuestClock } from '@anillo/devices/clock/guest-clock';
import type { GuestMemory } from '@anillo/memory/guest-memory';
import { PcBoard, type PcBoardEvents } from './boards/pc-board.ts';
import { planKernel } from './boot/detect.ts';
import { checkFirmware, planFirmware } from './boot/firmware.ts';
import { type BootPlan, loadSegments } from './boot/load-plan.ts';
import { memoryTypeRegisters } from './firmware/memory-types.ts';
import { GuestWait } from './guest-wait.ts';
import { HostFailures } from './host-failures.ts';
import { HostExpectation } from './host-expectation.ts';
import { type DebugStop, DebugStops, type MachineDebug } from './machine-debug.ts';
import type { MachineExit } from './machine-exit.ts';
import type { MachineHost } from './machine-host.ts';
import type { BootImages, MachineSpec } from './machine-spec.ts';
import type { FarDebug } from './smp/far-debug.ts';
import { makeSharedCells, ProcessorCells, type SharedCells } from './smp/processor-cells.ts';
import { Processors } from './smp/processors.ts';
import { StolenTime } from './stolen-time.ts';
import { tracedPorts } from './traced-ports.ts';

export type MachineState = 'created' | 'running' | 'paused' | 'stopped';

const SLICE_MS = 4; // longest stay in guest code

export class Machine {
  readonly clock: GuestClock;
  readonly board: PcBoard;
  readonly debug: MachineDebug;
  readonly #spec: MachineSpec;
  readonly #host: MachineHost;
  readonly #vm: AcceleratedVm;
  readonly #vcpu: Vcpu;
  #images: BootImages = {};
  #plan: BootPlan | undefined;
  readonly #processors: Processors | undefined;
  readonly #farDebug: readonly FarDebug[];
  #stolen: StolenTime;
  readonly #wait: GuestWait;
  readonly #exit = Promise.withResolvers<MachineExit>();
  #state: MachineState = 'created';
  /** Decided, not yet carried out by the loop. */
  #pendingExit: MachineExit | undefined;
  #resetWanted = false;
  #pauseWanted = false;
  #pauseDone = Promise.withResolvers<void>();
  #resumed = Promise.withResolvers<void>();
  #inGuest = false;
  readonly #expectation: HostExpectation;
  readonly #failures: HostFailures;
  #resets = 0;
  /** Suspended to RAM by the guest; 'waking': to be resumed by the loop. */
  #sleep: 'no' | 'asleep' | 'waking' = 'no';
  #disposed = false;
  /** Breakpoints that other CPUs have met and wait at, not reported yet. */
  readonly #farStops: DebugStops;
  #kick: (id: number) => void = () => {};
  /** A thread of another CPU failed. */
  #failure: { readonly error: unknown } | undefined;

  /** AnilloError for firmware, memory or devices that do not fit the machine. It has nothing to run until `load`. */
  constructor(spec: MachineSpec, accelerator: Accelerator, host: MachineHost) {
    if (spec.bios !== undefined) checkFirmware(spec.bios);
    this.#spec = spec;
    this.#host = host;
    this.#stolen = new StolenTime(host);
    this.#expectation = new HostExpectation(() => host.nowNs());
    this.#failures = new HostFailures(spec.onHostFailure, () => {
      this.#pauseWanted = true;
      this.#wake();
    });
    const { cpuCount = 1 } = spec;
    const shared = cpuCount > 1 ? makeSharedCells(cpuCount) : undefined;
    const cells = shared && new ProcessorCells(shared);
    const offset = cells && { cell: cells.common.clockOffset, joins: false };
    this.clock = new GuestClock({ hostNowNs: () => host.nowNs(), hostWallMs: () => host.wallMs(), offset });
    this.clock.pause();
    this.clock.onEarlier = () => this.#host.wake();
    this.board = new PcBoard(
      { ...spec, model: spec.board, cpuCount, cells, kick: (id) => this.#kick(id), clock: this.clock },
      this.#events(),
    );
    const ports = tracedPorts(this.board, spec.trace);
    this.#vm = accelerator.createVm({
      cpuCount,
      regions: this.board.regions,
      cpuModel: spec.cpuModel,
      ports,
      tier: spec.tier,
      trace: spec.trace,
      profile: spec.profile,
    });
    this.#vm.memory.releaser = (offset, byteCount) => host.releaseMemory?.(this.#vm.memory.buffer, offset, byteCount);
    this.#attachBoard();
    this.#vcpu = this.#vm.createVcpu(0);
    this.#processors = shared && cells && this.#makeProcessors(shared, cells);
    const processors = this.#processors;
    this.#wait = new GuestWait({ host, clock: this.clock, processors, waited: (sinceNs) => this.#stolen.waited(sinceNs) });
    this.#farDebug = this.#processors?.makeDebug() ?? [];
    this.#farStops = new DebugStops((cpu, address) => this.#farDebug[cpu - 1]?.hasBreakpoint(address) === true);
    this.debug = this.#makeDebug();
    this.#exit.promise.catch(() => {}); // whoever waits gets it; nobody has to wait
  }

  /** Gives the machine what it boots from; to be called once, before `start`. AnilloError for images that do not fit it. */
  load(images: BootImages): void {
    const { bios } = this.#spec;
    if ((images.kernel === undefined) === (bios === undefined)) {
      throw new AnilloError(
        'BAD_OPTION',
        bios === undefined
          ? 'There is nothing to boot; give a kernel or a firmware image.'
          : 'A kernel and a firmware image were given; give one of them.',
      );
    }
    this.#images = images;
    this.#boot(this.#makePlan());
  }

  #attachBoard(): void {
    try {
      this.board.attach(this.#vm.memory);
    } catch (error) {
      this.#vm[Symbol.dispose]();
      throw error;
    }
  }

  #makeProcessors(shared: SharedCells, cells: ProcessorCells): Processors {
    const { tscHz, trace } = this.#spec;
    this.#kick = (id) => {
      this.#vm.kick(id);
      cells.raise(id);
    };
    const choice = trace && Object.fromEntries(TRACE_CATEGORIES.map((category) => [category, trace[category]]));
    const modelRegisters = this.#modelRegisters;
    return new Processors({
      ...{ cells, vm: this.#vm, board: this.board, host: this.#host },
      startOf: (id) => ({ id, cells: shared, share: this.#vm.share(), tscHz, trace: choice, modelRegisters }),
      onMessage: (message, id) => {
        if (message.kind === 'trace') trace?.line(message.line);
        else {
          if (message.kind === 'debug') this.#farStops.push({ exit: message, cpu: id });
          else this.#tripleFault(message.state);
          this.#wake();
        }
      },
      onFailure: (error) => this.#fail(error),
    });
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#wake();
  }

  /** What firmware would have set in each CPU. */
  get #modelRegisters(): NonNullable<CpuStart['modelRegisters']> {
    return this.#spec.bios === undefined ? memoryTypeRegisters(this.board.map.hole) : [];
  }

  #makePlan(): BootPlan {
    const { bios, append, longMode } = this.#spec;
    const { kernel, initrd, append: own } = this.#images;
    if (kernel === undefined) return planFirmware(bios as Uint8Array);
    const context = { map: this.board.map, longMode, rsdpAddress: this.board.rsdpAddress };
    return planKernel({ ...kernel, modules: initrd ?? [], append: [own, append].filter(Boolean).join(' ') }, context);
  }

  /** What devices ask for. They ask in the middle of a guest instruction: the wish is noted and the guest leaves soon. The first wish counts. */
  #events(): PcBoardEvents {
    const end = (exit: MachineExit): void => {
      if (!this.#resetWanted) this.#pendingExit ??= exit;
      this.#wake();
    };
    return {
      powerOff: (status) => end({ reason: 'powered-off', status, detail: 'The guest powered the machine off.' }),
      panicked: () => end({ reason: 'panicked', status: 1, detail: 'The guest reported that it crashed.' }),
      debugExit: (status) => end({ reason: 'debug-exit', status, detail: `The guest ended the machine with status ${status}.` }),
      reset: () => {
        if (this.#spec.noReboot === true) end({ reason: 'reset', status: 0, detail: 'The guest reset the machine.' });
        else if (this.#pendingExit === undefined) {
          this.#resetWanted = true;
          this.#wake();
        }
      },
      suspend: () => {
        this.#sleep = 'asleep';
        this.#wake();
      },
      wake: () => {
        if (this.#sleep === 'asleep') this.#sleep = 'waking';
        this.#wake();
      },
      activity: () => {
        if (!this.#inGuest) this.#host.wake(); // else the vCPU sees it
      },
      polled: () => {
        this.#processors?.serve();
        if (this.#expectation.isExpecting && this.#expectation.isDue) this.#vcpu.kick();
      },
      expectHost: () => this.#expectation.expect(),
      hostFailed: (sentence, tryAgain) => this.#failures.add(sentence, tryAgain),
    };
  }

  /** Makes the loop look again: out of guest code soon, out of sleep now. */
  #wake(): void {
    if (this.#inGuest) this.#vcpu.kick();
    else this.#host.wake();
  }

  get state(): MachineState {
    return this.#state;
  }

  get memory(): GuestMemory {
    return this.#vm.memory;
  }

  /** What was loaded, for people. */
  get bootDescription(): string {
    return this.#plan?.description ?? '';
  }

  /** Times that the guest has reset the machine. */
  get resetCount(): number {
    return this.#resets;
  }

  stats(): VcpuStats {
    const own = this.#vcpu.stats();
    return this.#processors?.sum(own) ?? own;
  }

  /** Power-on: devices, firmware tables, boot image, CPU. */
  #boot(plan: BootPlan): void {
    this.#plan = plan;
    this.#sleep = 'no';
    this.#processors?.stopAll();
    this.board.reset();
    this.#processors?.reset();
    loadSegments(this.#vm.memory, plan.segments);
    if (this.#images.readAgain !== undefined) this.#forgetImages(plan);
    this.#vcpu.reset();
    if (plan.start.mode !== 'reset') this.#vcpu.setStart({ ...plan.start, modelRegisters: this.#modelRegisters });
    this.#processors?.release();
  }

  #forgetImages(plan: BootPlan): void {
    const { readAgain } = this.#images;
    this.#images = { readAgain };
    this.#plan = { ...plan, segments: [] };
  }
  /** The plan, with its images read again where they have not been kept. */
  async #planAgain(): Promise<BootPlan> {
    const { readAgain } = this.#images;
    if (readAgain === undefined) return this.#plan as BootPlan;
    this.#images = { ...(await readAgain()), readAgain };
    return this.#makePlan();
  }

  /** Wakes the guest from a suspend to RAM. */
  #wakeGuest(): void {
    this.#sleep = 'no';
    this.#processors?.stopAll();
    this.board.resume();
    this.#processors?.reset();
    this.#vcpu.reset();
    this.#vcpu.setStart({
      mode: 'real16',
      pc: this.board.wakingVector,
      registers: {},
      modelRegisters: this.#modelRegisters,
    });
    this.#processors?.release();
  }

  /** Starts the guest; comes back at once. `held`: it is paused before its first instruction, for a debugger. */
  start(options: { readonly held?: boolean } = {}): void {
    if (this.#state !== 'created')
      throw new AnilloError('STATE', `The machine is ${this.#state}; only a new one can be started, so create another.`);
    if (this.#plan === undefined) throw new AnilloError('STATE', 'The machine has nothing to boot; load a kernel or firmware first.');
    this.#state = 'running';
    this.#pauseWanted = options.held === true;
    this.clock.resume();
    this.#processors?.start();
    this.#run().then(
      (exit) => this.#exit.resolve(exit),
      (error) => this.#exit.reject(error),
    );
  }

  /** Resolves when the machine has stopped, whatever the reason. Rejects only for a defect of Anillo. */
  waitForExit(): Promise<MachineExit> {
    return this.#exit.promise;
  }

  /** Pulls the plug. Works whatever the guest does. */
  stop(detail = 'The machine was stopped.'): Promise<MachineExit> {
    const exit: MachineExit = { reason: 'stopped', status: 0, detail };
    if (this.#state === 'created') {
      this.#state = 'stopped';
      this.#exit.resolve(exit);
    } else if (this.#state !== 'stopped') {
      this.#pendingExit ??= exit;
      this.#resumed.resolve();
      this.#wake();
    }
    return this.#exit.promise;
  }

  /** Resets the machine from outside: the reset button. */
  reset(): void {
    this.#resetWanted = true;
    this.#wake();
  }

  /** Resolves when the guest stands still. */
  pause(): Promise<void> {
    if (this.#state === 'paused') return Promise.resolve();
    if (this.#state !== 'running')
      return Promise.reject(new AnilloError('STATE', `The machine is ${this.#state}; only a running one can be paused.`));
    this.#pauseWanted = true;
    this.#wake();
    return this.#pauseDone.promise;
  }

  resume(): void {
    if (this.#state !== 'paused' && this.#state !== 'running') {
      throw new AnilloError('STATE', `The machine is ${this.#state}; only a paused one can be resumed.`);
    }
    this.#pauseWanted = false;
    this.#pauseDone.resolve(); // whoever asked for a pause that is now called off
    this.#pauseDone = Promise.withResolvers<void>();
    if (this.#state === 'paused') {
      this.#state = 'running';
      this.clock.resume();
      this.#resumed.resolve();
    }
    this.#failures.tryAgain();
  }

  /** The host failed at something, and the machine pauses until it is resumed. */
  get isHeld(): boolean {
    return this.#failures.isWaiting;
  }

  /** Resolves when the host has nothing under way that touches guest memory: before a snapshot of a paused machine. */
  settled(): Promise<void> {
    return this.board.settled();
  }

  /** Stops the machine and gives its memory back. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop().catch(() => {});
    if (this.#disposed) return;
    this.#disposed = true;
    for (const device of this.board.devices) device[Symbol.dispose]?.();
    this.#vm[Symbol.dispose]();
  }

  #makeDebug(): MachineDebug {
    const machine = this;
    return {
      cpu: this.#vcpu.debug,
      cpus: [this.#vcpu.debug, ...this.#farDebug],
      get state() {
        return machine.#state;
      },
      pause: () => this.pause(),
      resume: () => this.resume(),
      step: (cpu) => this.#step(cpu),
      onPause: undefined,
    };
  }

  #step(cpu = 0): VcpuExit {
    if (this.#state !== 'paused') throw new AnilloError('STATE', `The machine is ${this.#state}; only a paused one can be stepped.`);
    const exit = this.#farDebug[cpu - 1]?.step() ?? this.#vcpu.step();
    if (this.#resetWanted) this.#reboot().catch((error: unknown) => this.#fail(error));
    if (exit.kind === 'shutdown') this.#tripleFault(exit.state);
    if (this.#pendingExit !== undefined) this.#resumed.resolve();
    return exit;
  }

  async #run(): Promise<MachineExit> {
    try {
      await this.#host.yieldToHost();
      this.#stolen = new StolenTime(this.#host);
      this.#expectation.looked();
      while (this.#pendingExit === undefined) {
        if (this.#failure !== undefined) throw this.#failure.error;
        if (this.#pauseWanted || this.#farStops.isWaiting) await this.#stay(this.#farStops.next(this.debug));
        else if (this.#resetWanted) await this.#settleAndReboot();
        else if (this.#sleep === 'waking') this.#wakeGuest();
        else {
          const exit = this.#slice();
          const isFresh = !this.#expectation.isDue;
          if (exit.kind === 'debug') await this.#stay({ exit, cpu: 0 });
          else if (exit.kind === 'shutdown') this.#tripleFault(exit.state);
          else if (exit.kind === 'halted') {
            // Unless the guest asked for something before it halted.
            if (this.#isAsked || (isFresh && !this.#expectation.isExpecting && this.#wait.nap())) continue;
            await this.#wait.sleep();
          } else if (isFresh) continue;
          else await this.#host.yieldToHost();
        }
        this.#expectation.looked();
        this.#vcpu.tellStolen(this.#stolen.totalNs());
      }
      return this.#pendingExit;
    } finally {
      await this.#processors?.end();
      this.#state = 'stopped';
      if (!this.clock.paused) this.clock.pause();
      this.#pauseDone.resolve();
    }
  }

  get #isAsked(): boolean {
    return this.#pendingExit !== undefined || this.#resetWanted || this.#pauseWanted || this.#sleep === 'waking';
  }

  /** Due timers, then guest code; the accelerator polls the timers meanwhile. */
  #slice(): VcpuExit {
    this.clock.runDue();
    if (this.#isAsked) return { kind: 'slice' };
    if (this.#sleep === 'asleep') {
      this.#processors?.serve();
      return { kind: 'halted' };
    }
    this.#inGuest = true;
    try {
      return this.#vcpu.run(SLICE_MS);
    } finally {
      this.#inGuest = false;
    }
  }

  /** Paused, until `resume` or `stop`. */
  async #stay(stop: DebugStop | undefined): Promise<void> {
    this.#processors?.stopAll();
    if (stop === undefined && !this.#pauseWanted) {
      this.#processors?.release(); // whoever waited at it goes on
      return;
    }
    this.clock.pause();
    const startNs = this.#host.nowNs();
    for (let reported = stop; ; ) {
      this.#state = 'paused';
      this.#pauseWanted = false;
      this.#resumed = Promise.withResolvers<void>();
      this.#pauseDone.resolve();
      this.debug.onPause?.(reported?.exit, reported?.cpu ?? 0);
      await this.#resumed.promise;
      // What another CPU met at the same time is reported before anybody goes on.
      reported = this.#farStops.next(this.debug);
      if (reported === undefined || this.#pendingExit !== undefined) break;
      this.clock.pause();
    }
    this.#stolen.waited(startNs);
    this.#processors?.release();
  }

  /** Nothing of the host's is to write into what comes after. */
  async #settleAndReboot(): Promise<void> {
    let isSettled = false;
    void this.board.settled().then(() => {
      isSettled = true;
      this.#host.wake();
    });
    while (!isSettled && this.#pendingExit === undefined) await this.#host.sleep(Infinity);
    if (this.#pendingExit === undefined) await this.#reboot();
  }

  async #reboot(): Promise<void> {
    this.#resetWanted = false;
    this.#resets++;
    this.#boot(await this.#planAgain());
  }

  #tripleFault(registers: string): void {
    this.#pendingExit ??= { reason: 'triple-fault', status: 1, detail: `The guest's CPU shut down (triple fault).\n${registers}` };
  }
}
