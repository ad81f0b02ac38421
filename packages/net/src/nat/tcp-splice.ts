// A guest's TCP connection and one of the host's, joined: bytes go both ways as fast as the slower side takes them, and each side ends as the other does.

import type { Clock, ClockTimer } from '../clock.ts';
import type { HostTcpConnection, HostTcpEvents } from '../host-network.ts';
import type { TcpFlow } from '../tcp/tcp-flow.ts';
import type { TcpEnd, TcpHandler } from '../tcp/tcp-ports.ts';
import type { TokenBucket } from '../token-bucket.ts';

export interface SpliceOptions {
  readonly flow: TcpFlow;
  readonly host: HostTcpConnection;
  readonly clock: Clock;
  /** From the guest, and to it. */
  readonly upLimit: TokenBucket;
  readonly downLimit: TokenBucket;
  /** The guest has opened it; otherwise the host's side stands and the guest is to answer. */
  readonly isOutgoing: boolean;
  /** The host's side could not be opened; true: the guest has been told in another way than by a reset. */
  readonly onUnreachable: (reason: TcpEnd) => boolean;
  readonly onClosed: (splice: TcpSplice) => void;
}

/** Stops a side while at least one reason to do so holds. */
class Brake {
  #reasons = 0;
  readonly #stop: () => void;
  readonly #go: () => void;

  constructor(stop: () => void, go: () => void) {
    this.#stop = stop;
    this.#go = go;
  }

  set(reason: number): void {
    if (this.#reasons === 0) this.#stop();
    this.#reasons |= reason;
  }

  release(reason: number): void {
    if ((this.#reasons & reason) === 0) return;
    this.#reasons &= ~reason;
    if (this.#reasons === 0) this.#go();
  }
}

const NO_ROOM = 1;
const OVER_LIMIT = 2;

export class TcpSplice {
  readonly guestHandler: TcpHandler;
  readonly #options: SpliceOptions;
  readonly #guestBrake: Brake;
  readonly #hostBrake: Brake;
  readonly #timers = new Set<ClockTimer>();
  bytesUp = 0;
  bytesDown = 0;
  #isHostConnected: boolean;
  #isHostGone = false;
  #isGuestGone = false;

  constructor(options: SpliceOptions) {
    const { flow, host } = options;
    this.#options = options;
    this.#isHostConnected = !options.isOutgoing;
    this.#guestBrake = new Brake(
      () => flow.connection.pause(),
      () => flow.connection.resume(),
    );
    this.#hostBrake = new Brake(
      () => host.pause(),
      () => host.resume(),
    );
    this.guestHandler = this.#handleGuest();
    host.events = this.#handleHost();
    // Until the guest answers.
    if (!options.isOutgoing) this.#hostBrake.set(NO_ROOM);
  }

  get flow(): TcpFlow {
    return this.#options.flow;
  }

  /** Ends both sides at once. */
  abort(): void {
    const { connection } = this.flow;
    if (connection.state === 'waiting') connection.refuse();
    else connection.abort();
  }

  #handleGuest(): TcpHandler {
    const { host, upLimit } = this.#options;
    return {
      onConnected: () => this.#hostBrake.release(NO_ROOM),
      onData: (bytes) => {
        this.bytesUp += bytes.length;
        if (!host.write(bytes)) this.#guestBrake.set(NO_ROOM);
        this.#slow(upLimit, bytes.length, this.#guestBrake);
      },
      onEnd: () => host.end(),
      onRoom: () => this.#hostBrake.release(NO_ROOM),
      onClosed: (reason) => {
        this.#isGuestGone = true;
        // What the host has been given still goes out; only an end before its time is passed on as such.
        if (!this.#isHostGone && (reason !== 'closed' || !this.#isHostConnected)) host.reset();
        this.#end();
      },
    };
  }

  #handleHost(): HostTcpEvents {
    const { flow, downLimit } = this.#options;
    return {
      onConnected: () => {
        this.#isHostConnected = true;
        flow.connection.answer();
      },
      onData: (bytes) => {
        if (this.#isGuestGone) return;
        this.bytesDown += bytes.length;
        if (!flow.connection.write(bytes)) this.#hostBrake.set(NO_ROOM);
        this.#slow(downLimit, bytes.length, this.#hostBrake);
      },
      onEnd: () => {
        if (!this.#isGuestGone) flow.connection.end();
      },
      onDrain: () => this.#guestBrake.release(NO_ROOM),
      onClosed: (reason) => {
        this.#isHostGone = true;
        if (!this.#isGuestGone) this.#endGuest(reason);
        this.#end();
      },
    };
  }

  #endGuest(reason: TcpEnd): void {
    const { connection } = this.flow;
    if (!this.#isHostConnected) {
      if (reason !== 'refused' && this.#options.onUnreachable(reason)) connection.fail(reason);
      else connection.refuse();
    } else if (reason === 'closed') {
      connection.abandon();
    } else {
      connection.abort();
    }
  }

  /** Whoever is over the limit waits for as long as it takes to pay. */
  #slow(bucket: TokenBucket, byteCount: number, brake: Brake): void {
    if (!bucket.isLimited) return;
    const { clock } = this.#options;
    const waitMs = bucket.take(byteCount, clock.nowMs());
    if (waitMs <= 0) return;
    brake.set(OVER_LIMIT);
    const timer = clock.after(waitMs, () => {
      this.#timers.delete(timer);
      brake.release(OVER_LIMIT);
    });
    this.#timers.add(timer);
  }

  #end(): void {
    if (!this.#isGuestGone && this.flow.connection.state !== 'closed') return;
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
    this.#options.onClosed(this);
  }
}
