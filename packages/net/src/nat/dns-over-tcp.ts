// Questions for names over TCP (RFC 7766): each with its length before it. One question at a time of a connection is asked; what comes meanwhile waits in the window.

import type { TcpFlow } from '../tcp/tcp-flow.ts';
import type { TcpHandler } from '../tcp/tcp-ports.ts';
import type { DnsForwarder } from './dns-forwarder.ts';

const LENGTH_BYTES = 2;
const LARGEST_QUESTION_BYTES = 4096;

export class DnsOverTcp implements TcpHandler {
  readonly #flow: TcpFlow;
  readonly #forwarder: DnsForwarder;
  #kept = new Uint8Array(0);
  #isAsking = false;
  /** Whoever asks does not take the answers: nothing more is asked until it does. */
  #isFull = false;
  #isInTurn = false;
  #isEnded = false;

  constructor(flow: TcpFlow, forwarder: DnsForwarder) {
    this.#flow = flow;
    this.#forwarder = forwarder;
  }

  onConnected(): void {}

  onData(bytes: Uint8Array): void {
    if (this.#kept.length + bytes.length > LENGTH_BYTES + 16 * LARGEST_QUESTION_BYTES) return this.#flow.connection.abort();
    const kept = new Uint8Array(this.#kept.length + bytes.length);
    kept.set(this.#kept);
    kept.set(bytes, this.#kept.length);
    this.#kept = kept;
    this.#askNext();
  }

  onEnd(): void {
    this.#isEnded = true;
    this.#askNext();
  }

  onRoom(): void {
    if (!this.#isFull) return;
    this.#isFull = false;
    this.#flow.connection.resume();
    this.#askNext();
  }

  onClosed(): void {
    this.#isEnded = true;
    this.#kept = new Uint8Array(0);
  }

  /** One after the other, for many may be answered at once. */
  #askNext(): void {
    if (this.#isInTurn) return;
    this.#isInTurn = true;
    while (!this.#isAsking && !this.#isFull && this.#askOne());
    this.#isInTurn = false;
  }

  /** False: there is no whole question. */
  #askOne(): boolean {
    const kept = this.#kept;
    const byteCount = kept.length < LENGTH_BYTES ? LARGEST_QUESTION_BYTES : (kept[0] << 8) | kept[1];
    if (byteCount > LARGEST_QUESTION_BYTES) {
      this.#flow.connection.abort();
      return false;
    }
    if (kept.length < LENGTH_BYTES + byteCount) {
      if (this.#isEnded) this.#flow.connection.end();
      return false;
    }
    this.#kept = kept.slice(LENGTH_BYTES + byteCount);
    this.#isAsking = true;
    this.#flow.connection.pause();
    let isAnswered = false;
    this.#forwarder.ask(kept.subarray(LENGTH_BYTES, LENGTH_BYTES + byteCount), true, (answer) => {
      if (isAnswered) return;
      isAnswered = true;
      this.#answer(answer);
    });
    return true;
  }

  #answer(answer: Uint8Array): void {
    const { connection } = this.#flow;
    if (connection.state === 'closed') return;
    const framed = new Uint8Array(LENGTH_BYTES + answer.length);
    framed[0] = answer.length >>> 8;
    framed[1] = answer.length;
    framed.set(answer, LENGTH_BYTES);
    this.#isFull = !connection.write(framed);
    this.#isAsking = false;
    if (!this.#isFull) connection.resume();
    this.#askNext();
  }
}
