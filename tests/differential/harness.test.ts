// Tests of the harness itself: hand-checked instructions on the host, determinism, and that the comparison sees a fault put into any field.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { assemble } from './assemble-trampoline.ts';
import { compareResults } from './compare.ts';
import type { Executor } from './executor.ts';
import { Generator } from './generator.ts';
import { createHostExecutor } from './host-executor.ts';
import { hostFeatures } from './host-features.ts';
import { TRAMPOLINE } from './host-trampoline.ts';
import { CODE_BASE, DATA_BASE, DATA_BYTES, DATA_END, READ_ONLY_BASE } from './memory-map.ts';
import { runDifferential } from './run-differential.ts';
import { emptyImage, IMAGE, setU32, setU64, type TestCase, type TestResult, u16, u32, u64 } from './test-case.ts';
import { checkVector, formatVector, parseVector } from './vector-format.ts';

const made = await createHostExecutor();
const host = typeof made === 'string' ? undefined : made;
const skip = typeof made === 'string' ? made : false;
after(() => host?.[Symbol.dispose]());

const run = (c: TestCase): TestResult => (host as Executor).run([c])[0];
const at = (address: number): string => address.toString(16);

/** What the manual says of each: written by hand, not taken from a run. */
const HAND_CHECKED = [
  '64 | 4801d8 | add rax,rbx | rax=1 rbx=ffffffffffffffff -> rax=0 flags=55/8d5',
  '64 | 00d8 | add al,bl | rax=7f rbx=1 -> rax=80 flags=890/8d5',
  '64 | 01d8 | add eax,ebx: upper half zeroed | rax=ffffffff00000001 rbx=1 -> rax=2 flags=0/8d5',
  '64 | 00e0 | add al,ah | rax=1234 -> rax=1246 flags=0/8d5',
  '64 | 48d3e0 | shl rax,cl by 64 changes nothing | rax=5 rcx=40 flags=2d7 ->',
  '64 | f7f1 | div ecx | rax=7 rcx=2 -> rax=3 rdx=1 flags=0/0',
  `64 | f7f1 | div by zero | rax=7 -> vec=0 err=0 rip=${at(CODE_BASE)}`,
  `64 | cc | int3 is a trap | -> vec=3 err=0 rip=${at(CODE_BASE + 1)}`,
  `64 | 0f0b | ud2 | -> vec=6 err=0 rip=${at(CODE_BASE)}`,
  `64 | f4 | hlt at CPL 3 | -> vec=d err=0 rip=${at(CODE_BASE)}`,
  `64 | 488903 | mov [rbx],rax across the last writable byte | rbx=${at(READ_ONLY_BASE - 1)} -> vec=e err=7 cr2=${at(READ_ONLY_BASE)} rip=${at(CODE_BASE)}`,
  `64 | 488b03 | mov rax,[rbx] across the guard page | rbx=${at(DATA_END - 4)} -> vec=e err=4 cr2=${at(DATA_END)} rip=${at(CODE_BASE)}`,
  `64 | 0f2803 | movaps misaligned | rbx=${at(DATA_BASE + 1)} -> vec=d err=0 rip=${at(CODE_BASE)}`,
  `64 | 488b03 | non-canonical address | rbx=8000000000000000 -> vec=d err=0 rip=${at(CODE_BASE)}`,
  `64 | ffe0 | jump to a page that is not executable | rax=${at(DATA_BASE)} -> vec=e err=15 cr2=${at(DATA_BASE)} rip=${at(DATA_BASE)}`,
  `64 | f3a4 | rep movsb stops at the guard page | rcx=8 rsi=${at(DATA_BASE)} rdi=${at(READ_ONLY_BASE - 2)} mem+0=0102 -> rcx=6 rsi=${at(DATA_BASE + 2)} rdi=${at(READ_ONLY_BASE)} mem+1ffe=0102 vec=e err=7 cr2=${at(READ_ONLY_BASE)} rip=${at(CODE_BASE)}`,
  '64 | 488b0500000000 | mov rax,[rip]: UD2 and zeros behind the code | -> rax=b0f',
  '64 | 50 | push rax | rax=1122334455667788 -> rsp=200017f8 mem+17f8=8877665544332211',
  '64 | 0f58c1 | addps 1+2 | xmm0=3f8000003f8000003f8000003f800000 xmm1=40000000400000004000000040000000 -> xmm0=40400000404000004040000040400000',
  '64 | 0f5ec1 | divps 1/0 flags ZE and, for 0/0, IE | xmm0=3f800000 -> xmm0=ffc00000ffc00000ffc000007f800000 mxcsr=1f85',
  `64 | f30f5ec1 | divss 1/0 with ZE unmasked | xmm0=3f800000 mxcsr=1d80 -> mxcsr=1d84 vec=13 err=0 rip=${at(CODE_BASE)}`,
  '64 | c5fc58c1 | vaddps ymm | xmm0=3f800000 high1=40000000 -> high0=40000000',
  '64 | d9e8 | fld1 | -> fsw=3800/b8ff ftw=80 st0=3fff8000000000000000',
  '64 | d9fa | fsqrt of 4 | fsw=3800 ftw=80 st0=40018000000000000000 -> fsw=3800/baff st0=40008000000000000000',
  '64 | 0fefc0 | pxor mm0,mm0 | st0=3fff8000000000000000 fsw=3800 -> fsw=0 ftw=ff st0=ffff0000000000000000 st7=3fff8000000000000000',
  '32 | 40 | inc eax: no REX in 32-bit mode | rax=ffffffff -> rax=0 flags=54/8d5',
  '32 | 27 | daa | rax=9a -> rax=0 flags=55/0d5',
  `32 | d400 | aam 0 | rax=5 -> vec=0 err=0 rip=${at(CODE_BASE)}`,
  `32 | 62 03 | bound | rbx=${at(DATA_BASE)} rax=5 -> vec=5 err=0 rip=${at(CODE_BASE)}`,
];

test('the host gives what the manual says for instructions checked by hand', { skip }, () => {
  const failures: string[] = [];
  for (const line of HAND_CHECKED) {
    const vector = parseVector(line.replace('62 03', '6203'));
    for (const d of checkVector(vector, run(vector.test)))
      failures.push(`${vector.text}: ${d.field} by hand ${d.expected}, host ${d.actual}`);
  }
  assert.deepEqual(failures, []);
});

test('the host executor agrees with a second one', { skip }, async () => {
  const second = await createHostExecutor();
  assert.ok(typeof second !== 'string');
  using _second = second;
  for (const mode of [64, 32] as const) {
    const found: string[] = [];
    const generator = new Generator({ mode, features: hostFeatures() });
    const outcome = runDifferential({
      generator,
      host: host as Executor,
      tested: [second],
      seed: 1,
      first: 0,
      count: 3000,
      limit: 3,
      onMismatch: (m) => found.push(m),
    });
    assert.deepEqual(found, []);
    assert.equal(outcome.cases, 3000);
  }
});

test('no case depends on those before it', { skip }, async () => {
  for (const mode of [64, 32] as const) {
    const generator = new Generator({ mode, features: hostFeatures() });
    const cases = Array.from({ length: 4000 }, (_, i) => generator.make(100, i));
    const [first, second] = [await createHostExecutor(), await createHostExecutor()];
    assert.ok(typeof first !== 'string' && typeof second !== 'string');
    using _first = first;
    using _second = second;
    const forward = first.run(cases);
    const backward = second.run(cases.toReversed()).toReversed();
    const dependent = cases.filter((c, i) => compareResults(c, forward[i], backward[i]).length > 0);
    assert.deepEqual(
      dependent.map((c) => c.index),
      [],
    );
  }
});

test('a case that never ends or calls the kernel is reported and the next one runs', { skip }, () => {
  const code = (hex: string): TestCase => parseVector(`64 | ${hex} | x | ->`).test;
  const results = (host as Executor).run([code('90'), code('b8270000000f05'), code('48ffc0'), code('ebfe'), code('48ffc0')]);
  assert.deepEqual(
    results.map((r) => r.outcome),
    ['end', 'died', 'end', 'died', 'end'],
  );
  assert.equal(u64(results[4].state, IMAGE.gpr), 1n);
});

/** Flips one bit of a copy. */
function damaged(result: TestResult, where: 'state' | 'data', offset: number): TestResult {
  const copy = { ...result, state: result.state.slice(), data: result.data.slice() };
  copy[where][offset] ^= 1;
  return copy;
}

test('the comparison sees a change in every field that it compares', { skip }, () => {
  const { test: c } = parseVector('64 | 90 | nop | ->');
  const good = run(c);
  assert.deepEqual(compareResults(c, good, good), []);
  const fields: number[] = [IMAGE.rflags, IMAGE.mxcsr, IMAGE.fcw, IMAGE.fsw, IMAGE.ftw];
  for (let i = 0; i < 16; i++) fields.push(IMAGE.gpr + 8 * i + 7, IMAGE.xmm + 16 * i + 15, IMAGE.ymmHigh + 16 * i + 15);
  for (let i = 0; i < 8; i++) fields.push(IMAGE.st + 16 * i + 9);
  for (const field of fields) assert.equal(compareResults(c, good, damaged(good, 'state', field)).length, 1, `byte ${field}`);
  assert.equal(compareResults(c, good, damaged(good, 'data', 8191)).length, 1);
  const { test: faulting } = parseVector('64 | 488b03 | mov rax,[rbx] | ->');
  const fault = run(faulting);
  for (const field of [IMAGE.vector, IMAGE.errorCode, IMAGE.faultAddress, IMAGE.rip]) {
    assert.ok(compareResults(faulting, fault, damaged(fault, 'state', field)).length > 0, `byte ${field}`);
  }
  assert.equal(compareResults(c, good, fault)[0].field, 'outcome');
});

test('a wrong carry is found and shrunk to the instruction that made it', { skip }, () => {
  const real = host as Executor;
  // Wrong for ADC with ModRM only, and only in what it leaves in CF.
  const isAdc = (c: TestCase): boolean => c.instructions.at(-1)?.name === 'adc';
  const wrong: Executor = {
    name: 'wrong',
    run: (cases) => real.run(cases).map((r, i) => (r.outcome === 'end' && isAdc(cases[i]) ? damaged(r, 'state', IMAGE.rflags) : r)),
    [Symbol.dispose]: () => {},
  };
  const reports: string[] = [];
  const generator = new Generator({ mode: 64, features: hostFeatures(), only: ['base'] });
  runDifferential({ generator, host: real, tested: [wrong], seed: 3, first: 0, count: 3000, limit: 3, onMismatch: (m) => reports.push(m) });
  assert.equal(reports.length, 3);
  for (const report of reports) assert.match(report, /\(1 of \d instructions left\)[\s\S]*rflags: host/);
});

test('comparing with no executor at all is an error, not agreement', { skip }, () => {
  const generator = new Generator({ mode: 64, features: hostFeatures() });
  const options = { generator, host: host as Executor, tested: [], seed: 1, first: 0, count: 10, limit: 1, onMismatch: () => {} };
  assert.throws(() => runDifferential(options), /no executor/);
});

test('a case made again is the same, and every row makes one', () => {
  const features = new Set([...hostFeatures(), 'base', 'fpu', 'sse', 'sse2']);
  const [a, b] = [new Generator({ mode: 64, features }), new Generator({ mode: 64, features })];
  b.make(9, 1);
  assert.deepEqual(a.make(9, 77), b.make(9, 77));
  for (const mode of [64, 32] as const) {
    const generator = new Generator({ mode, features, sparse: true });
    const silent = generator.sources.filter((source, i) => generator.makeVector(source, 1, i) === undefined).map((source) => source.name);
    assert.deepEqual(silent, mode === 64 ? ['jmp wild', 'jmp far off', 'illegal', 'bytes'] : ['jmp wild', 'illegal', 'bytes']);
  }
});

test('a vector survives being written and read', { skip }, () => {
  const generator = new Generator({ mode: 64, features: hostFeatures(), sparse: true });
  for (const [i, source] of generator.sources.entries()) {
    const c = generator.makeVector(source, 2, i);
    if (c === undefined) continue;
    const result = run(c);
    const line = formatVector(c, result, 'x');
    if (line === undefined) continue;
    const vector = parseVector(line);
    assert.deepEqual(checkVector(vector, run(vector.test)), [], line);
    const other = { ...result, state: result.state.slice() };
    setU64(other.state, IMAGE.gpr + 8, ~u64(result.state, IMAGE.gpr + 8) & 0xffff_ffffn);
    setU32(other.state, IMAGE.mxcsr, u32(result.state, IMAGE.mxcsr) ^ 1);
    assert.equal(checkVector(vector, other).length, 2, line);
    assert.equal(u16(result.state, IMAGE.mxcsr) & 0xffff, u32(result.state, IMAGE.mxcsr));
  }
});

test('a host that loaded MXCSR.MM is compared no further', () => {
  const { test: c } = parseVector('64 | 0fae10 | ldmxcsr [rax] | rax=20000000 -> mxcsr=1f80');
  const result = (mxcsr: number, outcome: 'end' | 'fault'): TestResult => {
    const state = emptyImage();
    setU32(state, IMAGE.mxcsr, mxcsr);
    return { outcome, state, data: new Uint8Array(DATA_BYTES) };
  };
  assert.equal(compareResults(c, result(0x1f80, 'end'), result(0x1f80, 'fault')).length, 1);
  assert.deepEqual(compareResults(c, result(0x2de3e, 'end'), result(0x1f80, 'fault')), []);
});

const noAssembler = spawnSync('as', ['--version']).status === 0 ? false : 'GNU as is not installed';
test('host-trampoline.ts is host-trampoline.s assembled', { skip: noAssembler }, () => {
  assert.deepEqual(TRAMPOLINE, assemble(join(import.meta.dirname, 'host-trampoline.s')));
});
