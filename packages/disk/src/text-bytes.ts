// Text in images and on wires, written out because TextEncoder is no part of ECMAScript.

/** UTF-8; what is no whole character becomes U+FFFD. */
export function utf8Bytes(text: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of text.toWellFormed()) {
    const code = character.codePointAt(0)!;
    if (code < 0x80) bytes.push(code);
    else if (code < 0x800) bytes.push(0xc0 | (code >> 6), 0x80 | (code & 63));
    else if (code < 0x10000) bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    else bytes.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
  }
  return Uint8Array.from(bytes);
}

/** The sequence's length and its first byte's bits; 0: no first byte. */
function utf8Head(byte: number): readonly [number, number] {
  if (byte < 0x80) return [1, byte];
  if (byte >= 0xc2 && byte < 0xe0) return [2, byte & 31];
  if (byte >= 0xe0 && byte < 0xf0) return [3, byte & 15];
  if (byte >= 0xf0 && byte < 0xf5) return [4, byte & 7];
  return [0, 0];
}

const SMALLEST = [0, 0, 0x80, 0x800, 0x10000];

/** What is no UTF-8 becomes U+FFFD. */
export function utf8Text(bytes: Uint8Array): string {
  const parts: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const [length, head] = utf8Head(bytes[at]);
    let code = head;
    let isGood = length > 0 && at + length <= bytes.length;
    for (let i = 1; isGood && i < length; i++) {
      const byte = bytes[at + i];
      if ((byte & 0xc0) !== 0x80) isGood = false;
      else code = code * 64 + (byte & 63);
    }
    isGood = isGood && code >= SMALLEST[length] && code <= 0x10ffff && !(code >= 0xd800 && code < 0xe000);
    parts.push(isGood ? String.fromCodePoint(code) : '\ufffd');
    at += isGood ? length : 1;
  }
  return parts.join('');
}

export function utf16Bytes(text: string): Uint8Array {
  const bytes = new Uint8Array(2 * text.length);
  for (let i = 0; i < text.length; i++) {
    bytes[2 * i] = text.charCodeAt(i) & 255;
    bytes[2 * i + 1] = text.charCodeAt(i) >> 8;
  }
  return bytes;
}

/** Little-endian. */
export function utf16Text(bytes: Uint8Array): string {
  const parts: string[] = [];
  for (let i = 0; i + 1 < bytes.length; i += 2) parts.push(String.fromCharCode(bytes[i] | (bytes[i + 1] << 8)));
  return parts.join('').toWellFormed();
}
