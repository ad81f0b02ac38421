// Fills a TLB entry from generated code, after the front end's walk routine has found the page. The host's counterpart is the accelerator's (`VcpuTlb.fill`).

import { routine, type Routine } from '@anillo/ir/callee';
import { ACCESS, WALK } from '@anillo/ir/frontend';
import type { Value } from '@anillo/ir/block';
import type { Builder } from '@anillo/ir/builder';
import type { Slot } from '@anillo/ir/slot';
import { HEADER } from './header-access.ts';
import { tlbEntry } from './tlb-emit.ts';
import { CODE_MASK, SEVERAL_WRITERS, TLB_ENTRIES, TlbEntry, TlbSpace, WRITER_MASK, WRITER_SHIFT } from './tlb-layout.ts';

type I32 = Value<'i32'>;
const field = TlbEntry.offset;
const WRITE = 1 << ACCESS.WRITE;

interface Fill {
  readonly b: Builder;
  readonly va: Value<'i64'>;
  /** What the walk has found: host page, grants, WALK.LARGE, WALK.GLOBAL. */
  readonly walk: I32;
  readonly hostPage: Slot<'i32'>;
  /** What is granted. */
  readonly grants: Slot<'i32'>;
  readonly entry: Slot<'i32'>;
  /** Address of the TlbSpace. */
  readonly space: Slot<'i32'>;
}

const header = (b: Builder, offset: number): I32 => b.op('state.load32', [b.i32(0)], offset);
const spaceField = ({ b, space }: Fill, name: keyof typeof TlbSpace.offset): I32 => b.add(b.get(space), b.i32(TlbSpace.offset[name]));
const isGlobal = ({ b, walk }: Fill): I32 => b.and(walk, b.i32(WALK.GLOBAL));

function setBits(b: Builder, at: I32, bits: I32): void {
  const word = b.temp('i32', at);
  b.op('i32.ram_store', [b.get(word), b.or(b.op('i32.ram_load', [b.get(word)]), bits)]);
}

function begin(b: Builder, va: Value<'i64'>, walk: I32, granulesAt: number): Fill {
  const hostPage = b.temp('i32', b.and(walk, b.i32(~0xfff)));
  const granules = b.op('i64.ram_load', [b.add(b.i32(granulesAt), b.shl(b.shrU(b.get(hostPage), b.i32(12)), b.i32(3)))]);
  const denied = b.select(b.eqz(granules), b.i32(0), b.i32(WRITE));
  const grants = b.temp('i32', b.and(b.and(walk, b.i32(WALK.GRANTS)), b.xor(denied, b.i32(-1))));
  const entry = b.temp('i32', tlbEntry(b, va));
  return { b, va, walk, hostPage, grants, entry, space: b.temp('i32', header(b, HEADER.tlbSpace)) };
}

function writeEntry({ b, va, walk, hostPage, grants, entry }: Fill): void {
  const page = b.temp('i64', b.and(va, b.i64(-4096)));
  for (const [name, grant] of [
    ['tagRead', 1 << ACCESS.READ],
    ['tagWrite', WRITE],
    ['tagExec', 1 << ACCESS.EXECUTE],
  ] as const) {
    const tag = b.select(b.and(b.get(grants), b.i32(grant)), b.get(page), b.xor(b.get(page), b.i64(-1)));
    b.op('i64.ram_store', [b.add(b.get(entry), b.i32(field[name])), tag]);
  }
  b.op('i32.ram_store', [b.add(b.get(entry), b.i32(field.addend)), b.sub(b.get(hostPage), b.wrap(b.get(page)))]);
  const besideCode = b.ne(b.and(walk, b.i32(WRITE)), b.and(b.get(grants), b.i32(WRITE)));
  b.op('i32.ram_store', [b.add(b.get(entry), b.i32(field.besideCode)), besideCode]);
}

/** The page may be written through the entry. */
function noteWriter(fill: Fill): void {
  const { b, hostPage, entry } = fill;
  const slot = b.and(b.shrU(b.get(hostPage), b.i32(WRITER_SHIFT)), b.i32(WRITER_MASK));
  const at = b.temp('i32', b.add(spaceField(fill, 'writers'), slot));
  const known = b.temp('i32', b.op('i32.ram_load', [b.get(at)]));
  b.if(b.ne(b.get(known), b.get(entry)), () =>
    b.op('i32.ram_store', [b.get(at), b.select(b.get(known), b.i32(SEVERAL_WRITERS), b.get(entry))]),
  );
}

function list(fill: Fill): void {
  const { b, entry } = fill;
  const ofKind = (global: 'globalCount' | 'global', own: 'ownCount' | 'own'): I32 =>
    b.add(b.get(fill.space), b.select(isGlobal(fill), b.i32(TlbSpace.offset[global]), b.i32(TlbSpace.offset[own])));
  const countAt = b.temp('i32', ofKind('globalCount', 'ownCount'));
  const count = b.temp('i32', b.op('i32.ram_load', [b.get(countAt)]));
  b.if(b.ltU(b.get(count), b.i32(TLB_ENTRIES)), () =>
    b.op('i32.ram_store', [b.add(ofKind('global', 'own'), b.shl(b.get(count), b.i32(2))), b.get(entry)]),
  );
  b.op('i32.ram_store', [b.get(countAt), b.add(b.get(count), b.i32(1))]);
}

/** 2 or 4 MiB, which WALK.LARGE does not tell apart: two bits. */
function markLarge(fill: Fill): void {
  const { b, va } = fill;
  const bit = b.shrU(b.wrap(va), b.i32(21));
  const half = b.shl(b.wrap(b.shrU(va, b.i64(63))), b.i32(8));
  const word = b.add(half, b.shl(b.shrU(bit, b.i32(5)), b.i32(2)));
  setBits(b, b.add(spaceField(fill, 'large'), word), b.shl(b.i32(3), b.and(bit, b.i32(30))));
}

/** Code may be looked up in the page. */
function noteCode(fill: Fill): void {
  const { b, va } = fill;
  const isInLastGib = b.and(b.eq(b.shrU(b.wrap(va), b.i32(30)), b.i32(3)), header(b, HEADER.upperQuarter));
  b.if(
    b.or(b.ltS(va, b.i64(0)), isInLastGib),
    () => b.if(b.eqz(isGlobal(fill)), () => b.op('state.store32', [b.i32(0), b.i32(1)], HEADER.upperIsOwn)),
    () => {
      const bit = b.temp('i32', b.and(b.shrU(b.wrap(va), b.i32(12)), b.i32(CODE_MASK)));
      const word = b.shl(b.shrU(b.get(bit), b.i32(5)), b.i32(2));
      setBits(b, b.add(spaceField(fill, 'code'), word), b.shl(b.i32(1), b.get(bit)));
      b.if(isGlobal(fill), () => b.op('i32.ram_store', [spaceField(fill, 'globalCode'), b.i32(1)]));
    },
  );
}

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
      const fill = begin(b, linear as Value<'i64'>, found as I32, granulesAt);
      const { grants } = fill;
      writeEntry(fill);
      b.if(b.and(b.get(grants), b.i32(WRITE)), () => noteWriter(fill));
      list(fill);
      b.if(b.and(fill.walk, b.i32(WALK.LARGE)), () => markLarge(fill));
      b.op('state.store32', [b.i32(0), b.add(header(b, HEADER.tlbFills), b.i32(1))], HEADER.tlbFills);
      b.if(b.and(b.get(grants), b.i32(1 << ACCESS.EXECUTE)), () => noteCode(fill));
      return b.get(grants);
    },
  });
