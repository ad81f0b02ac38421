// x87, SSE and AVX state between a vCPU and the XSAVE image of a test case.

import type { X86Context } from '@anillo/isa-x86/helper-map';
import { readX87Image, writeX87Image } from '@anillo/isa-x86/x87/fxsave-image';
import { IMAGE, u32, setU32 } from './test-case.ts';

const x87Words = (image: Uint8Array): Uint32Array => new Uint32Array(image.buffer, image.byteOffset + IMAGE.fpu, 128);

export function loadFloatingPoint(cpu: X86Context, image: Uint8Array): void {
  readX87Image(cpu, x87Words(image), 0, true);
  cpu.view.mxcsr = u32(image, IMAGE.mxcsr);
  cpu.view.xmm.set(image.subarray(IMAGE.xmm, IMAGE.xmm + 256));
  cpu.view.ymmHigh.set(image.subarray(IMAGE.ymmHigh, IMAGE.ymmHigh + 256));
}

export function saveFloatingPoint(cpu: X86Context, image: Uint8Array): void {
  writeX87Image(cpu, x87Words(image), 0, true);
  setU32(image, IMAGE.mxcsr, cpu.view.mxcsr);
  setU32(image, IMAGE.mxcsrMask, 0xffff);
  image.set(cpu.view.xmm.subarray(0, 256), IMAGE.xmm);
  image[IMAGE.xstateHeader] = 7;
  image.set(cpu.view.ymmHigh.subarray(0, 256), IMAGE.ymmHigh);
}
