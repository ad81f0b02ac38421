// Every vector row lifts, in register and memory form, and what its code calls is declared.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Callee } from '@anillo/ir/callee';
import { Builder } from '@anillo/ir/builder';
import { FEATURES, type CpuModel } from '../cpu-model.ts';
import { buildOpcodeTable, Decoder, emptyDecoded } from '../decode.ts';
import { Lift } from '../lift.ts';
import { MODE } from '../mode.ts';
import type { Row } from '../row.ts';
import { checkUsable } from '../usable.ts';
import { CHECK_SEGMENT } from '../check-segment.ts';
import { COMPUTE_FLAGS } from '../compute-flags.ts';
import { SIMD_HELPERS, SIMD_HELPER_MAP, SIMD_ROUTINES, SIMD_ROWS } from './simd.ts';

const model: CpuModel = { name: 'all', features: new Set(FEATURES) };
const PREFIX_BYTE = [undefined, 0x66, 0xf3, 0xf2] as const;
const lowestBit = (mask: number): number => 31 - Math.clz32(mask & -mask);

/** Bytes of a row with registers 1 and 2, or with memory at [rbx + rsi*1]. */
export function encodeRow(row: Row, memory: boolean, imm: number): number[] {
  const prefix = lowestBit(row.prefixMask);
  const w = row.wMask === 2 ? 1 : 0;
  const l = row.lMask === 2 ? 1 : 0;
  const bytes: number[] = [];
  if (row.vex) {
    const usesV = row.operands.some((o) => o.kind === 'H' || o.kind === 'B');
    bytes.push(0xc4, 0xe0 | row.map, (w << 7) | ((usesV ? ~3 & 15 : 15) << 3) | (l << 2) | prefix, row.opcode);
  } else {
    if (PREFIX_BYTE[prefix] !== undefined) bytes.push(PREFIX_BYTE[prefix]);
    bytes.push(0x0f);
    if (row.map === 2) bytes.push(0x38);
    if (row.map === 3) bytes.push(0x3a);
    bytes.push(row.opcode);
  }
  if (row.hasModrm) {
    const reg = row.regMask === 0xff ? 1 : lowestBit(row.regMask);
    if (memory) bytes.push((reg << 3) | 4, 0x33);
    else bytes.push(0xc0 | (reg << 3) | 2);
  }
  if (row.operands.some((o) => o.kind === 'I' || o.kind === 'L')) bytes.push(imm);
  return bytes;
}

const decoder = new Decoder(buildOpcodeTable(SIMD_ROWS, model));
const reached = new Set<Callee>();
function liftRow(row: Row, memory: boolean, mode: number, imm: number): void {
  const bytes = Uint8Array.from([...encodeRow(row, memory, imm), 0, 0, 0, 0, 0, 0, 0, 0]);
  const d = emptyDecoded();
  const outcome = decoder.decode(bytes, 0, 64, false, d);
  assert.equal(outcome, 'ok', `${row.encoding} ${row.mnemonic} decodes`);
  assert.equal(d.row.lift, row.lift, `${row.encoding} ${row.mnemonic} is found, not ${d.row.encoding} ${d.row.mnemonic}`);
  assert.equal(d.byteCount, bytes.length - 8, `${row.encoding} ${row.mnemonic} has its length`);
  const c = new Lift(mode, d);
  c.begin(0, d.byteCount);
  assert.ok(checkUsable(c), `${row.mnemonic} is usable`);
  d.row.lift(c);
  assert.equal(c.terminal, undefined, `${row.encoding} ${row.mnemonic} lifts without a trap`);
  assert.ok(c.b.insts.length > 0);
  for (const inst of c.b.insts) if (inst.callee) reached.add(inst.callee);
}

const MODE_64 = 2 | MODE.FLAT | MODE.PROTECTED | MODE.X87 | MODE.SSE | MODE.AVX | MODE.CPL3 | MODE.LONG;

test('every vector row lifts in its forms', () => {
  for (const row of SIMD_ROWS) {
    for (const memory of [false, true]) {
      if (row.hasModrm && (row.formMask & (memory ? 1 : 2)) === 0) continue;
      for (const imm of [0, 0x5a, 0xff]) liftRow(row, memory, MODE_64, imm);
    }
  }
});

test('routines and helpers are declared', () => {
  const known = new Set<Callee>([...SIMD_ROUTINES, ...SIMD_HELPERS, CHECK_SEGMENT, COMPUTE_FLAGS]);
  for (const callee of reached) assert.ok(known.has(callee), `${callee.name} is declared`);
  const names = SIMD_ROUTINES.map((r) => r.name);
  assert.equal(new Set(names).size, names.length, 'names are unique');
  for (const helper of SIMD_HELPERS) assert.ok(SIMD_HELPER_MAP[helper.name], `${helper.name} has a function`);
});

test('every routine builds', () => {
  for (const r of SIMD_ROUTINES) {
    const b = new Builder();
    const params = r.params.map((type) => b.get(b.temp(type)));
    const result = r.build(b, params);
    assert.equal(result?.type, r.result, r.name);
  }
});
