// The formats by name, in the order in which they are tried on an image of unknown format. Raw is what is left.

import type { DiskFormat } from './disk-format.ts';
import { QCOW2 } from './qcow2/qcow2.ts';
import { RAW } from './raw.ts';
import { VDI } from './vdi/vdi.ts';
import { VHDX } from './vhdx/vhdx.ts';
import { VMDK } from './vmdk/vmdk.ts';

export const FORMATS: readonly DiskFormat[] = [QCOW2, RAW, VMDK, VHDX, VDI];

export function formatNamed(name: string): DiskFormat | undefined {
  return FORMATS.find((format) => format.name === name);
}

/** The format that an image's first bytes speak for; raw where none does. */
export function probeFormat(head: Uint8Array): DiskFormat {
  return FORMATS.find((format) => format.probe(head)) ?? RAW;
}
