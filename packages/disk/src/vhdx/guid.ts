// GUIDs as Microsoft's formats keep them: the first three groups are little-endian numbers.

const ORDER = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];

/** With or without braces; the text is one. */
export function guidBytes(text: string): Uint8Array {
  const hex = text.replace(/[{}-]/g, '');
  return Uint8Array.from(ORDER, (at) => Number.parseInt(hex.slice(2 * at, 2 * at + 2), 16));
}

/** Lower case, without braces. */
export function guidText(bytes: Uint8Array): string {
  const hex = ORDER.map((at) => bytes[at].toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

export const isZeroGuid = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0);
