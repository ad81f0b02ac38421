// One connection of a machine's vsock at the host's end: a socket of node:net. What comes waits here up to a bound, beyond which the peer does.

import type { Socket } from 'node:net';
import type { VsockSocket, VsockSocketEvents } from '@anillo/devices/virtio/vsock/vsock-backend';

/** More than so many bytes, and the socket is not read. */
const MOST_KEPT_BYTES = 128 * 1024;

export class UnixVsockSocket implements VsockSocket {
  events: VsockSocketEvents | undefined = undefined;
  readonly #socket: Socket;
  #chunks: Uint8Array[] = [];
  #keptBytes = 0;
  #hasEnd = false;
  #isBroken = false;

  /** Connecting, or paused and connected. */
  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('connect', () => this.events?.onConnected());
    socket.on('data', (chunk: Uint8Array) => this.#keep(chunk));
    socket.on('end', () => {
      this.#hasEnd = true;
      this.events?.onReadable();
    });
    socket.on('error', () => {
      this.#isBroken = true;
    });
    socket.on('close', () => {
      this.#hasEnd = true;
      this.events?.onClosed(this.#isBroken);
    });
    if (!socket.connecting) socket.pause();
  }

  #keep(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#keptBytes += chunk.length;
    if (this.#keptBytes >= MOST_KEPT_BYTES) this.#socket.pause();
    this.events?.onReadable();
  }

  write(bytes: Uint8Array): void {
    const { length } = bytes;
    if (this.#socket.writable) this.#socket.write(bytes, (error) => (error ? undefined : this.events?.onTaken(length)));
  }

  end(): void {
    this.#socket.end();
  }

  read(into: Uint8Array): number {
    let filled = 0;
    let used = 0;
    while (filled < into.length && used < this.#chunks.length) {
      const chunk = this.#chunks[used];
      const count = Math.min(chunk.length, into.length - filled);
      into.set(chunk.subarray(0, count), filled);
      filled += count;
      if (count === chunk.length) used++;
      else this.#chunks[used] = chunk.subarray(count);
    }
    if (used > 0) this.#chunks.splice(0, used);
    this.#keptBytes -= filled;
    if (this.#keptBytes < MOST_KEPT_BYTES / 2 && this.#socket.isPaused()) this.#socket.resume();
    return filled;
  }

  get available(): number {
    return this.#keptBytes;
  }

  get isEnded(): boolean {
    return this.#hasEnd && this.#keptBytes === 0;
  }

  accepted(hostPort: number): void {
    this.#socket.write(`OK ${hostPort}\n`);
    this.#socket.resume();
  }

  destroy(): void {
    this.events = undefined;
    this.#chunks = [];
    this.#keptBytes = 0;
    this.#socket.destroy();
  }
}
