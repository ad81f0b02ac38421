// What the passes make of small blocks, in text form; the text form itself; what the verifier refuses.

import { equal, match, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { Builder } from '@anillo/ir/builder';
import { helper } from '@anillo/ir/callee';
import { optimize } from '@anillo/ir/optimize';
import { parseBlock, printBlock } from '@anillo/ir/text';
import { slot } from '@anillo/ir/slot';
import { PC } from './vcpu-header.ts';
import { verifyBlock } from '@anillo/ir/verify';

const QUIET = helper('quiet', 0, { reads: 'none', writes: 'none' });
const NOSY = helper('nosy', 0, { reads: 'all', writes: 'none' });
const PURE = helper('pure', 0, { reads: 'none', writes: 'none', pure: true });
const CALLEES = [QUIET, NOSY, PURE];
const block = (lines: string, terminal = 'jump 4') => `block bytes=4 insns=1 at=0 pc=64\n${lines}\n${terminal}\n`;
/** Insts with values renumbered, without indentation. */
const shape = (text: string): string =>
  text
    .split('\n')
    .slice(1, -2)
    .map((l) => l.trim())
    .join('; ');
const optimized = (lines: string, terminal?: string): string => shape(printBlock(optimize(parseBlock(block(lines, terminal), CALLEES))));

test('text: what is printed parses back to the same text', () => {
  const text = [
    'block bytes=9 insns=3 at=7 pc=32',
    '  %0 = get r1:i64@1032',
    '  %1 = i64.const 0xfffffffffffffff8',
    '  %2 = i64.add %0 %1',
    '@3',
    '  set x0:i64@32! %2',
    '  %4 = i64.load %2 -8',
    '  set t0:i64 %4',
    '  %6 = get t0:i64',
    '  %7 = v128.const 000102030405060708090a0b0c0d0e0f',
    '  %8 = i8x16.extract_lane_u %7 15',
    '  if %8',
    '  loop',
    '  raise_if %8 6',
    '  loop_while %8',
    '  else',
    '  %14 = call quiet',
    '  end',
    '  %16 = f64.const 000000000000f03f',
    '@7',
    '  i64.store %2 %6 16',
    'branch %8 -4 9',
    '',
  ].join('\n');
  equal(printBlock(parseBlock(text, CALLEES)), text);
});

test('text: a bad line is named', () => {
  throws(() => parseBlock(block('  %0 = i64.add %1 %2')), /unknown value %1 in line "%0 = i64.add %1 %2"/);
  throws(() => parseBlock(block('  frobnicate')), /unknown op/);
});

test('a get after a set or get of the slot vanishes', () => {
  equal(
    optimized('%0 = get a:i64@8\nset b:i64@16 %0\n%2 = get b:i64@16\n%3 = get a:i64@8\n%4 = i64.add %2 %3\nset c:i64@24 %4'),
    '%0 = get a:i64@8; set b:i64@16 %0; %2 = i64.add %0 %0; set c:i64@24 %2',
  );
});

test('pinned slots are forgotten when something may reach them by offset', () => {
  const twice = (between: string): string =>
    optimized(`%0 = get p:i64@32!\n${between}\n%8 = get p:i64@32!\n%9 = i64.add %0 %8\nset c:i64@24 %9`);
  match(twice('%1 = i32.const 0x20\n%2 = i64.const 0x1\nstate.store64 %1 %2 0'), /store64.*get p/);
  match(twice('%1 = call quiet'), /quiet.*get p/);
  match(twice('%1 = i64.const 0x1\nset q:i64@40! %1'), /set q.*get p/);
  equal(
    twice('%1 = i64.const 0x1\nset q:i64@40 %1'),
    '%0 = get p:i64@32!; %1 = i64.const 0x1; set q:i64@40 %1; %3 = i64.add %0 %0; set c:i64@24 %3',
  );
});

test('a slot set in a branch is not known after it', () => {
  const lines = '%0 = get a:i64@8\n%1 = i32.wrap_i64 %0\nif %1\n%3 = i64.const 0x5\nset a:i64@8 %3\nend\n%6 = get a:i64@8\nset b:i64@16 %6';
  match(optimized(lines), /end; %\d = get a:i64@8; set b/);
});

test('constants fold, also to the right-hand side', () => {
  equal(
    optimized('%0 = i32.const 0x3\n%1 = i32.const 0xfffffffe\n%2 = i32.add %0 %1\n%3 = i64.extend_i32_s %2\nset a:i64@8 %3'),
    '%0 = i64.const 0x1; set a:i64@8 %0',
  );
  equal(
    optimized('%0 = i64.const 0xffffffff\n%1 = i64.const 0x100000001\n%2 = i64.add %0 %1\nset a:i64@8 %2'),
    '%0 = i64.const 0x200000000; set a:i64@8 %0',
  );
  equal(
    optimized('%0 = i64.const 0x0\n%1 = i64.const 0x1\n%2 = i64.sub %0 %1\nset a:i64@8 %2'),
    '%0 = i64.const 0xffffffffffffffff; set a:i64@8 %0',
  );
  equal(
    optimized('%0 = i64.const 0x3\n%1 = get a:i64@8\n%2 = i64.add %0 %1\nset a:i64@8 %2'),
    '%0 = i64.const 0x3; %1 = get a:i64@8; %2 = i64.add %1 %0; set a:i64@8 %2',
  );
});

test('an operand with itself, truths and their opposites fold', () => {
  const of = (lines: string): string => optimized(`%0 = get a:i32@8\n%1 = get b:i32@16\n${lines}\nset c:i32@24 %9`);
  equal(of('%9 = i32.xor %0 %0'), '%0 = i32.const 0x0; set c:i32@24 %0');
  equal(of('%9 = i32.sub %0 %0'), '%0 = i32.const 0x0; set c:i32@24 %0');
  equal(of('%9 = i32.and %0 %0'), '%0 = get a:i32@8; set c:i32@24 %0');
  equal(of('%2 = i32.bswap %0\n%3 = i32.bswap %0\n%9 = i32.xor %2 %3'), '%0 = i32.const 0x0; set c:i32@24 %0');
  match(of('%2 = i32.bswap %0\n%3 = i32.bswap %1\n%9 = i32.xor %2 %3'), /xor/);
  match(of('%2 = i32.const 0xff\n%3 = i32.and %0 %2\n%9 = i32.extend8_s %3'), /extend8_s %0/);
  match(of('%2 = i32.const 0x7f\n%3 = i32.and %0 %2\n%9 = i32.extend8_s %3'), /i32.and %0 %1; %3 = i32.extend8_s %2/);
  match(of('%2 = i32.const 0xff\n%3 = i32.and %0 %2\n%9 = i32.and %3 %2'), /%2 = i32.and %0 %1; set/);
  equal(of('%2 = i32.lt_u %0 %1\n%9 = i32.eqz %2'), '%0 = get a:i32@8; %1 = get b:i32@16; %2 = i32.ge_u %0 %1; set c:i32@24 %2');
  equal(
    of('%2 = i32.eq %0 %1\n%3 = i32.const 0xff\n%9 = i32.and %2 %3'),
    '%0 = get a:i32@8; %1 = get b:i32@16; %2 = i32.eq %0 %1; set c:i32@24 %2',
  );
  match(
    optimized('%0 = get a:f64@8\n%9 = f64.sub %0 %0\nset c:f64@24 %9'),
    /f64.sub %0 %0/, // not so for a NaN
  );
});

test('64-bit folds agree with BigInt', () => {
  const values = [
    0n,
    1n,
    0x7fffffffn,
    0x80000000n,
    0xffffffffn,
    0x100000000n,
    0x8000000000000000n,
    0xffffffffffffffffn,
    0x123456789abcdef0n,
  ];
  const ops: Record<string, (a: bigint, b: bigint) => bigint> = {
    add: (a, b) => a + b,
    sub: (a, b) => a - b,
    and: (a, b) => a & b,
    or: (a, b) => a | b,
    xor: (a, b) => a ^ b,
    shl: (a, b) => a << (b & 63n),
    shr_u: (a, b) => a >> (b & 63n),
  };
  for (const [name, f] of Object.entries(ops)) {
    for (const a of values) {
      for (const b of [...values, 31n, 32n, 33n, 63n]) {
        const want = BigInt.asUintN(64, f(a, b)).toString(16);
        equal(
          optimized(`%0 = i64.const 0x${a.toString(16)}\n%1 = i64.const 0x${b.toString(16)}\n%2 = i64.${name} %0 %1\nset a:i64@8 %2`),
          `%0 = i64.const 0x${want}; set a:i64@8 %0`,
        );
      }
    }
  }
});

test('an overwritten set goes, unless a fault, a call or a get may look', () => {
  const sets = (between: string): string => optimized(`%0 = i64.const 0x1\nset a:i64@8 %0\n${between}\n%9 = i64.const 0x2\nset a:i64@8 %9`);
  equal(sets('%1 = call quiet'), '%0 = call quiet; %1 = i64.const 0x2; set a:i64@8 %1');
  match(sets('%1 = call nosy'), /0x1; set a:i64@8 %0/);
  match(sets('%5 = get b:i64@16\n%6 = i64.load %5 0'), /0x1; set a:i64@8 %0/);
  match(sets('%5 = get b:i64@16\n%6 = i32.wrap_i64 %5\nraise_if %6 3'), /0x1; set a:i64@8 %0/);
  // A get whose value is known is no look; one of unknown value inside a loop is.
  match(sets('loop\n%3 = get a:i64@8\n%4 = i32.wrap_i64 %3\nloop_while %4'), /0x1; set a:i64@8 %0/);
});

test('a set that only one branch overwrites stays', () => {
  const lines = (other: string): string =>
    `%0 = i64.const 0x1\nset a:i64@8 %0\n%2 = get b:i64@16\n%3 = i32.wrap_i64 %2\nif %3\n%5 = i64.const 0x2\nset a:i64@8 %5\n${other}end`;
  match(optimized(lines('')), /0x1; set a:i64@8 %0/);
  equal(/0x1/.test(optimized(lines('else\n%8 = i64.const 0x3\nset a:i64@8 %8\n'))), false);
});

test('calls whose result nobody needs go only where they are pure', () => {
  equal(optimized('%0 = call quiet'), '%0 = call quiet');
  equal(optimized('%0 = call pure'), '');
  match(optimized('%0 = call pure\n%1 = i64.extend_i32_u %0\nset a:i64@8 %1'), /call pure/);
});

test('branches with nothing in them go', () => {
  const lines = (then: string, otherwise: string): string =>
    optimized(`%0 = get b:i64@16\n%1 = i32.wrap_i64 %0\nif %1\n%2 = i64.const 0x1\nset ${then} %2\nelse\nset ${otherwise} %0\nend`);
  equal(lines('t:i64', 't:i64'), '');
  match(lines('a:i64@8', 't:i64'), /^.*if %1; %3 = i64.const 0x1; set a:i64@8 %3; end$/);
  match(lines('t:i64', 'a:i64@8'), /if %1; else; set a:i64@8 %0; end$/);
});

test('a deferred write comes before the next look at state, if no other has taken its place', () => {
  const b = new Builder();
  const a = slot('a', 'i64', 8);
  const write = (n: number): void => b.defer({ writeDeferred: () => b.set(a, b.i64(n)) });
  write(1);
  write(2);
  b.op('i64.load', [b.get(a)]);
  write(3);
  b.call(PURE);
  write(4);
  const finished = b.finish({ kind: 'jump', delta: 4, poll: false }, { byteCount: 4, insnCount: 1, pcBits: 64 });
  equal(
    shape(printBlock(finished)),
    '%0 = get a:i64@8; %1 = i64.const 0x2; set a:i64@8 %1; %3 = i64.load %0 0; %4 = call pure; %5 = i64.const 0x4; set a:i64@8 %5',
  );
});

test('temps have no observers at the end', () => {
  equal(optimized('%0 = i64.const 0x1\nset t:i64 %0'), '');
});

test('addresses take in constants, conditions lose comparisons with zero', () => {
  equal(
    optimized('%0 = get a:i64@8\n%1 = i64.const 0xfffffffffffffff8\n%2 = i64.add %0 %1\n%3 = i64.load %2 4\nset b:i64@16 %3'),
    '%0 = get a:i64@8; %1 = i64.load %0 -4; set b:i64@16 %1',
  );
  match(
    printBlock(optimize(parseBlock(block('%0 = get w:i32@8\n%1 = i32.const 0x0\n%2 = i32.ne %0 %1', 'branch %2 0 4')))),
    /branch %0 0 4/,
  );
});

test('the verifier finds what is wrong', () => {
  const problems: [string, RegExp][] = [
    ['%0 = get a:i64@8\n%1 = i32.add %0 %0', /argument 0 has type i64, not i32/],
    ['%0 = get a:i64@12', /bad offset/],
    ['%0 = i32.const 0x1\nif %0\n%2 = i32.const 0x2\nend\n%4 = i32.eqz %2', /not defined there/],
    ['%0 = i32.const 0x1\nif %0', /if is not closed/],
    ['end', /has no if/],
    ['%0 = get t:i64', /before it is set/],
    [`%0 = i64.const 0x1\nset pc:i64@${PC.offset} %0`, /does not set pc/],
    ['%0 = i64.const 0x1\nset a:i32@8 %0', /argument 0 has type i64, not i32/],
  ];
  for (const [lines, problem] of problems) match(verifyBlock(parseBlock(block(lines))) ?? 'nothing', problem);
  equal(verifyBlock(parseBlock(block('%0 = get a:i64@8\nset a:i64@8 %0'))), undefined);
});
