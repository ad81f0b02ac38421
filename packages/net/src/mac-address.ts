// Ethernet addresses as numbers below 2^48, so that they are keys of a map and compared by `===`.

export const MAC_BYTES = 6;
export const BROADCAST_MAC = 0xffff_ffff_ffff;

export function readMac(bytes: Uint8Array, offset: number): number {
  const high = (bytes[offset] << 8) | bytes[offset + 1];
  const low = ((bytes[offset + 2] << 24) | (bytes[offset + 3] << 16) | (bytes[offset + 4] << 8) | bytes[offset + 5]) >>> 0;
  return high * 0x1_0000_0000 + low;
}

export function writeMac(bytes: Uint8Array, offset: number, mac: number): void {
  const high = Math.floor(mac / 0x1_0000_0000);
  const low = mac >>> 0;
  bytes[offset] = high >>> 8;
  bytes[offset + 1] = high;
  bytes[offset + 2] = low >>> 24;
  bytes[offset + 3] = low >>> 16;
  bytes[offset + 4] = low >>> 8;
  bytes[offset + 5] = low;
}

/** Broadcast included. */
export const isGroupMac = (mac: number): boolean => (Math.floor(mac / 0x100_0000_0000) & 1) === 1;

/** `52:54:00:12:34:56`; undefined: not one. */
export function parseMac(text: string): number | undefined {
  return /^([0-9a-f]{2}[:-]){5}[0-9a-f]{2}$/i.test(text) ? Number.parseInt(text.replace(/[:-]/g, ''), 16) : undefined;
}

export function formatMac(mac: number): string {
  return mac
    .toString(16)
    .padStart(12, '0')
    .replace(/(..)(?!$)/g, '$1:');
}

/** An address of a card that belongs to whatever the text names: the same at every start. `attempt`: others, for where the first is taken. */
export function derivedMac(text: string, attempt: number): number {
  // FNV-1a, and the end of MurmurHash3 so that each bit of the text shows in each of the address.
  let hash = 0x811c9dc5;
  for (const character of `${text}/${attempt}`) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return 0x5254_0000_0000 + ((hash ^ (hash >>> 16)) >>> 8);
}
