// What a TCP connection needs of whoever has it: a way for its segments, a place among the others, and somebody who takes what comes.

import type { TimerQueue } from '../timer-queue.ts';
import type { TcpConnection } from './tcp-connection.ts';

export type TcpEnd = 'closed' | 'reset' | 'refused' | 'timeout' | 'unreachable';

/** Takes the segments of one connection. */
export interface TcpCarrier {
  /** Where a segment is to be written, from the TCP header on; its ports and its checksum are the carrier's. Valid until `send`. */
  readonly buffer: Uint8Array;
  begin(): number;
  /** What has been written up to `end` is a segment; with more than `mss` bytes behind `headerBytes` it is to be cut. False: no room now, `TcpConnection.onRoom` tells. */
  send(end: number, headerBytes: number, mss: number): boolean;
  /** The largest segment that the link takes without cutting, without headers (RFC 9293, 3.7.1). */
  readonly mss: number;
  /** The same with cutting; not less than `mss`. */
  readonly largestPayload: number;
}

/** All connections of a stack have it in common. */
export interface TcpEnvironment {
  readonly timers: TimerQueue;
  nowMs(): number;
  random32(): number;
  /** How much a connection may keep, each way. */
  readonly bufferBytes: number;
  /** `connection.settle()` is to be called once what is being done is done. */
  settleSoon(connection: TcpConnection): void;
  /** A send has been refused; `connection.onRoom()` is to be called when there is room. */
  waitForRoom(connection: TcpConnection): void;
  /** Another answer to what may be an attack (RFC 5961, 7)? */
  mayChallenge(): boolean;
  /** Nothing is left of it. */
  forget(connection: TcpConnection): void;
}

/** Who uses a connection. All calls come from within the stack; all of `TcpConnection` may be called from them. */
export interface TcpHandler {
  onConnected(): void;
  /** Bytes from the peer, lent for the call. */
  onData(bytes: Uint8Array): void;
  /** The peer sends no more. */
  onEnd(): void;
  /** Room to send, after `write` has said false. */
  onRoom(): void;
  /** All is over. Called once, whatever else happens. */
  onClosed(reason: TcpEnd): void;
}
