// Ethernet frames over sockets of the host, as QEMU's `-netdev stream`, `-netdev socket` and `-netdev dgram` speak: switches of several processes become one.

import * as dgram from 'node:dgram';
import * as net from 'node:net';
import { AnilloError } from '@anillo/base/anillo-error';
import { FrameFinisher } from '@anillo/net/frame-finisher';
import type { FramePort } from '@anillo/net/frame-port';
import { FrameStream } from '@anillo/net/frame-stream';
import type { HostEndpoint } from '@anillo/net/host-network';

/** A path of a Unix socket, or an address and a port. */
export type SocketPlace = { readonly path: string } | HostEndpoint;

export interface FrameSocket {
  /** The stream's end, ours included; a datagram socket has none but ours. */
  readonly ended: Promise<void>;
  close(): void;
}

const LARGEST_DATAGRAM_BYTES = 65_507;
const FULL_BYTES = 1024 * 1024;

const describe = (place: SocketPlace): string => ('path' in place ? place.path : `${place.address} port ${place.port}`);
const optionsOf = (place: SocketPlace) => ('path' in place ? { path: place.path } : { host: place.address, port: place.port });

/** A socket that is connected. `onText`: the other process says something; both are ours then. */
export function joinStream(socket: net.Socket, port: FramePort, onText?: (text: string) => void): FrameSocket & Pick<FrameStream, 'say'> {
  const stream = new FrameStream({
    port,
    onText,
    write: (bytes) => {
      socket.write(Buffer.from(bytes), () => {
        if (socket.writableLength <= FULL_BYTES / 2) stream.onDrain();
      });
      return socket.writableLength < FULL_BYTES;
    },
    onBroken: () => socket.destroy(),
  });
  socket.setNoDelay(true);
  socket.on('data', (bytes: Buffer) => stream.push(bytes));
  socket.on('end', () => socket.destroy());
  const ended = new Promise<void>((resolve) => {
    socket.on('close', () => {
      stream.close();
      resolve();
    });
  });
  socket.on('error', () => socket.destroy());
  return { ended, say: (text) => stream.say(text), close: () => socket.destroy() };
}

/** Joins `port` to whoever listens there. AnilloError NETWORK where nobody does. */
export function connectFrameSocket(place: SocketPlace, port: FramePort): Promise<FrameSocket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(optionsOf(place));
    const fail = (cause: NodeJS.ErrnoException): void => {
      reject(
        new AnilloError('NETWORK', `No network is reached at ${describe(place)} (${cause.code}); start the one that listens there first.`, {
          cause,
        }),
      );
    };
    socket.once('error', fail);
    socket.once('connect', () => {
      socket.off('error', fail);
      resolve(joinStream(socket, port));
    });
  });
}

/** Each that connects gets the port that `portFor` makes for it; `portGone` hears when it has left. AnilloError NETWORK where the place cannot be had. */
export function listenForFrames(
  place: SocketPlace,
  portFor: () => FramePort,
  portGone: (port: FramePort) => void,
): Promise<{ readonly local: SocketPlace; close(): void }> {
  const joined = new Set<FrameSocket>();
  const server = net.createServer((socket) => {
    const port = portFor();
    const frames = joinStream(socket, port);
    joined.add(frames);
    void frames.ended.then(() => {
      joined.delete(frames);
      portGone(port);
    });
  });
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      reject(
        new AnilloError('NETWORK', `Nobody can be listened for at ${describe(place)} (${cause.code}); choose another place.`, { cause }),
      );
    });
    server.listen(optionsOf(place), () => {
      const at = server.address();
      const local = at === null || typeof at === 'string' ? place : { address: at.address, port: at.port };
      const close = (): void => {
        server.close();
        for (const frames of joined) frames.close();
      };
      resolve({ local, close });
    });
  });
}

/** A frame a datagram, between two places. AnilloError NETWORK where `local` cannot be had. */
export function bindFrameDatagrams(local: HostEndpoint, remote: HostEndpoint, port: FramePort): Promise<FrameSocket> {
  const socket = dgram.createSocket(net.isIPv6(local.address) ? 'udp6' : 'udp4');
  const finisher = new FrameFinisher();
  const send = (frame: Uint8Array): boolean => {
    // A frame that is lost is lost, as on a wire.
    if (frame.length <= LARGEST_DATAGRAM_BYTES) socket.send(Buffer.from(frame), remote.port, remote.address, () => {});
    return true;
  };
  return new Promise((resolve, reject) => {
    socket.once('error', (cause: NodeJS.ErrnoException) => {
      reject(
        new AnilloError('NETWORK', `UDP port ${local.port} of ${local.address} cannot be used (${cause.code}); choose another.`, { cause }),
      );
    });
    socket.bind({ address: local.address, port: local.port }, () => {
      const closing = Promise.withResolvers<void>();
      socket.removeAllListeners('error').on('error', () => {});
      socket.on('message', (frame, from) => {
        if (from.port === remote.port && from.address === remote.address) port.send(frame, undefined);
      });
      socket.on('close', () => closing.resolve());
      port.receiver = { takesWork: false, send: (frame, work) => (work === undefined ? send(frame) : finisher.finish(frame, work, send)) };
      let isClosed = false;
      const close = (): void => {
        if (isClosed) return;
        isClosed = true;
        port.receiver = undefined;
        socket.close();
      };
      resolve({ ended: closing.promise, close });
    });
  });
}
