// The walk in IR against the complete one: random tables, rights and control registers in every paging mode. Where it finds a page both agree on it and leave the
// same accessed and dirty bits; where it does not, it has changed nothing.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { evaluateRoutine, type EvaluatorWorld } from '@anillo/ir/evaluate';
import { ACCESS, type Access, WALK } from '@anillo/ir/frontend';
import { CR0, CR4, EFER, syncMode, tlbClassOf } from './mode.ts';
import { raisePageFault, walk } from './mmu.ts';
import { PAGE_WALK, RECORD_PAGE_FAULT } from './page-walk.ts';
import { enterLong, enterProtected, makeBench, RAM_BYTES, type Bench } from './ram-bench.test.ts';
import { EFLAG, X86State } from './state.ts';
import { setWord, setWords, word, WORD } from './state-words.ts';

const SEEDS = 800;
const PAGE = 4096;
const PAGES = 16;
/** The vCPU struct and the RAM that enterLong and this test write. */
const IMAGE_BYTES = 0x3_5000;
const MODES = ['long', 'pae', 'short', 'none'] as const;

function randomFrom(seed: number): (below: number) => number {
  let x = seed * 2_654_435_761 + 1;
  return (below) => {
    x = Math.imul(x ^ (x >>> 15), 0x2c1b_3c6d) + 0x9e37_79b9;
    x = Math.imul(x ^ (x >>> 13), 0x297a_2d39);
    return ((x ^ (x >>> 16)) >>> 0) % below;
  };
}

const BENCHES = [makeBench(), makeBench()] as const;
const PRISTINE = BENCHES[0].cpu.bytes.slice(0, IMAGE_BYTES);

/** Tables and pages are the first pages of RAM; linear addresses have small indices at every level. */
function randomBench(which: 0 | 1, seed: number, mode: (typeof MODES)[number]): Bench {
  const random = randomFrom(seed);
  const rarely = (): boolean => random(24) === 0;
  const cpl = random(2) === 0 ? 0 : 3;
  const bench = BENCHES[which];
  bench.cpu.bytes.set(PRISTINE);
  if (mode === 'long') enterLong(bench, cpl);
  else enterProtected(bench, cpl);
  const { cpu, ram } = bench;
  for (let at = 0; at < PAGES * PAGE; at += PAGE) {
    for (let i = 0; i < 4; i++) {
      const frame = random(PAGES) * PAGE + (rarely() ? RAM_BYTES : 0) + (rarely() ? 0xff00_0000 : 0);
      const flags = (rarely() ? 0 : 1) | (random(4) === 0 ? 0 : 2) | (random(4) === 0 ? 0 : 4) | (random(2) * 0x20) | (random(2) * 0x40) | (random(6) === 0 ? 0x80 : 0) | (random(2) * 0x100);
      const isLarge = (flags & 0x80) !== 0;
      const low = (isLarge && !rarely() ? random(2) * 0x20_0000 + (rarely() ? 0x1000 : 0) : frame) | flags;
      const high = (random(4) === 0 ? 0x8000_0000 : 0) + (rarely() ? 1 << random(31) : 0);
      if (mode === 'short') ram.setUint32(at + 4 * i, low, true);
      else {
        ram.setUint32(at + 8 * i, low, true);
        ram.setUint32(at + 8 * i + 4, high, true);
      }
    }
  }
  const cr4 = [CR4.PGE, CR4.SMEP, CR4.SMAP, CR4.PSE].reduce((sum, bit) => sum + random(2) * bit, mode === 'long' || mode === 'pae' ? CR4.PAE : 0);
  setWords(cpu, WORD.cr4, cr4 | (mode === 'long' && rarely() ? CR4.PKE : 0), 0);
  setWord(cpu, WORD.pkru, random(4));
  setWords(cpu, WORD.cr0, CR0.PE | CR0.ET | (mode === 'none' ? 0 : CR0.PG) | (random(2) * CR0.WP), 0);
  setWords(cpu, WORD.efer, (mode === 'long' ? EFER.LME | EFER.LMA : 0) | (random(2) * EFER.NXE), 0);
  setWords(cpu, WORD.cr3, random(PAGES) * PAGE, 0);
  for (let i = 0; i < 4; i++) setWords(cpu, WORD.pdpte + 2 * i, random(PAGES) * PAGE + (rarely() ? 0 : 1), 0);
  setWord(cpu, WORD.ramStart, 0);
  setWord(cpu, WORD.ramBytes, RAM_BYTES);
  setWord(cpu, WORD.ramOffset, cpu.ports.ramAt(0, 1, false));
  setWords(cpu, WORD.flags, 2 | (random(2) * EFLAG.AC), 0);
  if (rarely()) setWord(cpu, WORD.dr + 14, 0x401);
  syncMode(cpu);
  return bench;
}

function randomLinear(random: (below: number) => number, mode: (typeof MODES)[number]): number {
  const offset = random(PAGE);
  if (mode === 'none') return random(8) === 0 ? 0xff00_0000 + offset : random(RAM_BYTES + PAGE);
  if (mode === 'short') return random(4) * 2 ** 22 + random(4) * PAGE + offset;
  const low = random(4) * 2 ** 21 + random(4) * PAGE + offset;
  return low + random(4) * 2 ** 30 + (mode === 'long' ? random(4) * 2 ** 39 : 0);
}

const ramOf = ({ ram }: Bench): Buffer => Buffer.from(ram.buffer, ram.byteOffset, PAGES * PAGE);
const worldOf = ({ cpu }: Bench): EvaluatorWorld => ({
  state: new DataView(cpu.bytes.buffer, 0, X86State.bytes),
  memory: new DataView(cpu.bytes.buffer),
  load: () => assert.fail(),
  store: () => assert.fail(),
  probe: () => assert.fail(),
  call: () => assert.fail(),
});

/** What has been recorded. */
const faultIn = ({ cpu }: Bench): readonly unknown[] => [cpu.view.cr2, cpu.view.faultVector, cpu.view.faultError, cpu.view.faultSoftware, cpu.view.trapCode, cpu.view.trapped];

for (const mode of MODES) {
  test(`paging: ${mode}`, () => {
    let found = 0;
    let left = 0;
    let faults = 0;
    for (let seed = 1; seed <= SEEDS / (mode === 'long' ? 1 : 2); seed++) {
      const [bench, reference] = [randomBench(0, seed, mode), randomBench(1, seed, mode)];
      const random = randomFrom(seed + 1_000_000);
      const linear = randomLinear(random, mode);
      const access = random(3) as Access;
      const before = Buffer.from(ramOf(bench));
      const result = Number(evaluateRoutine(PAGE_WALK, [BigInt(linear), BigInt(access)], worldOf(bench)));
      const into = { gpa: 0, grants: 0, pageBytes: 4096, isGlobal: false };
      const { cpu } = reference;
      if ((result & WALK.GRANTS) === 0) {
        assert.ok(ramOf(bench).equals(before), `seed ${seed}: changed something without finding a page`);
        if (result === 0) left++;
        else {
          faults++;
          const error = walk(cpu, linear, access, tlbClassOf(cpu), into);
          if (access === ACCESS.EXECUTE) assert.ok(error >= 0, `seed ${seed}: no fault`);
          else {
            raisePageFault(cpu, linear, error);
            evaluateRoutine(RECORD_PAGE_FAULT, [BigInt(linear), BigInt(access), BigInt(result)], worldOf(bench));
            assert.deepEqual(faultIn(bench), faultIn(reference), `seed ${seed}`);
          }
        }
        continue;
      }
      found++;
      assert.equal(walk(cpu, linear, access, tlbClassOf(cpu), into), -1, `seed ${seed}: a fault`);
      const expected = into.gpa - (into.gpa % PAGE) + word(cpu, WORD.ramOffset) + into.grants + (into.pageBytes > PAGE ? WALK.LARGE : 0) + (mode !== 'none' && into.isGlobal ? WALK.GLOBAL : 0);
      assert.equal(result.toString(16), expected.toString(16), `seed ${seed}`);
      assert.ok(ramOf(bench).equals(ramOf(reference)), `seed ${seed}: accessed and dirty bits`);
    }
    assert.ok(found > 30 && left + faults > 20 && (faults > 10 || mode === 'none'), `${found} found, ${faults} faults, ${left} left to the host`);
  });
}
