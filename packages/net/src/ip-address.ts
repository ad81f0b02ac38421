// An IPv4 or IPv6 address, and a prefix of them (RFC 4632, RFC 4291, RFC 5952).

import type { IpFamily } from './host-network.ts';

function formatV6(bytes: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, i) => (bytes[2 * i] << 8) | bytes[2 * i + 1]);
  let runStart = -1;
  let runLength = 1;
  for (let i = 0; i < 8; i++) {
    let length = 0;
    while (i + length < 8 && groups[i + length] === 0) length++;
    if (length > runLength) [runStart, runLength] = [i, length];
  }
  const text = (from: number, to: number): string =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(':');
  return runStart < 0 ? text(0, 8) : `${text(0, runStart)}::${text(runStart + runLength, 8)}`;
}

function parseV4(text: string): Uint8Array | undefined {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256)) return undefined;
  return Uint8Array.from(parts, Number);
}

function parseV6(text: string): Uint8Array | undefined {
  const withoutZone = text.replace(/%.*$/, '');
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(withoutZone);
  const v4 = dotted === null ? undefined : parseV4(dotted[2]);
  if (dotted !== null && v4 === undefined) return undefined;
  const plain =
    v4 === undefined ? withoutZone : `${dotted![1]}${((v4[0] << 8) | v4[1]).toString(16)}:${((v4[2] << 8) | v4[3]).toString(16)}`;
  const halves = plain.split('::');
  if (halves.length > 2) return undefined;
  const groupsOf = (half: string): string[] => (half === '' ? [] : half.split(':'));
  const head = groupsOf(halves[0]);
  const tail = halves.length === 2 ? groupsOf(halves[1]) : [];
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const groups = [...head, ...Array.from({ length: missing }, () => '0'), ...tail];
  if (!groups.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return undefined;
  return Uint8Array.from(groups.flatMap((group) => [Number.parseInt(group, 16) >>> 8, Number.parseInt(group, 16) & 0xff]));
}

export class IpAddress {
  readonly family: IpFamily;
  /** Never changed. */
  readonly bytes: Uint8Array;
  /** As RFC 5952 writes it; the same text is the same address. */
  readonly text: string;

  constructor(bytes: Uint8Array) {
    this.family = bytes.length === 4 ? 4 : 6;
    this.bytes = bytes;
    this.text = this.family === 4 ? bytes.join('.') : formatV6(bytes);
  }

  static parse(text: string): IpAddress | undefined {
    const bytes = text.includes(':') ? parseV6(text) : parseV4(text);
    return bytes === undefined ? undefined : new IpAddress(bytes);
  }

  /** The address that stands in a packet. */
  static at(packet: Uint8Array, offset: number, family: IpFamily): IpAddress {
    return new IpAddress(Uint8Array.from(packet.subarray(offset, offset + (family === 4 ? 4 : 16))));
  }

  /** Does it stand there? */
  isAt(packet: Uint8Array, offset: number): boolean {
    const { bytes } = this;
    for (let i = 0; i < bytes.length; i++) if (packet[offset + i] !== bytes[i]) return false;
    return true;
  }

  equals(other: IpAddress): boolean {
    return this.family === other.family && this.isAt(other.bytes, 0);
  }

  get isMulticast(): boolean {
    return this.family === 4 ? this.bytes[0] >> 4 === 14 : this.bytes[0] === 0xff;
  }

  get isUnspecified(): boolean {
    return this.bytes.every((byte) => byte === 0);
  }

  get isLinkLocal(): boolean {
    const [a, b] = this.bytes;
    return this.family === 4 ? a === 169 && b === 254 : a === 0xfe && b >> 6 === 2;
  }

  get isLoopback(): boolean {
    return this.family === 4 ? this.bytes[0] === 127 : this.bytes[15] === 1 && this.bytes.subarray(0, 15).every((byte) => byte === 0);
  }

  /** The address that comes so many after this one. */
  plus(count: number): IpAddress {
    const bytes = Uint8Array.from(this.bytes);
    let carry = count;
    for (let i = bytes.length - 1; i >= 0 && carry > 0; i--) {
      carry += bytes[i];
      bytes[i] = carry & 0xff;
      carry = Math.floor(carry / 256);
    }
    return new IpAddress(bytes);
  }
}

export class IpPrefix {
  readonly address: IpAddress;
  readonly bitCount: number;

  constructor(address: IpAddress, bitCount: number) {
    const bytes = address.bytes.map((byte, i) => byte & (0xff00 >> Math.min(8, Math.max(0, bitCount - 8 * i))));
    this.address = new IpAddress(bytes);
    this.bitCount = bitCount;
  }

  /** `10.0.0.0/8`, or one address. */
  static parse(text: string): IpPrefix | undefined {
    const [addressText, bitsText, ...rest] = text.split('/');
    const address = IpAddress.parse(addressText);
    if (address === undefined || rest.length > 0) return undefined;
    const allBits = address.bytes.length * 8;
    if (bitsText === undefined) return new IpPrefix(address, allBits);
    return /^\d{1,3}$/.test(bitsText) && Number(bitsText) <= allBits ? new IpPrefix(address, Number(bitsText)) : undefined;
  }

  get text(): string {
    return `${this.address.text}/${this.bitCount}`;
  }

  contains(address: IpAddress): boolean {
    return address.family === this.address.family && this.containsAt(address.bytes, 0);
  }

  /** Is the address of this family that stands there within? */
  containsAt(packet: Uint8Array, offset: number): boolean {
    const { bytes } = this.address;
    for (let i = 0, bits = this.bitCount; bits > 0; i++, bits -= 8) {
      const mask = bits >= 8 ? 0xff : (0xff00 >> bits) & 0xff;
      if (((packet[offset + i] ^ bytes[i]) & mask) !== 0) return false;
    }
    return true;
  }

  /** The mask in the form of an address. */
  get mask(): IpAddress {
    return new IpPrefix(new IpAddress(new Uint8Array(this.address.bytes.length).fill(0xff)), this.bitCount).address;
  }
}
