// Addresses as calls of the C library have them: sockaddr_in and sockaddr_in6 of Linux. The family is in the host's byte order, all else in the network's.

import { isIPv6 } from 'node:net';
import type { HostEndpoint } from '@anillo/net/host-network';

export const AF_INET = 2;
export const AF_INET6 = 10;
/** Of the larger. */
export const SOCKET_ADDRESS_BYTES = 28;

function bytesOfV4(address: string): number[] {
  return address.split('.').map(Number);
}

function bytesOfV6(address: string): number[] {
  const [head, tail = ''] = address.split('::');
  const groups = (text: string): number[] => (text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16)));
  const first = groups(head);
  const last = address.includes('::') ? groups(tail) : [];
  const all = [...first, ...new Array<number>(Math.max(0, 8 - first.length - last.length)).fill(0), ...last];
  return all.flatMap((group) => [group >>> 8, group & 0xff]);
}

export function socketAddress(address: string, port: number): Uint8Array {
  const isV6 = isIPv6(address);
  const bytes = new Uint8Array(isV6 ? 28 : 16);
  new Uint16Array(bytes.buffer, 0, 1)[0] = isV6 ? AF_INET6 : AF_INET;
  bytes.set([port >>> 8, port & 0xff], 2);
  bytes.set(isV6 ? bytesOfV6(address) : bytesOfV4(address), isV6 ? 8 : 4);
  return bytes;
}

export function endpointOf(bytes: Uint8Array): HostEndpoint {
  const port = (bytes[2] << 8) | bytes[3];
  if (new Uint16Array(bytes.buffer, bytes.byteOffset, 1)[0] === AF_INET) return { address: bytes.subarray(4, 8).join('.'), port };
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[8 + 2 * i] << 8) | bytes[9 + 2 * i]).toString(16));
  return { address: groups.join(':'), port };
}
