// What a display tells of itself (VESA E-EDID 1.4): one block of 128 bytes, with its best size as a detailed timing.

import type { Size } from './display-target.ts';

const BLOCK_BYTES = 128;
const AT = { vendor: 8, version: 18, input: 20, chromaticity: 25, standardTimings: 38, descriptors: 54, checksum: 127 } as const;
const DESCRIPTOR_BYTES = 18;
/** Of a detailed timing: twelve bits. */
export const LONGEST_EDID_SIDE = 4095;
const DOTS_PER_INCH = 96;
/** Reduced blanking, about as CVT has it; 60 pictures a second. */
const BLANK = { x: 160, frontX: 48, syncX: 32, y: 35, frontY: 3, syncY: 6 } as const;
const PICTURES_PER_SECOND = 60;
/** sRGB, in the bytes in which an EDID has it (3.7). */
const SRGB = [0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54] as const;
/** Three letters of five bits: ANL. */
const VENDOR = ((1 << 10) | (14 << 5) | 12) as number;

const millimetres = (dots: number): number => Math.round((dots * 25.4) / DOTS_PER_INCH);

/** 3.10.2. */
function detailedTiming({ width, height }: Size): number[] {
  const clock = Math.min(0xffff, Math.round(((width + BLANK.x) * (height + BLANK.y) * PICTURES_PER_SECOND) / 10_000));
  const [wide, high] = [Math.min(LONGEST_EDID_SIDE, millimetres(width)), Math.min(LONGEST_EDID_SIDE, millimetres(height))];
  const upper = (a: number, b: number): number => ((a >> 8) << 4) | (b >> 8);
  return [
    ...[clock, clock >> 8],
    ...[width, BLANK.x, upper(width, BLANK.x)],
    ...[height, BLANK.y, upper(height, BLANK.y)],
    ...[BLANK.frontX, BLANK.syncX, (BLANK.frontY << 4) | BLANK.syncY, 0],
    ...[wide, high, upper(wide, high)],
    ...[0, 0, 0x1a], // no border; digital, separate sync, positive for x only, as reduced blanking has it
  ];
}

/** 3.10.3.4: a name of up to thirteen characters. */
const nameDescriptor = (name: string): number[] => [
  ...[0, 0, 0, 0xfc, 0],
  ...Array.from(`${name}\n`.padEnd(13).slice(0, 13), (character) => character.charCodeAt(0)),
];

/** 3.10.3.3: 50 to 75 pictures a second, 30 to 250 kHz, up to 660 MHz. */
const RANGES = [0, 0, 0, 0xfd, 0, 50, 75, 30, 250, 66, 1, 0x0a, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20] as const;
const UNUSED = [0, 0, 0, 0x10, ...new Array<number>(14).fill(0)] as const;

/** For a display of that size, at most LONGEST_EDID_SIDE each way. */
export function edidOf(size: Size, serial: number): Uint8Array {
  const bytes = new Uint8Array(BLOCK_BYTES);
  bytes.set([0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0]);
  bytes.set([VENDOR >> 8, VENDOR, 1, 0, serial, 0, 0, 0, 0, 36], AT.vendor); // week not told, 2026
  bytes.set([1, 4], AT.version);
  const centimetres = (dots: number): number => Math.min(255, Math.round(millimetres(dots) / 10));
  // Digital, eight bits a colour; gamma 2.2; sRGB, the first timing is the display's own.
  bytes.set([0xa0, centimetres(size.width), centimetres(size.height), 120, 0x06], AT.input);
  bytes.set(SRGB, AT.chromaticity);
  bytes.fill(1, AT.standardTimings, AT.descriptors);
  [detailedTiming(size), RANGES, nameDescriptor('Anillo'), UNUSED].forEach((descriptor, i) => {
    bytes.set(descriptor, AT.descriptors + i * DESCRIPTOR_BYTES);
  });
  bytes[AT.checksum] = -bytes.reduce((sum, byte) => sum + byte, 0);
  return bytes;
}
