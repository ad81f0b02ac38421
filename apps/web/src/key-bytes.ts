// What a terminal sends for a key (ECMA-48; the cursor keys as the Linux console sends them).

const NAMED: Readonly<Record<string, string>> = {
  Enter: '\r',
  Backspace: '\u007f',
  Tab: '\t',
  Escape: '\u001b',
  ArrowUp: '\u001b[A',
  ArrowDown: '\u001b[B',
  ArrowRight: '\u001b[C',
  ArrowLeft: '\u001b[D',
  Home: '\u001b[1~',
  Insert: '\u001b[2~',
  Delete: '\u001b[3~',
  End: '\u001b[4~',
  PageUp: '\u001b[5~',
  PageDown: '\u001b[6~',
};

/** What is used of a KeyboardEvent. */
export type PressedKey = Pick<KeyboardEvent, 'key' | 'ctrlKey' | 'altKey' | 'metaKey'>;

/** Undefined: the key is the browser's. */
export function keyBytes({ key, ctrlKey, altKey, metaKey }: PressedKey): string | undefined {
  if (metaKey) return undefined;
  const alt = altKey ? '\u001b' : '';
  if (Object.hasOwn(NAMED, key)) return alt + NAMED[key];
  if ([...key].length !== 1) return undefined;
  if (!ctrlKey || altKey) return alt + key;
  const code = key.toUpperCase().charCodeAt(0);
  if (key === ' ') return '\0';
  return code >= 0x40 && code < 0x60 ? String.fromCharCode(code & 0x1f) : undefined;
}
