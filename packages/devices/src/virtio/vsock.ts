// Socket device (Virtio 1.2, 5.10): streams between numbered ports of the guest and of the host. Each connection has a window each way, so neither end that does not read
// makes the other's bytes pile up; what has no room in the receive queue is remembered as flags of connections, and a bounded number of answers to strays.

import type { DeviceContext } from '../device.ts';
import { type Chain, gather, partOf, scatter } from './chain.ts';
import { declareVirtio } from './declare-virtio.ts';
import type { KindLink, VirtioKind } from './virtio-device.ts';
import type { Virtqueue } from './virtqueue.ts';
import { DUE, type DuePacket, VsockConnection } from './vsock/connection.ts';
import {
  HOST_CID,
  OP,
  PACKET_HEADER_BYTES,
  type PacketHeader,
  readPacketHeader,
  SHUTDOWN,
  STREAM,
  writePacketHeader,
} from './vsock/packet.ts';
import type { VsockBackend, VsockSocket } from './vsock/vsock-backend.ts';

const F = { stream: 0 } as const;
const QUEUE = { receive: 0, transmit: 1, event: 2 } as const;
const QUEUE_SIZE = 128;
const EVENT_BYTES = 4;
/** 5.10.6.7: the transport's state is gone, as after a snapshot. */
const TRANSPORT_RESET = 0;

const MOST_CONNECTIONS = 1024;
/** Bytes of a connection that wait for the host: a wide window for the first ones, a narrow one beyond. */
const WINDOW_BYTES = { wide: 256 * 1024, narrow: 32 * 1024 } as const;
const MOST_WIDE = 128;
/** Answers to packets of no connection; while so many wait nothing is taken from the guest. */
const MOST_STRAYS = 256;
/** Data of one packet; Linux takes no longer ones. */
const MOST_DATA = 64 * 1024;
/** Ports of the host for connections that it begins: above those that programs choose. */
const FIRST_HOST_PORT = 2 ** 30;
const HOST_PORTS = 2 ** 30;

type Host = Pick<DeviceContext, 'expectHost'>;

const keyOf = (guestPort: number, hostPort: number): string => `${guestPort}:${hostPort}`;

export class Vsock implements VirtioKind {
  readonly name = 'virtio-vsock';
  readonly deviceId = 19;
  readonly features = [F.stream];
  readonly queueSizes = [QUEUE_SIZE, QUEUE_SIZE, QUEUE_SIZE];
  readonly config = new Uint8Array(8);
  /** Connections end with the life of the machine in which they were made: a machine that is restored tells its guest so. */
  readonly state = {
    save: (): Uint8Array => new Uint8Array(0),
    restore: (): void => {
      this.#mustTellReset = true;
    },
  };
  readonly #cid: number;
  readonly #backend: VsockBackend;
  readonly #host: Host;
  readonly #connections = new Map<string, VsockConnection>();
  readonly #header = new Uint8Array(PACKET_HEADER_BYTES);
  /** Connections with something for the guest, each once. */
  #line: VsockConnection[] = [];
  #strays: PacketHeader[] = [];
  #nextHostPort = 0;
  #isPumping = false;
  #isTransmitHeld = false;
  #mustTellReset = false;
  #link!: KindLink;

  constructor(cid: number, backend: VsockBackend, host: Host) {
    this.#cid = cid;
    this.#backend = backend;
    this.#host = host;
    new DataView(this.config.buffer).setUint32(0, cid, true);
    backend.onConnection = (port, socket) => this.#ask(port, socket);
  }

  attach(link: KindLink): void {
    this.#link = link;
  }

  reset(): void {
    for (const connection of this.#connections.values()) connection.socket.destroy();
    this.#connections.clear();
    this.#line = [];
    this.#strays = [];
    this.#isTransmitHeld = false;
    this.#mustTellReset = false;
  }

  dispose(): void {
    this.#backend.onConnection = undefined;
    this.reset();
  }

  notified(queue: Virtqueue): void {
    if (queue.index === QUEUE.transmit) this.#transmit(queue);
    else if (queue.index === QUEUE.receive) this.#pump();
    else this.#tellReset(queue);
  }

  #tellReset(queue: Virtqueue): void {
    if (!this.#mustTellReset) return;
    const chain = queue.next();
    if (chain === undefined) return;
    this.#mustTellReset = false;
    queue.complete(chain, scatter(chain.writable, 0, Uint8Array.of(TRANSPORT_RESET, 0, 0, 0).subarray(0, EVENT_BYTES)));
  }

  // --- Connections ---

  #add(socket: VsockSocket, guestPort: number, hostPort: number): VsockConnection {
    const windowBytes = this.#connections.size < MOST_WIDE ? WINDOW_BYTES.wide : WINDOW_BYTES.narrow;
    const connection = new VsockConnection(socket, guestPort, hostPort, windowBytes);
    this.#connections.set(keyOf(guestPort, hostPort), connection);
    socket.events = {
      onConnected: () => this.#hostConnected(connection),
      onTaken: (byteCount) => this.#hostTook(connection, byteCount),
      onReadable: () => this.#look(connection),
      onClosed: (isBroken) => this.#hostClosed(connection, isBroken),
    };
    return connection;
  }

  /** Gone, at both ends. */
  #drop(connection: VsockConnection): void {
    this.#connections.delete(keyOf(connection.guestPort, connection.hostPort));
    this.#unqueue(connection);
    connection.socket.events = undefined;
    connection.socket.destroy();
  }

  /** Gone; the guest is told when there is room for that. */
  #break(connection: VsockConnection): void {
    connection.socket.events = undefined;
    connection.socket.destroy();
    connection.state = 'closing';
    connection.due = 0;
    this.#queue(connection, DUE.reset);
  }

  #queue(connection: VsockConnection, due: number): void {
    connection.due |= due;
    if (connection.due !== 0 && !connection.isQueued) {
      connection.isQueued = true;
      this.#line.push(connection);
    }
    this.#pump();
  }

  #unqueue(connection: VsockConnection): void {
    if (!connection.isQueued) return;
    connection.isQueued = false;
    this.#line.splice(this.#line.indexOf(connection), 1);
  }

  // --- The host's side ---

  /** The host connects to a port of the guest. */
  #ask(guestPort: number, socket: VsockSocket): boolean {
    if (!this.#link.isRunning || this.#connections.size >= MOST_CONNECTIONS) return false;
    let hostPort: number;
    do {
      hostPort = FIRST_HOST_PORT + this.#nextHostPort;
      this.#nextHostPort = (this.#nextHostPort + 1) % HOST_PORTS;
    } while (this.#connections.has(keyOf(guestPort, hostPort)));
    const connection = this.#add(socket, guestPort, hostPort);
    connection.state = 'asking';
    this.#queue(connection, DUE.request);
    return true;
  }

  #hostConnected(connection: VsockConnection): void {
    if (connection.state !== 'connecting') return;
    connection.state = 'open';
    connection.look();
    this.#queue(connection, DUE.response);
  }

  #hostTook(connection: VsockConnection, byteCount: number): void {
    this.#host.expectHost();
    const isWorthTelling = connection.taken(byteCount);
    if (connection.state === 'closing' && connection.waitingBytes === 0) this.#queue(connection, DUE.reset);
    else if (connection.state === 'open' && isWorthTelling) this.#queue(connection, DUE.credit);
  }

  #look(connection: VsockConnection): void {
    this.#host.expectHost();
    connection.look();
    this.#queue(connection, 0);
  }

  #hostClosed(connection: VsockConnection, isBroken: boolean): void {
    connection.isHostClosed = true;
    if (isBroken || connection.state !== 'open') this.#break(connection);
    else this.#look(connection);
  }

  // --- Guest to host ---

  #transmit(queue: Virtqueue): void {
    if (this.#isTransmitHeld) return;
    this.#host.expectHost();
    this.#link.serve(queue, (chain) => {
      this.#take(chain);
      queue.give(chain, 0);
      this.#isTransmitHeld = this.#strays.length >= MOST_STRAYS;
      return !this.#isTransmitHeld;
    });
    queue.tell();
    this.#pump();
  }

  #take(chain: Chain): void {
    if (gather(chain.readable, 0, this.#header) < PACKET_HEADER_BYTES) {
      this.#link.fail('a packet without a header');
      return;
    }
    const header = readPacketHeader(this.#header);
    if (header.sourceCid !== this.#cid) return;
    const connection = this.#connections.get(keyOf(header.sourcePort, header.destinationPort));
    if (header.destinationCid !== HOST_CID || header.type !== STREAM || header.byteCount > chain.readableBytes - PACKET_HEADER_BYTES)
      this.#refuse(header);
    else if (header.op === OP.request) this.#requested(header, connection);
    else if (connection === undefined) this.#refuse(header);
    else if ((connection.due & DUE.reset) === 0) {
      connection.setGuestCredit(header.bufferBytes, header.takenBytes);
      this.#serve(connection, header, chain);
    }
  }

  /** A stray is answered by a reset, except a reset. */
  #refuse({ op, type, sourcePort, destinationPort, destinationCid }: PacketHeader): void {
    if (op === OP.reset) return;
    this.#strays.push({
      sourceCid: destinationCid,
      destinationCid: this.#cid,
      sourcePort: destinationPort,
      destinationPort: sourcePort,
      ...{ byteCount: 0, type, op: OP.reset, flags: 0, bufferBytes: 0, takenBytes: 0 },
    });
  }

  #requested(header: PacketHeader, known: VsockConnection | undefined): void {
    if (known !== undefined) this.#break(known);
    else if (this.#connections.size >= MOST_CONNECTIONS) this.#refuse(header);
    else {
      const { sourcePort, destinationPort, bufferBytes, takenBytes } = header;
      const connection = this.#add(this.#backend.connect(destinationPort), sourcePort, destinationPort);
      connection.setGuestCredit(bufferBytes, takenBytes);
    }
  }

  #serve(connection: VsockConnection, header: PacketHeader, chain: Chain): void {
    const { state, socket } = connection;
    const { op } = header;
    if (op === OP.reset) this.#guestReset(connection);
    else if (state === 'asking') {
      if (op !== OP.response) this.#break(connection);
      else {
        connection.state = 'open';
        socket.accepted(connection.hostPort);
        this.#look(connection);
      }
    } else if (op === OP.data && state === 'open') this.#receive(connection, header, chain);
    else if (op === OP.shutdown) this.#guestShutdown(connection, header.flags);
    else if (op === OP.creditRequest) this.#queue(connection, DUE.credit);
    else if (op === OP.creditUpdate) this.#look(connection);
    else this.#break(connection);
  }

  /** What the guest wrote before it closed still goes to the host; else a reset is one for the host too. */
  #guestReset(connection: VsockConnection): void {
    if (connection.state !== 'closing' || connection.waitingBytes === 0) this.#drop(connection);
  }

  #receive(connection: VsockConnection, { byteCount }: PacketHeader, chain: Chain): void {
    if ((connection.guestShutdown & SHUTDOWN.send) !== 0 || !connection.receive(byteCount)) {
      this.#break(connection);
      return;
    }
    if (byteCount > 0) {
      const bytes = new Uint8Array(byteCount);
      gather(chain.readable, PACKET_HEADER_BYTES, bytes);
      connection.socket.write(bytes);
    }
    this.#look(connection);
  }

  #guestShutdown(connection: VsockConnection, flags: number): void {
    const before = connection.guestShutdown;
    connection.guestShutdown |= flags & SHUTDOWN.both;
    if ((connection.guestShutdown & ~before & SHUTDOWN.send) !== 0) connection.socket.end();
    if ((flags & SHUTDOWN.receive) !== 0) connection.due &= ~DUE.data;
    if (connection.due === 0) this.#unqueue(connection);
    if (connection.guestShutdown !== SHUTDOWN.both) return;
    connection.state = 'closing';
    if (connection.waitingBytes === 0) this.#queue(connection, DUE.reset);
  }

  // --- Host to guest ---

  /** Sends what is due as long as there are buffers, a packet of each connection in turn. */
  #pump(): void {
    if (this.#isPumping || !this.#link.isRunning) return;
    this.#isPumping = true;
    const queue = this.#link.queues[QUEUE.receive];
    try {
      while (this.#strays.length + this.#line.length > 0) {
        const chain = queue.next();
        if (chain === undefined) break;
        if (chain.writableBytes <= PACKET_HEADER_BYTES) {
          this.#link.fail('a buffer for packets that has no room for one');
          break;
        }
        queue.give(chain, this.#fill(chain));
      }
    } finally {
      this.#isPumping = false;
    }
    queue.tell();
    if (!this.#isTransmitHeld || this.#strays.length >= MOST_STRAYS) return;
    this.#isTransmitHeld = false;
    this.#link.later(this.#link.queues[QUEUE.transmit]);
  }

  /** Gives the number of bytes. */
  #fill(chain: Chain): number {
    const stray = this.#strays.shift();
    if (stray !== undefined) return this.#put(chain, stray);
    const connection = this.#line.shift() as VsockConnection;
    connection.isQueued = false;
    return this.#send(chain, connection, connection.takeDue() as DuePacket);
  }

  #send(chain: Chain, connection: VsockConnection, { op, flags, isLast }: DuePacket): number {
    const { guestPort, hostPort, windowBytes } = connection;
    const byteCount = op === OP.data ? this.#copyData(chain, connection) : 0;
    const header = {
      ...{ sourceCid: HOST_CID, destinationCid: this.#cid, sourcePort: hostPort, destinationPort: guestPort },
      ...{ byteCount, type: STREAM, op, flags, bufferBytes: windowBytes, takenBytes: connection.tellCredit() },
    };
    if (isLast) this.#drop(connection);
    else {
      connection.look();
      this.#queue(connection, 0);
    }
    return this.#put(chain, header) + byteCount;
  }

  #copyData(chain: Chain, connection: VsockConnection): number {
    const most = Math.min(chain.writableBytes - PACKET_HEADER_BYTES, connection.credit, MOST_DATA);
    let byteCount = 0;
    for (const part of partOf(chain.writable, PACKET_HEADER_BYTES, most)) byteCount += connection.socket.read(part);
    connection.sent(byteCount);
    return byteCount;
  }

  #put(chain: Chain, header: PacketHeader): number {
    writePacketHeader(header, this.#header);
    return scatter(chain.writable, 0, this.#header);
  }
}

export const virtioVsock = declareVirtio({
  name: 'virtio-vsock',
  summary: "Sockets between the guest's programs and the host's",
  classCode: 0x078000,
  properties: {
    sockets: { kind: 'backend', of: 'vsock', summary: 'Where the host has its ends, by the name that it was given', default: undefined },
    'guest-cid': { kind: 'number', summary: "The guest's number", default: 3, minimum: 3, maximum: 0xfffffffe },
  },
  create: (context, p) => new Vsock(p['guest-cid'], context.backends.vsock(p.sockets, 'virtio-vsock'), context),
});
