// Interrupts as a PC's firmware leaves them to what it boots: the real-mode table, handlers that do the least that is right, the 8259s at vectors 8 and
// 0x70, and the timer at 18.2 Hz. Kernels that start in protected mode set up their own; those that go back to real mode rely on it.

import type { Segment } from '../boot/load-plan.ts';
import { ByteBuilder } from '../byte-builder.ts';

/** Where PC firmware has had its handlers since 1981: the end of segment 0xf000. */
const SEGMENT = 0xf000;
const HANDLERS_OFFSET = 0xfea0;
const VECTOR_COUNT = 256;
const TIMER_VECTOR = 0x08;
const MASTER_VECTOR = 0x08;
const SLAVE_VECTOR = 0x70;

const IRET = Uint8Array.of(0xcf);
/** push ax; mov al, 0x20; out 0x20, al; pop ax; iret */
const MASTER_EOI = Uint8Array.of(0x50, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf);
/** push ax; mov al, 0x20; out 0xa0, al; out 0x20, al; pop ax; iret */
const SLAVE_EOI = Uint8Array.of(0x50, 0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20, 0x58, 0xcf);
/** push ax; push ds; xor ax, ax; mov ds, ax; inc dword [0x46c] (ticks since midnight); mov al, 0x20; out 0x20, al; pop ds; pop ax; iret */
const TIMER = Uint8Array.of(0x50, 0x1e, 0x31, 0xc0, 0x8e, 0xd8, 0x66, 0xff, 0x06, 0x6c, 0x04, 0xb0, 0x20, 0xe6, 0x20, 0x1f, 0x58, 0xcf);

const CODE = [IRET, MASTER_EOI, SLAVE_EOI, TIMER] as const;

function handlerOf(vector: number): Uint8Array {
  if (vector === TIMER_VECTOR) return TIMER;
  if (vector >= MASTER_VECTOR && vector < MASTER_VECTOR + 8) return MASTER_EOI;
  return vector >= SLAVE_VECTOR && vector < SLAVE_VECTOR + 8 ? SLAVE_EOI : IRET;
}

/** The real-mode interrupt table at 0 and the handlers. */
export function realModeInterrupts(): Segment[] {
  const code = new ByteBuilder();
  const offsets = new Map<Uint8Array, number>();
  for (const handler of CODE) {
    offsets.set(handler, HANDLERS_OFFSET + code.byteCount);
    code.bytes(handler);
  }
  const table = new ByteBuilder();
  for (let vector = 0; vector < VECTOR_COUNT; vector++) table.u16(offsets.get(handlerOf(vector)) ?? HANDLERS_OFFSET).u16(SEGMENT);
  const segment = (address: number, bytes: Uint8Array): Segment => ({ address, bytes, byteCount: bytes.length });
  return [segment(0, table.build()), segment(SEGMENT * 16 + HANDLERS_OFFSET, code.build())];
}

/** Byte writes to ports, in order: the timer before the 8259s, whose initialization forgets the edge that its mode word makes. IRQ 0 and the cascade are unmasked. */
export const INTERRUPT_PORT_WRITES: readonly (readonly [port: number, value: number])[] = [
  [0x43, 0x34],
  [0x40, 0],
  [0x40, 0],
  [0x20, 0x11],
  [0x21, MASTER_VECTOR],
  [0x21, 0x04],
  [0x21, 0x01],
  [0xa0, 0x11],
  [0xa1, SLAVE_VECTOR],
  [0xa1, 0x02],
  [0xa1, 0x01],
  [0x21, 0xfa],
  [0xa1, 0xff],
];
