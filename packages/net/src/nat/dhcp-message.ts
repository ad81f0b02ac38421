// DHCP messages as they lie in a packet (RFC 2131, RFC 2132).

import { IpAddress } from '../ip-address.ts';
import { readMac } from '../mac-address.ts';
import { read16, read32, write16, write32 } from '../network-order.ts';

export const DHCP_TYPES = { discover: 1, offer: 2, request: 3, decline: 4, ack: 5, nak: 6, release: 7, inform: 8 } as const;
export const DHCP_OPTIONS = {
  pad: 0,
  mask: 1,
  router: 3,
  nameServer: 6,
  hostName: 12,
  domain: 15,
  mtu: 26,
  broadcast: 28,
  requestedAddress: 50,
  leaseTime: 51,
  overload: 52,
  type: 53,
  server: 54,
  renewal: 58,
  rebinding: 59,
  tftpServer: 66,
  bootFile: 67,
  searchList: 119,
  end: 255,
} as const;

const MAGIC = 0x6382_5363;
const OPTIONS_AT = 240;
const BOOT_REQUEST = 1;
const BOOT_REPLY = 2;
const SERVER_NAME_AT = 44;
const FILE_AT = 108;
/** Some clients take nothing smaller (RFC 1542, 2.1). */
const SMALLEST_BYTES = 300;

export interface DhcpRequest {
  readonly mac: number;
  readonly type: number;
  readonly isBroadcast: boolean;
  readonly clientAddress: IpAddress;
  readonly relayAddress: IpAddress;
  readonly requestedAddress: IpAddress | undefined;
  readonly server: IpAddress | undefined;
  readonly hostName: string | undefined;
  /** The header as far as an answer repeats it. */
  readonly header: Uint8Array;
}

/** Undefined: it is not one that is to be answered. */
export function readDhcp(bytes: Uint8Array): DhcpRequest | undefined {
  if (bytes.length < OPTIONS_AT || bytes[0] !== BOOT_REQUEST || bytes[1] !== 1 || bytes[2] !== 6 || read32(bytes, 236) !== MAGIC)
    return undefined;
  const options = new Map<number, Uint8Array>();
  for (let at = OPTIONS_AT; at < bytes.length && bytes[at] !== DHCP_OPTIONS.end; ) {
    if (bytes[at] === DHCP_OPTIONS.pad) {
      at++;
      continue;
    }
    const end = at + 2 + (bytes[at + 1] ?? 0);
    if (at + 2 > bytes.length || end > bytes.length) break;
    options.set(bytes[at], bytes.subarray(at + 2, end));
    at = end;
  }
  const addressOf = (option: number): IpAddress | undefined => {
    const value = options.get(option);
    return value?.length === 4 ? IpAddress.at(value, 0, 4) : undefined;
  };
  const type = options.get(DHCP_OPTIONS.type);
  const name = options.get(DHCP_OPTIONS.hostName);
  return {
    mac: readMac(bytes, 28),
    // BOOTP without DHCP asks like DISCOVER and takes what it gets.
    type: type?.[0] ?? DHCP_TYPES.discover,
    isBroadcast: (read16(bytes, 10) & 0x8000) !== 0,
    clientAddress: IpAddress.at(bytes, 12, 4),
    relayAddress: IpAddress.at(bytes, 24, 4),
    requestedAddress: addressOf(DHCP_OPTIONS.requestedAddress),
    server: addressOf(DHCP_OPTIONS.server),
    hostName: name === undefined ? undefined : String.fromCharCode(...name.subarray(0, 63)),
    header: bytes.slice(0, 44),
  };
}

export interface DhcpReply {
  readonly type: number;
  readonly address: IpAddress;
  readonly server: IpAddress;
  readonly nextServer: IpAddress | undefined;
  readonly bootFile: string | undefined;
  readonly options: readonly (readonly [number, Uint8Array])[];
}

const asciiBytes = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0) & 0x7f);

export function writeDhcp(request: DhcpRequest, reply: DhcpReply): Uint8Array {
  const isNak = reply.type === DHCP_TYPES.nak;
  const options: (readonly [number, Uint8Array])[] = [
    [DHCP_OPTIONS.type, Uint8Array.of(reply.type)],
    [DHCP_OPTIONS.server, reply.server.bytes],
    ...reply.options,
  ];
  const optionBytes = options.reduce((sum, [, value]) => sum + 2 + value.length, 0);
  const bytes = new Uint8Array(Math.max(SMALLEST_BYTES, OPTIONS_AT + optionBytes + 1));
  bytes.set(request.header);
  bytes[0] = BOOT_REPLY;
  bytes[3] = 0;
  write16(bytes, 8, 0);
  if (isNak) write32(bytes, 12, 0);
  write32(bytes, 16, 0);
  if (!isNak) bytes.set(reply.address.bytes, 16);
  bytes.set((reply.nextServer ?? reply.server).bytes, 20);
  if (reply.bootFile !== undefined) bytes.set(asciiBytes(reply.bootFile).subarray(0, 127), FILE_AT);
  if (reply.nextServer !== undefined) bytes.set(asciiBytes(reply.nextServer.text), SERVER_NAME_AT);
  write32(bytes, 236, MAGIC);
  let at = OPTIONS_AT;
  for (const [option, value] of options) {
    bytes[at] = option;
    bytes[at + 1] = value.length;
    bytes.set(value, at + 2);
    at += 2 + value.length;
  }
  bytes[at] = DHCP_OPTIONS.end;
  return bytes;
}
