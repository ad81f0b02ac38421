import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BLOCK_FLAGS } from '@anillo/codegen/block-record';
import { BlockEncoder } from '@anillo/codegen/bytecode';
import { FunctionCode } from '@anillo/codegen/function-code';
import { ModuleWriter } from '@anillo/codegen/module-writer';
import { buildRuntime } from '@anillo/codegen/runtime-module';
import { Builder } from '@anillo/ir/builder';
import { CodePages } from './code-pages.ts';
import { FunctionTable } from './function-table.ts';
import { planMemory } from './memory-plan.ts';
import { RememberedBlocks } from './remembered-blocks.ts';
import { TranslationCache } from './translation-cache.ts';

declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
  readonly Instance: new (module: object) => { readonly exports: Record<string, unknown> };
  readonly Table: new (
    descriptor: object,
  ) => { readonly length: number; grow(count: number): number; get(index: number): unknown; set(index: number, value: unknown): void };
};

const plan = planMemory(1, [{ start: 0, byteCount: 0x10_0000, kind: 'ram' }]);
const RAM = plan.regions[0]?.offset ?? 0;
const { opcodes } = buildRuntime({ routines: [], helpers: [] });
const MODE = 5;
const HOT_AT = 100;
/** As many as there may be without any going to sleep, those that go then, and those that are added until more do. */
const MOST = 1280;
const FIRST_SLEEPERS = 257;
const PERIOD = 64;

function twoFunctions(): readonly unknown[] {
  const module = new ModuleWriter();
  for (const name of ['code', 'absent']) module.define(module.declare({ params: [], results: [] }, name), new FunctionCode(0));
  const { code, absent } = new WebAssembly.Instance(new WebAssembly.Module(module.finish())).exports;
  return [code, absent];
}

function rig() {
  const buffer = new ArrayBuffer(plan.pageCount * 65536);
  const codePages = new CodePages(buffer, plan.granulesAt, plan.pageCount * 65536);
  const cache = new TranslationCache(buffer, plan, 0, new BlockEncoder(opcodes, buffer), codePages, new RememberedBlocks(opcodes));
  const table = new WebAssembly.Table({ initial: 16, element: 'anyfunc' });
  const [code, absent] = twoFunctions();
  const functions = new FunctionTable({ table, absent, cache, clearJumpCaches: () => {} });
  const records: number[] = [];
  const pageOf = (record: number): number => cache.word(record, 'hostAddress') & ~0xfff;
  const translate = (): number => {
    const block = new Builder().finish({ kind: 'jump', delta: 8, poll: false }, { byteCount: 8, insnCount: 1, pcBits: 64 });
    records.push(cache.insert(block, RAM + records.length * 64, MODE, HOT_AT, undefined));
    return records.at(-1) as number;
  };
  const add = (blocks: readonly (readonly [number, number])[], wasmBytes = 100): void =>
    functions.add({
      code,
      wasmBytes,
      pages: [...new Set(blocks.map(([record]) => pageOf(record)))],
      pageList: 0,
      blocks: blocks.map(([record, entry]) => ({ record, entry })),
      copied: [],
    });
  const addMany = (count: number): void => {
    for (let i = 0; i < count; i++) add([[translate(), 7]]);
  };
  const isCompiled = (record: number): boolean => (cache.word(record, 'flags') & BLOCK_FLAGS.COMPILED) !== 0;
  const isCallable = (record: number): boolean => table.get(cache.word(record, 'functionIndex')) === code;
  return { cache, functions, records, translate, add, addMany, isCompiled, isCallable };
}

test('of too many functions the oldest sleep, and wake when they are used again', () => {
  const { cache, functions, records, addMany, isCompiled, isCallable } = rig();
  addMany(MOST + 1);
  const asleep = records.slice(0, FIRST_SLEEPERS);
  assert.ok(asleep.every((record) => !isCompiled(record) && !isCallable(record)));
  assert.ok(records.slice(FIRST_SLEEPERS).every((record) => isCompiled(record) && isCallable(record) && !functions.wake(record)));
  const used = asleep[3] as number;
  // A few executions make it hot.
  assert.equal(cache.word(used, 'count'), HOT_AT - 32);
  assert.equal(functions.wake(used), true);
  assert.deepEqual([isCompiled(used), isCallable(used), functions.wake(used)], [true, true, false]);
  assert.equal(cache.word(used, 'functionEntry'), 7);
  // It is as good as new; of those that have slept on, as many are gone as there are too many.
  addMany(PERIOD);
  assert.equal(isCompiled(used), true);
  const dropped = PERIOD + 1;
  const still = asleep.filter((record) => functions.wake(record));
  assert.deepEqual(still, asleep.filter((record) => record !== used).slice(dropped));
  assert.equal(cache.word(asleep[4] as number, 'count'), 0);
});

test('functions of much code sleep sooner', () => {
  const { functions, translate, add, addMany } = rig();
  const large = translate();
  add([[large, 0]], 16 << 20);
  addMany(PERIOD - 1);
  assert.equal(functions.wake(large), true);
});

test('a page that changes ends the functions that sleep', () => {
  const { cache, functions, records, addMany, isCompiled } = rig();
  addMany(MOST + 1);
  const [gone, left] = [records[0] as number, records[64] as number];
  cache.dropPage(RAM);
  assert.deepEqual([functions.wake(gone), functions.wake(left)], [false, true]);
  // Their slots are free once.
  addMany(8 * PERIOD);
  const slots = records.filter(isCompiled).map((record) => cache.word(record, 'functionIndex'));
  assert.equal(new Set(slots).size, slots.length);
  const sleeper = records.findLast((record) => !isCompiled(record)) as number;
  cache.dropAll();
  assert.equal(functions.wake(sleeper), false);
});

test('a block that gets another function meanwhile keeps that', () => {
  const { cache, functions, records, add, addMany, isCompiled } = rig();
  addMany(MOST + 1);
  const [entered, inside] = [records[0] as number, records[1] as number];
  add([
    [entered, 1],
    [inside, -1],
  ]);
  const slot = cache.word(entered, 'functionIndex');
  assert.deepEqual([functions.wake(entered), functions.wake(inside)], [false, false]);
  addMany(PERIOD);
  assert.deepEqual([isCompiled(entered), isCompiled(inside), cache.word(inside, 'functionIndex')], [true, false, slot]);
});
