// Fills a TLB entry from generated code, after the front end's walk routine has found the page. The host's counterpart is the accelerator's.

import { routine, type Routine } from '@anillo/ir/callee';
import { ACCESS, WALK } from '@anillo/ir/frontend';
import type { Value } from '@anillo/ir/block';
import { HEADER } from './header-access.ts';
import { tlbEntry } from './tlb-emit.ts';
import { CODE_MASK, SEVERAL_WRITERS, TLB_ENTRIES, TlbEntry, TlbSpace, WRITER_MASK, WRITER_SHIFT } from './tlb-layout.ts';

const field = TlbEntry.offset;

/** `(linear i64, walk result i32) -> grants entered`: no write access to a page that holds translated code (its granule words at `granulesAt`). */
export const tlbFill = (granulesAt: number): Routine =>
  routine({
    name: 'tlbFill',
    params: ['i64', 'i32'],
    result: 'i32',
    reads: 'none',
    writes: 'none',
    traps: false,
    build: (b, [linear, found]) => {
      const va = linear as Value<'i64'>;
      const walk = found as Value<'i32'>;
      const header = (offset: number): Value<'i32'> => b.op('state.load32', [b.i32(0)], offset);
      const hostPage = b.temp('i32', b.and(walk, b.i32(~0xfff)));
      const page = b.temp('i64', b.and(va, b.i64(-4096)));
      const granules = b.op('i64.ram_load', [b.add(b.i32(granulesAt), b.shl(b.shrU(b.get(hostPage), b.i32(12)), b.i32(3)))]);
      const denied = b.select(b.eqz(granules), b.i32(0), b.i32(2));
      const grants = b.temp('i32', b.and(b.and(walk, b.i32(WALK.GRANTS)), b.xor(denied, b.i32(-1))));
      const entry = b.temp('i32', tlbEntry(b, va));
      const put = (offset: number, grant: number): void => {
        const tag = b.select(b.and(b.get(grants), b.i32(grant)), b.get(page), b.xor(b.get(page), b.i64(-1)));
        b.op('i64.ram_store', [b.add(b.get(entry), b.i32(offset)), tag]);
      };
      put(field.tagRead, 1);
      put(field.tagWrite, 2);
      put(field.tagExec, 4);
      b.op('i32.ram_store', [b.add(b.get(entry), b.i32(field.addend)), b.sub(b.get(hostPage), b.wrap(b.get(page)))]);

      const besideCode = b.ne(
        b.and(b.and(walk, b.i32(WALK.GRANTS)), b.i32(1 << ACCESS.WRITE)),
        b.and(b.get(grants), b.i32(1 << ACCESS.WRITE)),
      );
      b.op('i32.ram_store', [b.add(b.get(entry), b.i32(field.besideCode)), besideCode]);

      const space = b.temp('i32', header(HEADER.tlbSpace));
      const isGlobal = b.and(walk, b.i32(WALK.GLOBAL));
      b.if(b.and(b.get(grants), b.i32(1 << ACCESS.WRITE)), () => {
        const slot = b.and(b.shrU(b.get(hostPage), b.i32(WRITER_SHIFT)), b.i32(WRITER_MASK));
        const at = b.temp('i32', b.add(b.add(b.get(space), b.i32(TlbSpace.offset.writers)), slot));
        const known = b.temp('i32', b.op('i32.ram_load', [b.get(at)]));
        b.if(b.ne(b.get(known), b.get(entry)), () =>
          b.op('i32.ram_store', [b.get(at), b.select(b.get(known), b.i32(SEVERAL_WRITERS), b.get(entry))]),
        );
      });
      const countAt = b.temp(
        'i32',
        b.add(b.get(space), b.select(isGlobal, b.i32(TlbSpace.offset.globalCount), b.i32(TlbSpace.offset.ownCount))),
      );
      const count = b.temp('i32', b.op('i32.ram_load', [b.get(countAt)]));
      b.if(b.ltU(b.get(count), b.i32(TLB_ENTRIES)), () => {
        const list = b.add(b.get(space), b.select(isGlobal, b.i32(TlbSpace.offset.global), b.i32(TlbSpace.offset.own)));
        b.op('i32.ram_store', [b.add(list, b.shl(b.get(count), b.i32(2))), b.get(entry)]);
      });
      b.op('i32.ram_store', [b.get(countAt), b.add(b.get(count), b.i32(1))]);
      b.if(b.and(walk, b.i32(WALK.LARGE)), () => {
        // 2 or 4 MiB, which WALK.LARGE does not tell apart: two bits.
        const bit = b.shrU(b.wrap(va), b.i32(21));
        const half = b.shl(b.wrap(b.shrU(va, b.i64(63))), b.i32(8));
        const word = b.add(half, b.shl(b.shrU(bit, b.i32(5)), b.i32(2)));
        const at = b.temp('i32', b.add(b.add(b.get(space), b.i32(TlbSpace.offset.large)), word));
        b.op('i32.ram_store', [b.get(at), b.or(b.op('i32.ram_load', [b.get(at)]), b.shl(b.i32(3), b.and(bit, b.i32(30))))]);
      });
      b.op('state.store32', [b.i32(0), b.add(header(HEADER.tlbFills), b.i32(1))], HEADER.tlbFills);
      const isInLastGib = b.and(b.eq(b.shrU(b.wrap(va), b.i32(30)), b.i32(3)), header(HEADER.upperQuarter));
      const isUpper = b.or(b.ltS(va, b.i64(0)), isInLastGib);
      const half = b.temp('i32', isUpper);
      const isCode = b.shrU(b.get(grants), b.i32(ACCESS.EXECUTE));
      b.if(b.and(b.and(b.eqz(isGlobal), isCode), b.get(half)), () => void b.op('state.store32', [b.i32(0), b.i32(1)], HEADER.upperIsOwn));
      b.if(b.and(isCode, b.eqz(b.get(half))), () => {
        const bit = b.temp('i32', b.and(b.shrU(b.wrap(va), b.i32(12)), b.i32(CODE_MASK)));
        const word = b.shl(b.shrU(b.get(bit), b.i32(5)), b.i32(2));
        const at = b.temp('i32', b.add(b.add(b.get(space), b.i32(TlbSpace.offset.code)), word));
        b.op('i32.ram_store', [b.get(at), b.or(b.op('i32.ram_load', [b.get(at)]), b.shl(b.i32(1), b.get(bit)))]);
        b.if(isGlobal, () => void b.op('i32.ram_store', [b.add(b.get(space), b.i32(TlbSpace.offset.globalCode)), b.i32(1)]));
      });
      return b.get(grants);
    },
  });
