// Control and status of one floating-point operation, shared by SSE (MXCSR) and x87 (control and status word), SDM 1, 4.9 and 8.1.
// A caller fills in the controls, clears `flags`, runs operations and reads `flags`: an operation that raises an unmasked exception returns a value
// that must not be written, x87 overflow, underflow and precision aside.

export const FLAG = { IE: 1, DE: 2, ZE: 4, OE: 8, UE: 16, PE: 32 } as const;
/** Exceptions found before anything is computed. */
export const PRE_COMPUTATION = 1 | 2 | 4;
/** As encoded in RC. */
export const ROUND = { NEAREST: 0, DOWN: 1, UP: 2, ZERO: 3 } as const;
export type Rounding = 0 | 1 | 2 | 3;

export class FloatEnv {
  rounding: Rounding = ROUND.NEAREST;
  /** x87 precision control: significand bits of results in extended format. */
  precision: 24 | 53 | 64 = 64;
  /** MXCSR.DAZ and MXCSR.FZ; false for x87. */
  daz = false;
  ftz = false;
  /** A set bit masks that exception; layout of FLAG. */
  masks = 0x3f;
  /** Exceptions raised since the caller cleared it. */
  flags = 0;
  /** The last rounding increased the magnitude (x87 C1). */
  roundedUp = false;

  /** MXCSR: flags 0-5, DAZ 6, masks 7-12, RC 13-14, FZ 15. Flags start clear. */
  loadMxcsr(mxcsr: number): void {
    this.daz = (mxcsr & 0x40) !== 0;
    this.masks = (mxcsr >> 7) & 0x3f;
    this.rounding = ((mxcsr >> 13) & 3) as Rounding;
    this.ftz = (mxcsr & 0x8000) !== 0;
    this.flags = 0;
    this.roundedUp = false;
  }

  /** x87 control word: masks 0-5, PC 8-9, RC 10-11. Flags start clear. */
  loadControlWord(controlWord: number): void {
    this.daz = false;
    this.ftz = false;
    const precisionControl = (controlWord >> 8) & 3;
    this.masks = controlWord & 0x3f;
    this.precision = precisionControl === 0 ? 24 : precisionControl === 2 ? 53 : 64;
    this.rounding = ((controlWord >> 10) & 3) as Rounding;
    this.flags = 0;
    this.roundedUp = false;
  }

  /** Records exceptions; true if one of them is unmasked. */
  raise(flags: number): boolean {
    this.flags |= flags;
    return (flags & ~this.masks) !== 0;
  }

  /** Exceptions raised that are not masked. */
  unmasked(): number {
    return this.flags & ~this.masks & 0x3f;
  }

  /** Flags that a packed SSE instruction reports: an unmasked pre-computation exception in any lane hides the other lanes' later exceptions. */
  packedFlags(): number {
    return this.unmasked() & PRE_COMPUTATION ? this.flags & PRE_COMPUTATION : this.flags;
  }
}
