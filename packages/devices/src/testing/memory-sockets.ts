// The host's end of a socket device, in memory and under the test's hand: what the guest writes is taken when the test says so, and what it is to read is put here.

import type { VsockBackend, VsockSocket, VsockSocketEvents } from '../virtio/vsock/vsock-backend.ts';

export class MemorySocket implements VsockSocket {
  events: VsockSocketEvents | undefined = undefined;
  readonly port: number;
  /** What the guest has written. */
  written: number[] = [];
  /** Of that, bytes that have not been taken. */
  untakenBytes = 0;
  isWriteEnded = false;
  isDestroyed = false;
  hostPort: number | undefined = undefined;
  #input: Uint8Array = new Uint8Array(0);
  #isInputEnded = false;

  constructor(port: number) {
    this.port = port;
  }

  write(bytes: Uint8Array): void {
    for (const byte of bytes) this.written.push(byte);
    this.untakenBytes += bytes.length;
  }

  end(): void {
    this.isWriteEnded = true;
  }

  read(into: Uint8Array): number {
    const count = Math.min(into.length, this.#input.length);
    into.set(this.#input.subarray(0, count));
    this.#input = this.#input.subarray(count);
    return count;
  }

  get available(): number {
    return this.#input.length;
  }

  get isEnded(): boolean {
    return this.#isInputEnded && this.#input.length === 0;
  }

  accepted(hostPort: number): void {
    this.hostPort = hostPort;
  }

  destroy(): void {
    this.isDestroyed = true;
  }

  // --- The test's side ---

  take(byteCount = this.untakenBytes): void {
    this.untakenBytes -= byteCount;
    this.events?.onTaken(byteCount);
  }

  put(bytes: Uint8Array): void {
    const input = new Uint8Array(this.#input.length + bytes.length);
    input.set(this.#input);
    input.set(bytes, this.#input.length);
    this.#input = input;
    this.events?.onReadable();
  }

  endInput(): void {
    this.#isInputEnded = true;
    this.events?.onReadable();
  }

  close(isBroken = false): void {
    this.#isInputEnded = true;
    this.events?.onClosed(isBroken);
  }
}

export class MemorySockets implements VsockBackend {
  /** All that the guest has connected to. */
  sockets: MemorySocket[] = [];
  onConnection: VsockBackend['onConnection'] = undefined;

  connect(port: number): MemorySocket {
    const socket = new MemorySocket(port);
    this.sockets.push(socket);
    return socket;
  }

  /** The host connects to a port of the guest; undefined: nobody is there. */
  ask(port: number): MemorySocket | undefined {
    const socket = new MemorySocket(port);
    if (this.onConnection?.(port, socket) !== true) return undefined;
    this.sockets.push(socket);
    return socket;
  }
}
