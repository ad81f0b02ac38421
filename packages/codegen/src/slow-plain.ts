// The slow function of a load, a store or a probe for one: what reaches into the next page is done byte by byte, a store beside code in place, and the
// rest once the TLB grants it, or by the host.

import type { Local } from './function-code.ts';
import { HEADER, storeHeader64 } from './header-access.ts';
import { emitAccess, emitHostAddress, siteLocals } from './memory-emit.ts';
import { ACCESS_KIND } from './slow-access.ts';
import { CPU, type SlowWriter, VA } from './slow-writer.ts';
import { emitDistance, emitEntry } from './tlb-emit.ts';
import { TlbEntry } from './tlb-layout.ts';
import { opcodeOf } from './wasm-opcodes.ts';

const O = {
  add: opcodeOf('i32.add'),
  add64: opcodeOf('i64.add'),
  and: opcodeOf('i32.and'),
  and64: opcodeOf('i64.and'),
  or64: opcodeOf('i64.or'),
  shl: opcodeOf('i32.shl'),
  shl64: opcodeOf('i64.shl'),
  shrU: opcodeOf('i32.shr_u'),
  shrU64: opcodeOf('i64.shr_u'),
  extend: opcodeOf('i64.extend_i32_u'),
  ltU: opcodeOf('i32.lt_u'),
  leU64: opcodeOf('i64.le_u'),
  eq64: opcodeOf('i64.eq'),
  eqz64: opcodeOf('i64.eqz'),
  load8: opcodeOf('i32.load8_u'),
  load32: opcodeOf('i32.load'),
  load64: opcodeOf('i64.load'),
  store8: opcodeOf('i32.store8'),
} as const;

const PAGE_SHIFT = 12;
/** Pages of code have 64 granules, a bit each in 8 bytes (see tlb-fill.ts). */
const GRANULE_SHIFT = 6;
const GRANULE_WORDS_SHIFT = 3;
/** Bytes of a split access gather here; 16 bytes. */
const SPLIT_BUFFER = HEADER.scratch + 16;

export function writeSlowPlain(w: SlowWriter): void {
  const { op, parts } = w;
  if (op.sizeLog2 > 0) writeSplit(w);
  if (op.kind !== 'load' && parts.granulesAt !== undefined) writeBesideCode(w, parts.granulesAt);
  if (op.kind === 'probe') writeProbe(w);
  else writeWithinPage(w);
}

/** A store into a page with code that misses all granules of code is done here and returns; a probe for one returns. */
function writeBesideCode(w: SlowWriter, granulesAt: number): void {
  const { f, e, op } = w;
  const at = siteLocals(e, VA, []);
  const host = e.scratch('i32', 6);
  const pushGranule = (offset: number): void => {
    f.i64(1, 0);
    f.get(host);
    f.i32(offset);
    f.op(O.add);
    f.i32(GRANULE_SHIFT);
    f.op(O.shrU);
    f.op(O.extend);
    f.op(O.shl64);
  };
  f.get(VA);
  emitEntry(f, () => e.pushTlb());
  f.tee(at.entry);
  emitDistance(f, VA, 'tagRead');
  f.i64(4095, 0);
  f.op(O.leU64);
  f.get(at.entry);
  f.memory(O.load32, TlbEntry.offset.besideCode);
  f.op(O.and);
  f.if();
  emitHostAddress(e, at);
  f.tee(host);
  f.i32(PAGE_SHIFT);
  f.op(O.shrU);
  f.i32(GRANULE_WORDS_SHIFT);
  f.op(O.shl);
  f.memory(O.load64, granulesAt);
  pushGranule(0);
  if (w.byteCount > 1) {
    pushGranule(w.byteCount - 1);
    f.op(O.or64);
  }
  f.op(O.and64);
  f.op(O.eqz64);
  f.if();
  if (op.kind === 'store') {
    f.get(host);
    emitAccess(e, op, w.operands);
  }
  w.return(0);
  f.end();
  f.end();
}

function writeProbe(w: SlowWriter): void {
  w.miss(ACCESS_KIND.PROBE);
  w.returnIfLeave();
  w.f.i32(0);
}

function writeWithinPage(w: SlowWriter): void {
  const { f, op } = w;
  w.tryUntilDone(() => {
    if (op.kind === 'store') {
      for (const half of [0, 8]) storeHeader64(f, CPU, HEADER.accessData + half, () => f.i64(0, 0));
      f.get(CPU);
      f.get(w.operands[0]);
      f.memory(op.storeOpcode, HEADER.accessData);
    }
    w.miss(op.kind === 'store' ? ACCESS_KIND.WRITE : 0);
  });
}

/** An access that reaches into the next page is done here and returns. */
function writeSplit(w: SlowWriter): void {
  const { f, op } = w;
  const i = w.e.scratch('i32', 6);
  w.pushCrosses();
  f.ifRarely();
  refuseHole(w);
  if (op.kind !== 'load') {
    probeByte(w, () => f.get(VA));
    // A fault there is reported for the page's first byte.
    probeByte(w, () => {
      pushLast(w);
      f.i64(-4096, -1);
      f.op(O.and64);
    });
  }
  if (op.kind === 'store') {
    f.get(CPU);
    f.get(w.operands[0]);
    f.memory(op.storeOpcode, SPLIT_BUFFER);
  }
  if (op.kind !== 'probe') writeByteLoop(w, i);
  if (op.kind === 'load') {
    f.get(CPU);
    f.memory(op.loadOpcode, SPLIT_BUFFER);
  }
  w.return(0);
  f.end();
}

/** Pushes the address of the access's last byte. */
function pushLast({ f, byteCount }: SlowWriter): void {
  f.get(VA);
  f.i64(byteCount - 1, 0);
  f.op(O.add64);
}

function probeByte(w: SlowWriter, pushVa: () => void): void {
  w.call('probe_write8', pushVa);
  w.returnIfFault();
}

/** Loads a byte, or returns if that faults. */
function loadByte(w: SlowWriter, pushVa: () => void): Local {
  const byte = w.e.scratch('i32', 7);
  const fault = w.e.scratch('i32', 8);
  w.callLoad('i32.load8_u', pushVa, byte, fault);
  w.f.get(fault);
  w.returnIfFault();
  return byte;
}

/**
 * Where 48-bit addresses have their hole, an access that reaches into it is refused for its last byte, before either page is looked at. Other
 * addresses there are in no guest's reach, or fault alike.
 */
function refuseHole(w: SlowWriter): void {
  const { f } = w;
  pushLast(w);
  f.i64(47, 0);
  f.op(O.shrU64);
  f.i64(1, 0);
  f.op(O.eq64);
  f.ifRarely();
  if (w.op.kind === 'load') loadByte(w, () => pushLast(w));
  else probeByte(w, () => pushLast(w));
  f.end();
}

function writeByteLoop(w: SlowWriter, i: Local): void {
  const { f } = w;
  const pushVa = (): void => {
    f.get(VA);
    f.get(i);
    f.op(O.extend);
    f.op(O.add64);
  };
  const pushBufferByte = (): void => {
    f.get(CPU);
    f.get(i);
    f.op(O.add);
  };
  f.i32(0);
  f.set(i);
  const next = f.loop();
  if (w.op.kind === 'load') {
    const byte = loadByte(w, pushVa);
    pushBufferByte();
    f.get(byte);
    f.memory(O.store8, SPLIT_BUFFER);
  } else {
    w.call('i32.store8', pushVa, () => {
      pushBufferByte();
      f.memory(O.load8, SPLIT_BUFFER);
    });
    w.returnIfFault();
  }
  f.get(i);
  f.i32(1);
  f.op(O.add);
  f.tee(i);
  f.i32(w.byteCount);
  f.op(O.ltU);
  f.brIf(next);
  f.end();
}
