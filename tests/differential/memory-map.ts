// Where a test case lives. The addresses are the same in every executor, so that pointers in registers compare equal; all are below 4 GiB (and
// below 2 GiB, for sign-extended displacements) so that 32-bit code uses them too. Everything else must be unmapped: an access there is a #PF.
//
//   CODE_BASE      2 pages  read, execute   the case's code at `codeAddress`; unmapped before and after (a fetch past the end is a #PF)
//   DATA_BASE      2 pages  read, write     loaded from the case, compared afterwards; RSP usually points here; unmapped before
//   READ_ONLY_BASE 1 page   read            readOnlyPage(), the same for all cases; unmapped after
//
// Behind the code there is UD2, at which the case ends; the rest of the code area is 0.

export const PAGE_BYTES = 4096;
export const CODE_BASE = 0x1000_0000;
export const CODE_AREA_BYTES = 2 * PAGE_BYTES;
export const DATA_BASE = 0x2000_0000;
export const DATA_BYTES = 2 * PAGE_BYTES;
export const READ_ONLY_BASE = DATA_BASE + DATA_BYTES;
export const READ_ONLY_BYTES = PAGE_BYTES;
export const DATA_END = READ_ONLY_BASE + READ_ONLY_BYTES;

export const UD2 = Uint8Array.of(0x0f, 0x0b);

/** The content of the read-only page: bytes of a fixed linear congruential sequence. */
export function readOnlyPage(): Uint8Array {
  const page = new Uint8Array(READ_ONLY_BYTES);
  let x = 0x2545f491;
  for (let i = 0; i < page.length; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    page[i] = x >>> 24;
  }
  return page;
}
