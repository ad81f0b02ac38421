// Asks the host's name servers a question of DNS as it is, by UDP, and by TCP where the answer does not fit.

import { randomInt } from 'node:crypto';
import * as dgram from 'node:dgram';
import { getServers } from 'node:dns';
import * as net from 'node:net';

const DNS_PORT = 53;
const TIMEOUT_MS = 3000;
const SERVER_LIMIT = 3;
const TRUNCATED = 2;

interface Server {
  readonly address: string;
  readonly port: number;
}

function parseServer(text: string): Server {
  const bracketed = /^\[(.+)\]:(\d+)$/.exec(text);
  if (bracketed !== null) return { address: bracketed[1], port: Number(bracketed[2]) };
  const [address, port] = net.isIPv6(text) ? [text, undefined] : text.split(':');
  return { address, port: port === undefined ? DNS_PORT : Number(port) };
}

const isAnswer = (bytes: Uint8Array, id: number): boolean =>
  bytes.length >= 12 && ((bytes[0] << 8) | bytes[1]) === id && (bytes[2] & 0x80) !== 0;

function askByUdp(server: Server, question: Uint8Array, id: number): Promise<Uint8Array | undefined> {
  return new Promise((resolve) => {
    const socket = dgram.createSocket(net.isIPv6(server.address) ? 'udp6' : 'udp4');
    const timer = setTimeout(() => end(undefined), TIMEOUT_MS);
    const end = (answer: Uint8Array | undefined): void => {
      clearTimeout(timer);
      socket.removeAllListeners('message');
      socket.close();
      resolve(answer);
    };
    socket.once('error', () => end(undefined));
    socket.on('message', (bytes) => {
      if (isAnswer(bytes, id)) end(bytes);
    });
    // Connected: only the server itself is heard.
    socket.connect(server.port, server.address, () => socket.send(question));
  });
}

function askByTcp(server: Server, question: Uint8Array, id: number): Promise<Uint8Array | undefined> {
  return new Promise((resolve) => {
    const socket = net.connect({ host: server.address, port: server.port });
    const end = (answer: Uint8Array | undefined): void => {
      socket.destroy();
      resolve(answer);
    };
    let got = Buffer.alloc(0);
    socket.setTimeout(TIMEOUT_MS, () => end(undefined));
    socket.on('error', () => end(undefined));
    socket.on('close', () => end(undefined));
    socket.on('data', (bytes: Buffer) => {
      got = Buffer.concat([got, bytes]);
      if (got.length < 2 || got.length < 2 + got.readUInt16BE(0)) return;
      const answer = got.subarray(2, 2 + got.readUInt16BE(0));
      end(isAnswer(answer, id) ? answer : undefined);
    });
    const length = Buffer.alloc(2);
    length.writeUInt16BE(question.length);
    socket.write(Buffer.concat([length, question]));
  });
}

/** The answer with the question's identifier in it; undefined: nobody answers. */
export async function queryNameServers(question: Uint8Array): Promise<Uint8Array | undefined> {
  if (question.length < 12) return undefined;
  const own = Buffer.from(question);
  const id = randomInt(0x10000);
  own.writeUInt16BE(id, 0);
  for (const text of getServers().slice(0, SERVER_LIMIT)) {
    const server = parseServer(text);
    let answer = await askByUdp(server, own, id);
    if (answer !== undefined && (answer[2] & TRUNCATED) !== 0) answer = (await askByTcp(server, own, id)) ?? answer;
    if (answer === undefined) continue;
    const whole = Buffer.from(answer);
    whole.set(question.subarray(0, 2), 0);
    return whole;
  }
  return undefined;
}
