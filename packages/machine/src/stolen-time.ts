// How long a vCPU's thread had no processor of the host though it wanted one: the time that has passed, less what it waited of its own accord and less what
// it computed. Guests see it as steal time.

import type { MachineHost } from './machine-host.ts';

/** Hosts bring a running thread's account up to date this late. */
const ACCOUNT_LATE_NS = 10e6;

export class StolenTime {
  readonly #nowNs: () => number;
  readonly #usedNs: () => number;
  readonly #startNs: number;
  #waitedNs = 0;
  #totalNs = 0;

  /** On the vCPU's thread. A host that does not count processor time steals none. */
  constructor({ nowNs, threadNs }: Pick<MachineHost, 'nowNs' | 'threadNs'>) {
    this.#nowNs = nowNs;
    this.#usedNs = threadNs ?? nowNs;
    this.#startNs = nowNs() - this.#usedNs();
  }

  /** The thread had nothing to do since then. */
  waited(sinceNs: number): void {
    this.#waitedNs += this.#nowNs() - sinceNs;
  }

  /** Never goes back. */
  totalNs(): number {
    const idleNs = this.#nowNs() - this.#usedNs() - this.#startNs - this.#waitedNs;
    this.#totalNs = Math.max(this.#totalNs, idleNs - ACCOUNT_LATE_NS);
    return this.#totalNs;
  }
}
