// Firmware images of a few instructions in real mode, for tests of what a guest can do to Anillo.

const IMAGE_BYTES = 0x10000;
const CODE_AT = 0xf000;
const RESET_VECTOR = 0xfff0;

/** 64 KiB: the code, and a jump to it at the reset vector. */
export function tinyFirmware(code: readonly number[]): Uint8Array {
  const image = new Uint8Array(IMAGE_BYTES);
  image.set(code, CODE_AT);
  const distance = CODE_AT - (RESET_VECTOR + 3);
  image.set([0xe9, distance & 0xff, (distance >> 8) & 0xff], RESET_VECTOR);
  return image;
}

/** mov dx, 0x3f8; mov al, 'A'; out dx, al: tells the first serial port that the guest runs. */
export const SAY_A = [0xba, 0xf8, 0x03, 0xb0, 0x41, 0xee] as const;

export const GUESTS = {
  /** cli; jmp $ */
  endlessLoop: tinyFirmware([...SAY_A, 0xfa, 0xeb, 0xfe]),
  /** cli; hlt; jmp to hlt */
  haltedForGood: tinyFirmware([...SAY_A, 0xfa, 0xf4, 0xeb, 0xfd]),
  /** An interrupt table without entries (lidt cs:[0]), then ud2: #UD, #DF, shutdown. */
  tripleFault: tinyFirmware([...SAY_A, 0x2e, 0x0f, 0x01, 0x1e, 0x00, 0x00, 0x0f, 0x0b]),
} as const;
