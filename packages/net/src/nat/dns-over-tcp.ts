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

  onRoom(): void {}

  onClosed(): void {
    this.#isEnded = true;
    this.#kept = new Uint8Array(0);
  }

  #askNext(): void {
    if (this.#isAsking) return;
    const kept = this.#kept;
    const byteCount = kept.length < LENGTH_BYTES ? LARGEST_QUESTION_BYTES : (kept[0] << 8) | kept[1];
    if (byteCount > LARGEST_QUESTION_BYTES) return this.#flow.connection.abort();
    if (kept.length < LENGTH_BYTES + byteCount) {
      if (this.#isEnded) this.#flow.connection.end();
      return;
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
  }

  #answer(answer: Uint8Array): void {
    const { connection } = this.#flow;
    if (connection.state === 'closed') return;
    const framed = new Uint8Array(LENGTH_BYTES + answer.length);
    framed[0] = answer.length >>> 8;
    framed[1] = answer.length;
    framed.set(answer, LENGTH_BYTES);
    connection.write(framed);
    this.#isAsking = false;
    connection.resume();
    this.#askNext();
  }
}
