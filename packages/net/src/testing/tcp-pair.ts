// Two TCP connections joined by a link that loses, reorders, repeats and delays what it is told to, all on a virtual clock.

import { TcpConnection } from '../tcp/tcp-connection.ts';
import type { TcpCarrier, TcpEnd, TcpEnvironment, TcpHandler } from '../tcp/tcp-ports.ts';
import { TCP_FLAGS, TcpSegment } from '../tcp/tcp-segment.ts';
import { TimerQueue } from '../timer-queue.ts';
import { createRandom, type Random } from './random.ts';
import { VirtualClock } from './virtual-clock.ts';

export interface LinkFaults {
  readonly seed?: number;
  /** In a hundred segments. */
  readonly loss?: number;
  readonly repeat?: number;
  readonly reorder?: number;
  readonly delayMs?: number;
  /** Sends that find no room. */
  readonly refusal?: number;
  readonly mss?: number;
  readonly largestPayload?: number;
  readonly bufferBytes?: number;
  /** Takes options away from SYNs on their way. */
  readonly strip?: (segment: Uint8Array) => Uint8Array;
}

/** One end, and what its user has seen. */
export class TcpEndpoint implements TcpHandler {
  readonly received: Uint8Array[] = [];
  receivedBytes = 0;
  isConnected = false;
  isEnded = false;
  closed: TcpEnd | undefined;
  closedCount = 0;
  isForgotten = false;
  hasRoom = true;
  /** Pauses after so many bytes. */
  pauseAfter = Number.POSITIVE_INFINITY;
  connection!: TcpConnection;
  onReceived: (() => void) | undefined;

  onConnected(): void {
    this.isConnected = true;
  }

  onData(bytes: Uint8Array): void {
    this.received.push(bytes.slice());
    this.receivedBytes += bytes.length;
    if (this.receivedBytes >= this.pauseAfter) this.connection.pause();
    this.onReceived?.();
  }

  onEnd(): void {
    this.isEnded = true;
  }

  onRoom(): void {
    this.hasRoom = true;
  }

  onClosed(reason: TcpEnd): void {
    this.closed = reason;
    this.closedCount++;
  }

  get bytes(): Uint8Array {
    const all = new Uint8Array(this.receivedBytes);
    let at = 0;
    for (const piece of this.received) {
      all.set(piece, at);
      at += piece.length;
    }
    return all;
  }
}

export class TcpPair {
  readonly clock = new VirtualClock();
  readonly a = new TcpEndpoint();
  readonly b = new TcpEndpoint();
  readonly random: Random;
  /** Segments that have been sent, for a look. */
  sentCount = 0;
  sentPayloadBytes = 0;
  /** Sees each segment before it goes; false: it is lost. */
  onSegment: ((from: 'a' | 'b', segment: TcpSegment) => boolean) | undefined;
  #faults: LinkFaults;
  readonly #blocked: TcpConnection[] = [];
  readonly #look = new TcpSegment();

  constructor(faults: LinkFaults = {}) {
    this.#faults = faults;
    this.random = createRandom(faults.seed ?? 1);
    this.a.connection = this.#create('a');
    this.b.connection = this.#create('b');
  }

  setFaults(faults: LinkFaults): void {
    this.#faults = { ...this.#faults, ...faults };
  }

  /** A opens, B answers. */
  connect(): void {
    this.a.connection.connect();
  }

  /** A segment comes to an end as if it had been sent by the other. */
  inject(to: 'a' | 'b', bytes: Uint8Array): void {
    const segment = new TcpSegment();
    if (segment.read(bytes, 0, bytes.length)) this.#arrive(to, segment);
    this.clock.settle();
  }

  #arrive(to: 'a' | 'b', segment: TcpSegment): void {
    const { connection } = this[to];
    if (to === 'b' && connection.state === 'waiting' && segment.has(TCP_FLAGS.syn)) {
      connection.listen(segment);
      connection.answer();
    } else {
      connection.receive(segment);
    }
  }

  #create(name: 'a' | 'b'): TcpConnection {
    const endpoint = this[name];
    const { clock } = this;
    const environment: TcpEnvironment = {
      timers: new TimerQueue(clock),
      nowMs: () => clock.nowMs(),
      random32: () => (name === 'a' ? 0xffff_f000 : 0x7fff_f000) + this.random(0x800),
      bufferBytes: this.#faults.bufferBytes ?? 256 * 1024,
      settleSoon: (connection) => {
        connection.isSettling = true;
        clock.soon(() => {
          connection.isSettling = false;
          connection.settle();
        });
      },
      waitForRoom: (connection) => {
        this.#blocked.push(connection);
        clock.after(1, () => {
          for (const blocked of this.#blocked.splice(0)) blocked.onRoom();
        });
      },
      mayChallenge: () => true,
      forget: () => {
        endpoint.isForgotten = true;
      },
    };
    return new TcpConnection(environment, this.#carrier(name), endpoint);
  }

  #carrier(from: 'a' | 'b'): TcpCarrier {
    const buffer = new Uint8Array(70_000);
    return {
      buffer,
      begin: () => 16,
      mss: this.#faults.mss ?? 1460,
      largestPayload: this.#faults.largestPayload ?? 1448,
      send: (end) => {
        if (this.random(100) < (this.#faults.refusal ?? 0)) return false;
        this.#send(from, buffer.slice(16, end));
        return true;
      },
    };
  }

  #send(from: 'a' | 'b', sent: Uint8Array): void {
    const { loss = 0, repeat = 0, reorder = 0, delayMs = 1, strip } = this.#faults;
    const bytes = strip?.(sent) ?? sent;
    this.sentCount++;
    this.#look.read(bytes, 0, bytes.length);
    this.sentPayloadBytes += this.#look.payloadBytes;
    if (this.onSegment?.(from, this.#look) === false || this.random(100) < loss) return;
    const copies = this.random(100) < repeat ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      const lateMs = this.random(100) < reorder ? this.random(20) : 0;
      this.clock.after(delayMs + lateMs, () => {
        const segment = new TcpSegment();
        if (segment.read(bytes, 0, bytes.length)) this.#arrive(from === 'a' ? 'b' : 'a', segment);
      });
    }
  }
}
