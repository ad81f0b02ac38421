// Memory types (MTRRs) as firmware leaves them: SDM 3A, 12.11. Memory is write-back, the VGA window and the device hole below 4 GiB are uncacheable,
// the firmware's area is write-protected. Operating systems that find them blank take the machine for damaged and do without PAT.

import type { CpuStart } from '@anillo/accel/accelerator';
import { FOUR_GIB } from '../boards/memory-map.ts';

type ModelRegister = NonNullable<CpuStart['modelRegisters']>[number];

const MSR = {
  PHYS_BASE0: 0x200,
  PHYS_MASK0: 0x201,
  FIX64K_00000: 0x250,
  FIX16K_80000: 0x258,
  FIX4K_C0000: 0x268,
  DEF_TYPE: 0x2ff,
} as const;
const TYPE = { UNCACHEABLE: 0, WRITE_PROTECTED: 5, WRITE_BACK: 6 } as const;
/** Variable and fixed ranges are in force. */
const ENABLED = 0xc00;
const MASK_VALID = 0x800;
/** Address bits from 32 to the end of the physical address space. */
const HIGH_MASK = 0xff;

const range = (index: number, low: number, high = low): ModelRegister => ({ index, low: low >>> 0, high: high >>> 0 });
/** Eight ranges of one type. */
const eight = (index: number, type: number): ModelRegister => range(index, type * 0x01010101);

/** `hole`: where devices begin; 4 GiB less a power of two. */
export const memoryTypeRegisters = (hole: number): readonly ModelRegister[] => [
  eight(MSR.FIX64K_00000, TYPE.WRITE_BACK),
  eight(MSR.FIX16K_80000, TYPE.WRITE_BACK),
  eight(MSR.FIX16K_80000 + 1, TYPE.UNCACHEABLE),
  ...Array.from({ length: 8 }, (_, i) => eight(MSR.FIX4K_C0000 + i, TYPE.WRITE_PROTECTED)),
  range(MSR.PHYS_BASE0, hole | TYPE.UNCACHEABLE, 0),
  range(MSR.PHYS_MASK0, -(FOUR_GIB - hole) | MASK_VALID, HIGH_MASK),
  range(MSR.DEF_TYPE, ENABLED | TYPE.WRITE_BACK, 0),
];
