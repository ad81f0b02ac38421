// Raw firmware image at the reset vector: the board maps it below 4 GiB and copies its last 128 KiB to 0xe0000; the CPU starts as after power-on.

import { AnilloError } from '@anillo/base/anillo-error';
import { KIB, MIB } from '../boards/memory-map.ts';
import type { BootPlan } from './load-plan.ts';

const UNIT_BYTES = 64 * KIB;
const LARGEST_BYTES = 16 * MIB;
const RESET_VECTOR = 0xfff0;

/** Throws AnilloError BAD_IMAGE unless the image can be mapped as ROM. */
export function checkFirmware(image: Uint8Array): void {
  if (image.length === 0) throw new AnilloError('BAD_IMAGE', 'The firmware image is empty; give a BIOS or UEFI image such as SeaBIOS.');
  if (image.length % UNIT_BYTES !== 0 || image.length > LARGEST_BYTES) {
    throw new AnilloError(
      'BAD_IMAGE',
      `The firmware image has ${image.length} bytes; a multiple of 64 KiB up to 16 MiB is needed, so it is truncated or no firmware.`,
    );
  }
}

export const planFirmware = (image: Uint8Array): BootPlan => ({
  description: `firmware (${image.length / KIB} KiB)`,
  segments: [],
  start: { mode: 'reset', pc: RESET_VECTOR, registers: {} },
});
