// What each kind of input device says that it has: its events by type, as codes (linux/input-event-codes.h).

import { ABSOLUTE, BUTTON, EVENT, LIGHT, RELATIVE } from './input-source.ts';

export interface InputKind {
  /** "keyboard": virtio-keyboard-pci. */
  readonly name: string;
  readonly summary: string;
  /** What the guest calls it. */
  readonly title: string;
  readonly classCode: number;
  readonly product: number;
  /** Codes by type. */
  readonly events: Readonly<Record<number, readonly number[]>>;
}

/** Keys have numbers from 1 (Escape) to this (microphone off); buttons of mice come after them. */
const LAST_KEY = 248;
const BUTTONS = Object.values(BUTTON);

export const INPUT_KINDS: readonly InputKind[] = [
  {
    name: 'keyboard',
    summary: 'Keyboard',
    title: 'Anillo Virtio Keyboard',
    classCode: 0x090000,
    product: 1,
    events: {
      [EVENT.key]: Array.from({ length: LAST_KEY }, (_, i) => i + 1),
      [EVENT.light]: Object.values(LIGHT),
      [EVENT.repeat]: [0],
    },
  },
  {
    name: 'mouse',
    summary: 'Mouse',
    title: 'Anillo Virtio Mouse',
    classCode: 0x090200,
    product: 2,
    events: { [EVENT.key]: BUTTONS, [EVENT.relative]: Object.values(RELATIVE) },
  },
  {
    name: 'tablet',
    summary: 'Tablet: a pointer that is put somewhere instead of moved',
    title: 'Anillo Virtio Tablet',
    classCode: 0x098000,
    product: 3,
    events: {
      [EVENT.key]: BUTTONS,
      [EVENT.relative]: [RELATIVE.horizontalWheel, RELATIVE.wheel],
      [EVENT.absolute]: Object.values(ABSOLUTE),
    },
  },
];

/** A bit for each code; as many bytes as that takes. */
export function bitmap(codes: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(codes.length === 0 ? 0 : (Math.max(...codes) >> 3) + 1);
  for (const code of codes) bytes[code >> 3] |= 1 << (code & 7);
  return bytes;
}
