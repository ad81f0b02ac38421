// Stateless DHCPv6 (RFC 8415, 18.3.6): the name server and search list for machines that make addresses of their own.

import type { IpAddress } from '../ip-address.ts';
import { writeMac } from '../mac-address.ts';
import { read16, write16 } from '../network-order.ts';
import { writeName } from './dns-message.ts';

const INFORMATION_REQUEST = 11;
const REPLY = 7;
const OPTION_CLIENT = 1;
const OPTION_SERVER = 2;
const OPTION_NAME_SERVERS = 23;
const OPTION_SEARCH_LIST = 24;
const LARGEST_IDENTIFIER_BYTES = 130;

export interface Dhcpv6Options {
  readonly mac: number;
  readonly nameServer: IpAddress;
  readonly searchDomains: readonly string[];
}

function option(code: number, value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + value.length);
  write16(bytes, 0, code);
  write16(bytes, 2, value.length);
  bytes.set(value, 4);
  return bytes;
}

/** Undefined: nothing is to be answered. */
export function answerDhcpv6(message: Uint8Array, options: Dhcpv6Options): Uint8Array | undefined {
  if (message.length < 4 || message[0] !== INFORMATION_REQUEST) return undefined;
  const identifier = new Uint8Array(10);
  // A DUID of type 3: the link-layer address of an Ethernet card.
  identifier.set([0, 3, 0, 1]);
  writeMac(identifier, 4, options.mac);
  const parts = [Uint8Array.of(REPLY, message[1], message[2], message[3]), option(OPTION_SERVER, identifier)];
  for (let at = 4; at + 4 <= message.length; ) {
    const end = at + 4 + read16(message, at + 2);
    if (end > message.length) return undefined;
    const isClient = read16(message, at) === OPTION_CLIENT;
    if (isClient && end - at <= 4 + LARGEST_IDENTIFIER_BYTES && parts.length === 2) parts.push(message.slice(at, end));
    at = end;
  }
  parts.push(option(OPTION_NAME_SERVERS, options.nameServer.bytes));
  const search = options.searchDomains.flatMap((domain) => [...writeName(domain)]);
  if (search.length > 0) parts.push(option(OPTION_SEARCH_LIST, Uint8Array.from(search)));
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}
