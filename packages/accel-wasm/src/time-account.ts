// Where the time of a vCPU goes: guest code by tier, and what is done between two runs of it, by the reason for which the dispatcher came back. Nothing interrupts
// generated code, so guest code is looked at when a budget is used up: at bounded numbers of guest instructions, whatever the code is.
// Without a profile only one return in ANY_PRIME is timed and stands for the others: some 20 ns a return, of which a boot has a hundred thousand.

import type { BoardPorts } from '@anillo/accel/accelerator';
import type { Profile } from '@anillo/accel/profile';
import { EXIT } from '@anillo/ir/frontend';
import type { VcpuHeader } from '@anillo/ir/vcpu-header';

/** So that it does not fall in step with what a guest does in turns. */
const ANY_PRIME = 31;

const HOST = 'TypeScript';
const GUEST = 'guest code';

/** What follows a return of the dispatcher. */
const ACTIVITIES: Readonly<Record<number, string>> = {
  [EXIT.MISS]: 'translation',
  [EXIT.HOT]: 'compilation',
  [EXIT.TRAP]: 'exceptions',
  [EXIT.POLL]: 'interrupts',
  [EXIT.BUDGET]: 'timers and host events',
};
const HALTED = 'halted';

/** Nanoseconds an instruction takes in each tier: to begin with, and then as measured where one tier was (nearly) alone. */
const FIRST_COST_NS = { interpreted: 15, compiled: 2 };
const ALONE = 0.99;
const LEARNING_RATE = 0.05;
const FEWEST_INSNS = 1000;

/** Helpers are timed one call in so many: some take no longer than looking at the clock does. */
const HELPER_STRIDE = 8;

type Tier = keyof typeof FIRST_COST_NS;
type Dispatcher = (state: number) => number;
type HeaderView = ReturnType<typeof VcpuHeader.view>;
type HostFunction = (...args: number[]) => number;

export class TimeAccount {
  readonly #profile: Profile | undefined;
  readonly #nowNs: () => number;
  readonly #stride: number;
  readonly #spentNs = new Map<string, number>();
  readonly #numbers = new Map<string, number>();
  readonly #costNs = { ...FIRST_COST_NS };
  /** Guest time since the last look at code of that tier. */
  readonly #unseenNs: Record<Tier, number> = { interpreted: 0, compiled: 0 };
  #untilTimed = 1;
  /** The timed return after which something is done now; 0: none. */
  #reason = 0;
  #leftAtNs = 0;
  /** What has been timed on its own since the last run began or ended. */
  #apartNs = 0;

  /** `nowNs`: steady. */
  constructor(profile: Profile | undefined, nowNs: () => number) {
    this.#profile = profile;
    this.#nowNs = nowNs;
    this.#stride = profile === undefined ? ANY_PRIME : 1;
  }

  /** The dispatcher, with its time taken. */
  timedDispatcher(runBlocks: Dispatcher, view: HeaderView): Dispatcher {
    return (state) => {
      if (this.#reason !== 0) this.#endActivity();
      if (--this.#untilTimed > 0) return runBlocks(state);
      this.#untilTimed = this.#stride;
      const { budget, retiredInterpreted } = view;
      this.#apartNs = 0;
      const startNs = this.#nowNs();
      const reason = runBlocks(state);
      const endNs = this.#nowNs();
      const interpreted = Number(view.retiredInterpreted - retiredInterpreted);
      const ns = Math.max(0, endNs - startNs - this.#apartNs);
      this.#spendOnGuest(ns, interpreted, Math.max(interpreted, budget - view.budget));
      if (reason === EXIT.BUDGET) this.#look(view);
      this.#apartNs = 0;
      this.#reason = reason;
      this.#leftAtNs = endNs;
      return reason;
    };
  }

  #endActivity(): void {
    const path = this.#reason === EXIT.HALT ? [HALTED] : [HOST, ACTIVITIES[this.#reason] ?? 'other exits'];
    this.#spend(path, Math.max(0, this.#nowNs() - this.#leftAtNs - this.#apartNs));
    this.#reason = 0;
  }

  /** With a profile, the host functions that generated code calls, timed; else as they are. */
  timedHelpers(helpers: Readonly<Record<string, HostFunction>>): Readonly<Record<string, HostFunction>> {
    if (this.#profile === undefined) return helpers;
    return Object.fromEntries(Object.entries(helpers).map(([name, helper]) => [name, this.#timedHelper(name, helper)]));
  }

  #timedHelper(name: string, helper: HostFunction): HostFunction {
    const path = [HOST, 'helpers', name];
    let untilTimed = 1;
    return (...args) => {
      if (--untilTimed > 0) return helper(...args);
      untilTimed = HELPER_STRIDE;
      return this.#timed(path, HELPER_STRIDE, () => helper(...args));
    };
  }

  /** With a profile, the board with the time of its devices taken; else as it is. */
  timedPorts(ports: BoardPorts): BoardPorts {
    if (this.#profile === undefined) return ports;
    const port = (number: number): readonly string[] => [HOST, 'devices', `port 0x${number.toString(16)}`];
    const page = (address: number): readonly string[] => [HOST, 'devices', `memory at 0x${(address - (address % 4096)).toString(16)}`];
    return {
      readPort: (number, byteCount) => this.#timed(port(number), 1, () => ports.readPort(number, byteCount)),
      writePort: (number, byteCount, value) => this.#timed(port(number), 1, () => ports.writePort(number, byteCount, value)),
      readMmio: (address, byteCount) => this.#timed(page(address), 1, () => ports.readMmio(address, byteCount)),
      writeMmio: (address, byteCount, value) => this.#timed(page(address), 1, () => ports.writeMmio(address, byteCount, value)),
      interrupts: (id) => ports.interrupts(id),
      nowNs: () => ports.nowNs(),
      poll: () => this.#timed([HOST, 'devices', 'timers'], 1, () => ports.poll()),
    };
  }

  /** Takes the time of one call, which stands for `calls` of them. What is timed within it is taken off. */
  #timed<T>(path: readonly string[], calls: number, call: () => T): T {
    const apartBefore = this.#apartNs;
    const startNs = this.#nowNs();
    const result = call();
    const ns = Math.max(0, this.#nowNs() - startNs - (this.#apartNs - apartBefore)) * calls;
    this.#apartNs += ns;
    this.#spend(path, ns);
    return result;
  }

  /** Divides the time of a run by what the instructions of each tier have been seen to cost. */
  #spendOnGuest(ns: number, interpreted: number, insns: number): void {
    const cost = this.#costNs;
    const compiled = insns - interpreted;
    if (insns >= FEWEST_INSNS && interpreted > ALONE * insns) cost.interpreted += LEARNING_RATE * (ns / insns - cost.interpreted);
    else if (insns >= FEWEST_INSNS && compiled > ALONE * insns) cost.compiled += LEARNING_RATE * (ns / insns - cost.compiled);
    const weight = interpreted * cost.interpreted;
    const share = insns === 0 ? 1 : weight / (weight + compiled * cost.compiled);
    this.#add('interpreted', ns * share);
    this.#add('compiled', ns * (1 - share));
    this.#unseenNs.interpreted += ns * share;
    this.#unseenNs.compiled += ns * (1 - share);
  }

  /** Guest code since the last look is what runs now: as often as it is met here, so much of the time is its own. */
  #look(view: HeaderView): void {
    if (this.#profile === undefined) return;
    // The interpreter leaves before a block that what is left does not cover, compiled code once nothing is left.
    const tier: Tier = view.budget > 0 ? 'interpreted' : 'compiled';
    const address = BigInt.asUintN(64, view.pc + view.codeBase);
    this.#profile.spend(this.#profile.code(`${GUEST}, ${tier}`, address), this.#unseenNs[tier] / 1e6);
    this.#unseenNs[tier] = 0;
  }

  #add(name: string, ns: number): void {
    this.#spentNs.set(name, (this.#spentNs.get(name) ?? 0) + ns * this.#stride);
  }

  #spend(path: readonly string[], ns: number): void {
    this.#add((path[1] ?? path[0]) as string, ns);
    if (this.#profile === undefined) return;
    const key = path.at(-1) as string;
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.#profile.activity(path);
      this.#numbers.set(key, number);
    }
    this.#profile.spend(number, ns / 1e6);
  }

  /** Milliseconds by tier and activity so far. */
  spentMs(): Readonly<Record<string, number>> {
    return Object.fromEntries(Array.from(this.#spentNs, ([name, ns]) => [name, ns / 1e6]));
  }
}
