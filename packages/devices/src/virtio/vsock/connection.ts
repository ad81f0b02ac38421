// One connection of a socket device: its state, and the credit of both ends (Virtio 1.2, 5.10.6.3). What is due to the guest is remembered as flags, so a guest that takes
// nothing costs no memory.
//
//   guest's REQUEST --> connecting --the host's end stands--> open --both ends have ended--> gone
//   host's CONNECT  --> asking ------the guest's RESPONSE---> open --the guest closes------> closing --all was taken--> gone
//   RST of either end, or a broken rule: gone at once

import { OP, SHUTDOWN } from './packet.ts';
import type { VsockSocket } from './vsock-backend.ts';

/** What is due to the guest, in the order in which it is sent. */
export const DUE = { reset: 1, request: 2, response: 4, credit: 8, creditRequest: 16, data: 32, endOfData: 64, closed: 128 } as const;

export interface DuePacket {
  readonly op: number;
  readonly flags: number;
  /** The connection is gone when it has been sent. */
  readonly isLast: boolean;
}

const PACKETS: readonly (readonly [due: number, packet: DuePacket])[] = [
  [DUE.reset, { op: OP.reset, flags: 0, isLast: true }],
  [DUE.request, { op: OP.request, flags: 0, isLast: false }],
  [DUE.response, { op: OP.response, flags: 0, isLast: false }],
  [DUE.credit, { op: OP.creditUpdate, flags: 0, isLast: false }],
  [DUE.creditRequest, { op: OP.creditRequest, flags: 0, isLast: false }],
  [DUE.data, { op: OP.data, flags: 0, isLast: false }],
  [DUE.endOfData, { op: OP.shutdown, flags: SHUTDOWN.send, isLast: false }],
  [DUE.closed, { op: OP.shutdown, flags: SHUTDOWN.both, isLast: true }],
];

export class VsockConnection {
  readonly socket: VsockSocket;
  readonly guestPort: number;
  readonly hostPort: number;
  /** The guest's window: so many bytes of it may wait for the host. */
  readonly windowBytes: number;
  state: 'connecting' | 'asking' | 'open' | 'closing' = 'connecting';
  /** It is in the line of those that have something for the guest. */
  isQueued = false;
  due = 0;
  /** The host's end is closed, and only what it left is still to be read. */
  isHostClosed = false;
  /** What the guest has said that it will not do any more. */
  guestShutdown = 0;

  // From the guest: counts modulo 2^32.
  #receivedBytes = 0;
  #takenBytes = 0;
  #toldBytes = 0;
  // To the guest.
  #sentBytes = 0;
  #guestBufferBytes = 0;
  #guestTakenBytes = 0;
  #hasAskedForCredit = false;
  #hasToldEnd = false;

  constructor(socket: VsockSocket, guestPort: number, hostPort: number, windowBytes: number) {
    this.socket = socket;
    this.guestPort = guestPort;
    this.hostPort = hostPort;
    this.windowBytes = windowBytes;
  }

  // --- From the guest ---

  /** Bytes of the guest that the host's end has not taken. */
  get waitingBytes(): number {
    return (this.#receivedBytes - this.#takenBytes) >>> 0;
  }

  /** Data have come; false: more than the guest may send. */
  receive(byteCount: number): boolean {
    if (byteCount > this.windowBytes - this.waitingBytes) return false;
    this.#receivedBytes = (this.#receivedBytes + byteCount) >>> 0;
    return true;
  }

  /** The host's end has taken so much; does the guest have to hear of it now? */
  taken(byteCount: number): boolean {
    this.#takenBytes = (this.#takenBytes + byteCount) >>> 0;
    return (this.#takenBytes - this.#toldBytes) >>> 0 >= this.windowBytes / 4;
  }

  /** What goes into a header to the guest, which knows it then. */
  tellCredit(): number {
    this.#toldBytes = this.#takenBytes;
    this.due &= ~DUE.credit;
    return this.#takenBytes;
  }

  // --- To the guest ---

  /** Each packet of the guest tells its room; who counts more than was sent has none. */
  setGuestCredit(bufferBytes: number, takenBytes: number): void {
    this.#guestBufferBytes = bufferBytes;
    this.#guestTakenBytes = takenBytes;
    if (this.credit > 0) this.#hasAskedForCredit = false;
  }

  get credit(): number {
    return Math.max(0, this.#guestBufferBytes - ((this.#sentBytes - this.#guestTakenBytes) >>> 0));
  }

  sent(byteCount: number): void {
    this.#sentBytes = (this.#sentBytes + byteCount) >>> 0;
  }

  /** Looks at the host's end: data and their end become due; without credit the guest is asked for it, once. */
  look(): void {
    if (this.state !== 'open') return;
    const { available, isEnded } = this.socket;
    if (available > 0 && (this.guestShutdown & SHUTDOWN.receive) === 0) {
      if (this.credit > 0) this.due |= DUE.data;
      else if (!this.#hasAskedForCredit) {
        this.#hasAskedForCredit = true;
        this.due |= DUE.creditRequest;
      }
    } else if (this.isHostClosed) this.due |= DUE.closed;
    else if (isEnded && !this.#hasToldEnd) {
      this.#hasToldEnd = true;
      this.due |= DUE.endOfData;
    }
  }

  /** The packet to send next. */
  takeDue(): DuePacket | undefined {
    const found = PACKETS.find(([bit]) => (this.due & bit) !== 0);
    if (found === undefined) return undefined;
    this.due &= ~found[0];
    return found[1];
  }
}
