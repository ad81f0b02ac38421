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
