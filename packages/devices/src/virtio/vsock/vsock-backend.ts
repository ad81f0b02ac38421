// What a socket device needs of the host's end of connections: numbered ports, and streams of bytes both ways. `host-node` has Unix sockets of this shape.

/** Told by the host's end of one connection; never from within a call of the device's to it. */
export interface VsockSocketEvents {
  /** A connection that the guest asked for stands. */
  onConnected(): void;
  /** So many of the bytes written have gone on, in their order. */
  onTaken(byteCount: number): void;
  /** There is something to `read`, or the end has come. */
  onReadable(): void;
  /** Nothing can be written any more, and nothing comes beyond what `read` still gives. `isBroken`: not by an orderly end; then nothing is to be read either. */
  onClosed(isBroken: boolean): void;
}

/** The host's end of one connection. */
export interface VsockSocket {
  events: VsockSocketEvents | undefined;
  /** Bytes of the guest, its own from now on. There are never more than the device's window that have not been taken. */
  write(bytes: Uint8Array): void;
  /** The guest writes no more. */
  end(): void;
  /** Copies what has come, as much as there is room for; gives the number of bytes. It keeps a bounded number of them, and then its peer waits. */
  read(into: Uint8Array): number;
  readonly available: number;
  /** The peer writes no more, and all that it wrote was read. */
  readonly isEnded: boolean;
  /** For connections of the host's: the guest has taken it, as this port of the host's. */
  accepted(hostPort: number): void;
  /** Lets go at once. No events follow. */
  destroy(): void;
}

export interface VsockBackend {
  /** The guest connects to a port of the host. `onConnected` or `onClosed` tells what becomes of it. */
  connect(port: number): VsockSocket;
  /** The host connects to a port of the guest, and the device takes the socket. False: nobody is there. */
  onConnection: ((port: number, socket: VsockSocket) => boolean) | undefined;
}
