// TCP connections of the host by node:net, as the NAT wants them. Reads go into one buffer that all share, writes into a few that come back.

import * as net from 'node:net';
import type { HostEndpoint, HostTcpConnection, HostTcpEvents } from '@anillo/net/host-network';

const READ_BYTES = 128 * 1024;
const POOLED_BYTES = 64 * 1024;
const POOL_LIMIT = 32;
/** So much may wait in a socket before its writer is told to stop. */
const FULL_BYTES = 512 * 1024;
/** Smaller pieces are not worth a pooled buffer. */
const SMALL_BYTES = 4096;

type EndReason = Parameters<HostTcpEvents['onClosed']>[0];

/** What the connections of one network have in common. */
export class TcpBuffers {
  readonly read = new Uint8Array(READ_BYTES);
  readonly #pool: Buffer[] = [];

  take(): Buffer {
    return this.#pool.pop() ?? Buffer.allocUnsafeSlow(POOLED_BYTES);
  }

  giveBack(buffer: Buffer): void {
    if (this.#pool.length < POOL_LIMIT) this.#pool.push(buffer);
  }
}

export function endReason(error: NodeJS.ErrnoException | undefined): EndReason {
  switch (error?.code) {
    case undefined:
      return 'closed';
    case 'ECONNREFUSED':
      return 'refused';
    case 'ETIMEDOUT':
      return 'timeout';
    case 'ECONNRESET':
    case 'ECONNABORTED':
    case 'EPIPE':
      return 'reset';
    default:
      return 'unreachable';
  }
}

export class NodeTcpConnection implements HostTcpConnection {
  readonly remote: HostEndpoint;
  events: HostTcpEvents | undefined;
  readonly #socket: net.Socket;
  readonly #buffers: TcpBuffers;
  #error: NodeJS.ErrnoException | undefined;
  #isFull = false;
  #isReset = false;
  #isPaused = false;

  private constructor(remote: HostEndpoint, buffers: TcpBuffers, socketOf: (connection: NodeTcpConnection) => net.Socket) {
    this.remote = remote;
    this.#buffers = buffers;
    this.#socket = socketOf(this);
    this.#socket.setNoDelay(true);
    this.#socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#error = error;
    });
    this.#socket.on('end', () => this.events?.onEnd());
    this.#socket.on('close', () => this.events?.onClosed(this.#isReset ? 'reset' : endReason(this.#error)));
  }

  static connect(to: HostEndpoint, buffers: TcpBuffers): NodeTcpConnection {
    const open = (connection: NodeTcpConnection): net.Socket => {
      const onread = {
        buffer: buffers.read,
        callback: (byteCount: number): boolean => {
          connection.events?.onData(buffers.read.subarray(0, byteCount));
          return true;
        },
      };
      const socket = net.connect({ host: to.address, port: to.port, allowHalfOpen: true, autoSelectFamily: false, onread });
      socket.on('connect', () => connection.events?.onConnected());
      return socket;
    };
    return new NodeTcpConnection(to, buffers, open);
  }

  /** One that a server has accepted, paused. */
  static accept(socket: net.Socket, buffers: TcpBuffers): NodeTcpConnection {
    const remote = { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 };
    return new NodeTcpConnection(remote, buffers, (connection) => socket.on('data', (bytes: Buffer) => connection.events?.onData(bytes)));
  }

  get local(): HostEndpoint {
    return { address: this.#socket.localAddress ?? '', port: this.#socket.localPort ?? 0 };
  }

  write(bytes: Uint8Array): boolean {
    if (this.#socket.destroyed || this.#socket.writableEnded) return true;
    for (let at = 0; at < bytes.length; at += POOLED_BYTES) this.#writePiece(bytes.subarray(at, at + POOLED_BYTES));
    this.#isFull = this.#socket.writableLength >= FULL_BYTES;
    return !this.#isFull;
  }

  #writePiece(bytes: Uint8Array): void {
    const socket = this.#socket;
    const isPooled = bytes.length > SMALL_BYTES;
    const buffer = isPooled ? this.#buffers.take() : Buffer.from(bytes);
    if (isPooled) buffer.set(bytes);
    socket.write(isPooled ? buffer.subarray(0, bytes.length) : buffer, () => {
      if (isPooled) this.#buffers.giveBack(buffer);
      if (!this.#isFull || socket.destroyed || socket.writableLength > FULL_BYTES / 2) return;
      this.#isFull = false;
      this.events?.onDrain();
    });
  }

  end(): void {
    this.#socket.end();
  }

  reset(): void {
    this.#isReset = true;
    this.#socket.resetAndDestroy();
  }

  /** Accepted sockets stand still until somebody listens; if that one wants it so, longer. */
  start(): void {
    if (!this.#isPaused) this.#socket.resume();
  }

  pause(): void {
    this.#isPaused = true;
    this.#socket.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#socket.resume();
  }
}
