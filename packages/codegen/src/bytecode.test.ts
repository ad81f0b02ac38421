// Bytecode in another place than the one it was made for.

import { deepEqual, notDeepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { Builder } from '@anillo/ir/builder';
import type { Block, Terminal } from '@anillo/ir/block';
import { BlockRecord } from './block-record.ts';
import { BlockEncoder } from './bytecode.ts';
import { buildRuntime } from './runtime-module.ts';
import { SLOTS } from './testing/tier-rig.ts';

const { opcodes } = buildRuntime({ routines: [], helpers: [] });
const LIMIT = 0x10000;

function blockWith(terminal: (b: Builder) => Terminal, pcBits: 16 | 32 | 64): Block {
  const b = new Builder();
  b.set(SLOTS.i64[0], b.add(b.get(SLOTS.i64[1]), b.i64(5)));
  return b.finish(terminal(b), { byteCount: 9, insnCount: 3, pcBits });
}

const TERMINALS: Readonly<Record<string, (b: Builder) => Terminal>> = {
  jump: () => ({ kind: 'jump', delta: 100, poll: false }),
  'far jump': () => ({ kind: 'jump', delta: 0x1_0000_0064, poll: false }),
  'jump back': () => ({ kind: 'jump', delta: -50, poll: false }),
  poll: () => ({ kind: 'jump', delta: 9, poll: true }),
  call: () => ({ kind: 'call', delta: -300, returnDelta: 9 }),
  branch: (b) => ({ kind: 'branch', cond: b.eqz(b.get(SLOTS.i64[1])), taken: -60, fall: 9 }),
  indirect: (b) => ({ kind: 'indirect', target: b.get(SLOTS.i64[1]), hint: 'ret' }),
  dispatch: () => ({ kind: 'dispatch' }),
};

for (const pcBits of [16, 32, 64] as const) {
  for (const [name, terminal] of Object.entries(TERMINALS)) {
    test(`${name}, ${pcBits} bits: code that is put elsewhere is what would have been made there`, () => {
      const buffer = new ArrayBuffer(LIMIT);
      const bytes = new Uint8Array(buffer);
      const encoder = new BlockEncoder(opcodes, buffer);
      const block = blockWith(terminal, pcBits);
      for (const pageOffset of [0, 20, 2000, 4000, 4087]) {
        const place = { hostAddress: 0x7000 + pageOffset, mode: 5, hotAt: 100 };
        bytes.fill(0);
        const used = encoder.encode(block, 0x1000, LIMIT, place);
        const made = bytes.slice(0x1000, 0x1000 + used);
        // The same by way of a copy of code made for the middle of another page; its links have been followed since.
        bytes.fill(0);
        encoder.encode(block, 0x2000, LIMIT, { hostAddress: 0x5800, mode: 5, hotAt: 100 });
        const { codeAt, codeBytes, terminalAt } = encoder.lastCode;
        bytes.copyWithin(0x1000 + BlockRecord.bytes, codeAt, codeAt + codeBytes);
        notDeepEqual(bytes.slice(0x1000, 0x1000 + used), made);
        encoder.adopt(block, 0x1000, terminalAt, place);
        deepEqual(bytes.slice(0x1000, 0x1000 + used), made);
      }
    });
  }
}
