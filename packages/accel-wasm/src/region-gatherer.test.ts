// Which blocks become part of a region: a made-up program in pages of code, with the executions that each block has had.

import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { BLOCK_FLAGS, type BlockRecord } from '@anillo/codegen/block-record';
import type { Block, Terminal } from '@anillo/ir/block';
import { Builder } from '@anillo/ir/builder';
import { gatherRegion, type CodeReader, type FoundRegion, type KnownBlocks } from './region-gatherer.ts';

type Fields = Partial<Record<keyof typeof BlockRecord.offset, number>>;

interface Code {
  readonly terminal: (b: Builder) => Terminal;
  readonly count?: number;
  readonly insns?: number;
  readonly bytes?: number;
  readonly fields?: Fields;
}

const HOT = 4000;
/** Machine-memory address of linear address 0 of the program. */
const CODE_AT = 0x40_0000;
const jump = (delta: number) => (): Terminal => ({ kind: 'jump', delta, poll: false });
const branch =
  (taken: number, fall: number) =>
  (b: Builder): Terminal => ({ kind: 'branch', cond: b.i32(1), taken, fall });
const call =
  (delta: number, returnDelta = 8) =>
  (): Terminal => ({ kind: 'call', delta, returnDelta });
const ret = (b: Builder): Terminal => ({ kind: 'indirect', target: b.i64(0), hint: 'ret' });
const through = (b: Builder): Terminal => ({ kind: 'indirect', target: b.i64(0), hint: 'jump' });
const halt = (): Terminal => ({ kind: 'exit', delta: 1, reason: 7 });

interface Question {
  readonly hot: number;
  /** Where indirect jumps have gone: linear addresses by that of the block. */
  readonly targets?: Readonly<Record<number, readonly number[]>>;
  readonly compilation?: number;
}

/** Records are linear addresses plus 1. */
function gather(program: Readonly<Record<number, Code>>, { hot, targets = {}, compilation = 0 }: Question): FoundRegion {
  const at = (record: number): Code => program[record - 1] as Code;
  const cache: KnownBlocks = {
    find: (hostAddress) => (program[hostAddress - CODE_AT] ? hostAddress - CODE_AT + 1 : 0),
    word: (record, name) => {
      const { count = HOT, fields = {} } = at(record);
      return { hostAddress: record - 1 + CODE_AT, count, ...fields }[name] ?? 0;
    },
  };
  const made = new Map<number, Block>();
  const lift = (hostAddress: number, _mode: number, _nextPage: number, end?: number): Block => {
    const linear = hostAddress - CODE_AT;
    if (end !== undefined)
      return new Builder().finish({ kind: 'jump', delta: end, poll: false }, { byteCount: end, insnCount: 1, pcBits: 64 });
    const { terminal, insns = 2, bytes = 4 } = program[linear] as Code;
    const b = new Builder();
    const block = made.get(linear) ?? b.finish(terminal(b), { byteCount: bytes, insnCount: insns, pcBits: 64 });
    made.set(linear, block);
    return block;
  };
  const reader: CodeReader = {
    lift,
    pageAt: (pages) => CODE_AT + (hot & ~0xfff) + pages * 4096,
    jumpTargets: () => new Map(Object.entries(targets).map(([from, to]) => [Number(from) + 1, to.map((target) => target - Number(from))])),
  };
  return gatherRegion(hot + 1, cache, reader, compilation);
}

/** Linear addresses of a region's blocks; copies as caller>callee. */
function shape({ blocks }: FoundRegion): string[] {
  return blocks.map(({ record, within }) => {
    let text = `${(record - 1).toString(16)}`;
    for (let now = within; now !== undefined; now = now.within) text = `${now.at.toString(16)}>${text}`;
    return text;
  });
}

test('what jumps, branches and returns lead to, if it is warm', () => {
  const region = gather(
    {
      0x100: { terminal: branch(0x40, 0x10) },
      0x110: { terminal: jump(0x20), count: 15 },
      0x130: { terminal: halt },
      0x140: { terminal: call(0x9000, 0x20), count: 16 },
      0x160: { terminal: halt },
    },
    { hot: 0x100 },
  );
  deepEqual(shape(region), ['100', '140', '160']);
  deepEqual(
    region.blocks.map(({ offset }) => offset),
    [0, 0x40, 0x60],
  );
});

test('pages of a region by their distance from its lowest block', () => {
  const region = gather({ 0x1100: { terminal: jump(-0x200) }, 0xf00: { terminal: halt } }, { hot: 0x1100 });
  deepEqual(
    [...region.pages].sort(),
    [
      [-0xf00, CODE_AT],
      [0x100, CODE_AT + 0x1000],
    ].sort(),
  );
});

const CALLER = { 0x100: { terminal: call(0xf00) }, 0x108: { terminal: branch(-8, 0x10) }, 0x118: { terminal: halt } };

test('a small function is copied to each call', () => {
  const program = {
    ...CALLER,
    0x118: { terminal: call(0xee8) },
    0x120: { terminal: halt },
    0x1000: { terminal: branch(0x10, 0x20) },
    0x1010: { terminal: ret },
    0x1020: { terminal: ret },
  };
  const region = gather(program, { hot: 0x108 });
  deepEqual(shape(region), ['100', '108', '118', '120', '0>1000', '0>1010', '0>1020', '18>1000', '18>1010', '18>1020']);
  equal(region.blocks.at(-1)?.within?.returnOffset, 0x20);
});

test('a copy has copies of what it calls, three deep', () => {
  // Calls itself.
  const region = gather(
    { ...CALLER, 0x1000: { terminal: branch(0x10, 0x20) }, 0x1010: { terminal: call(-0x10, 0x10) }, 0x1020: { terminal: ret } },
    { hot: 0x108 },
  );
  const copies = shape(region).filter((text) => text.includes('>'));
  deepEqual(copies, [
    '0>1000',
    '0>1010',
    '0>1020',
    '0>f10>1000',
    '0>f10>1010',
    '0>f10>1020',
    '0>f10>f10>1000',
    '0>f10>f10>1010',
    '0>f10>f10>1020',
  ]);
});

for (const [why, callee, caller] of [
  ['is long', { 0x1000: { terminal: ret, insns: 51 } }, {}],
  ['does not return', { 0x1000: { terminal: halt } }, {}],
  ['is cold', { 0x1000: { terminal: ret, count: 3 } }, {}],
  ['is called seldom', { 0x1000: { terminal: ret } }, { 0x100: { terminal: call(0xf00), count: HOT / 8 - 1 } }],
  ['lies too far away', { 0x90_1000: { terminal: ret } }, { 0x100: { terminal: call(0x90_0f00) } }],
] as const) {
  test(`a function that ${why} is not copied`, () => {
    deepEqual(shape(gather({ ...CALLER, ...callee, ...caller }, { hot: 0x108 })), ['100', '108', '118']);
  });
}

test('indirect jumps lead to where they have gone', () => {
  const program = {
    0x100: { terminal: through },
    0x140: { terminal: jump(-0x40) },
    0x180: { terminal: jump(-0x80) },
    0x1c0: { terminal: halt, count: 2 },
  };
  const region = gather(program, { hot: 0x100, targets: { 0x100: [0x140, 0x180, 0x1c0] } });
  deepEqual(shape(region), ['100', '140', '180']);
  deepEqual(region.blocks[0]?.targets, [0x40, 0x80, 0xc0]);
});

test('what a switch leads to is compiled again only after ever more other compilations', () => {
  const compiled = (compiledTimes: number): Code => ({
    terminal: halt,
    count: 0,
    fields: { flags: BLOCK_FLAGS.COMPILED, compiledTimes, compiledAt: 100 },
  });
  const program = { 0x100: { terminal: through }, 0x140: compiled(1), 0x180: compiled(2), 0x1a0: compiled(28), 0x1c0: { terminal: halt } };
  const at = (compilation: number): string[] =>
    shape(gather(program, { hot: 0x100, targets: { 0x100: [0x140, 0x180, 0x1a0, 0x1c0] }, compilation }));
  deepEqual(at(110), ['100', '1c0']);
  deepEqual(at(116), ['100', '140', '1c0']);
  deepEqual(at(132), ['100', '140', '180', '1c0']);
});

test('a block that has been compiled three times joins a further region only after as many other compilations', () => {
  const compiled = (compiledTimes: number): Code => ({
    terminal: jump(0x100),
    fields: { flags: BLOCK_FLAGS.COMPILED, compiledTimes, compiledAt: 100 },
  });
  const program = {
    0x100: { terminal: branch(0x40, 0x80) },
    0x140: compiled(2),
    0x180: compiled(3),
    0x240: { terminal: halt },
    0x280: { terminal: halt },
  };
  const at = (compilation: number): string[] => shape(gather(program, { hot: 0x100, compilation }));
  deepEqual(at(163), ['100', '140', '240']);
  deepEqual(at(164), ['100', '140', '180', '240', '280']);
  deepEqual(shape(gather({ ...program, 0x100: compiled(9), 0x200: { terminal: halt } }, { hot: 0x100 })), ['100', '200']);
});

test('a region stays below its largest size', () => {
  const chain = Object.fromEntries(Array.from({ length: 400 }, (_, i) => [0x100 + 8 * i, { terminal: jump(8) }]));
  equal(gather(chain, { hot: 0x100 }).blocks.length, 160);
});

test('blocks end where loops begin, and nowhere else', () => {
  const loop = {
    0x110: { terminal: branch(0x20, 8), bytes: 8 },
    0x118: { terminal: branch(-8, 0x28), bytes: 8 },
    0x130: { terminal: jump(-0x20) },
    0x140: { terminal: jump(4) },
  };
  const lengths = (region: FoundRegion): string[] =>
    region.blocks.map(({ record, block }) => `${(record - 1).toString(16)}:${block.byteCount}`);
  // Runs into the loop, and so into what follows it; a forward jump leads to 0x144, in the middle of a block.
  const program = {
    ...loop,
    0x100: { terminal: branch(0x30, 0x18), bytes: 0x18 },
    0x140: { terminal: call(0xec0, 8), bytes: 8 },
    0x144: { terminal: halt },
  };
  deepEqual(lengths(gather(program, { hot: 0x100 })), ['100:16', '110:8', '118:8', '130:4', '140:8']);
  // In a copy too.
  const callee = {
    0x1000: { terminal: branch(0x18, 0x10), bytes: 0x10 },
    0x1008: { terminal: branch(0x10, 8), bytes: 8 },
    0x1010: { terminal: jump(-8) },
    0x1018: { terminal: ret },
  };
  deepEqual(lengths(gather({ ...CALLER, ...callee }, { hot: 0x108 })), ['100:4', '108:4', '118:4', '1000:8', '1018:4', '1010:4', '1008:8']);
});
