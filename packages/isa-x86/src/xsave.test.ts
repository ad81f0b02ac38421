import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HelperFunction } from './helper-map.ts';
import { CR4, syncMode } from './mode.ts';
import { type Bench, enterLong, makeBench } from './ram-bench.test.ts';
import { RAX } from './state.ts';
import { setWord, setWords, WORD } from './state-words.ts';
import { XSAVE_FORM, XSAVE_HELPERS } from './xsave.ts';

const IN_PAGE = 0x2_0000;
const ACROSS_PAGES = 0x2_2e00;
const AREA_BYTES = 832;
const PATTERN = 0x5a;

function saving(asked: number): Bench {
  const bench = enterLong(makeBench());
  const { cpu, ram } = bench;
  setWord(cpu, WORD.cr4, CR4.PAE | CR4.OSXSAVE | CR4.OSFXSR);
  setWords(cpu, WORD.xcr0, 7, 0);
  syncMode(cpu);
  setWords(cpu, WORD.gpr + 2 * RAX, asked, 0);
  cpu.view.xmm.forEach((_, i) => {
    cpu.view.xmm[i] = i;
    cpu.view.ymmHigh[i] = 255 - i;
  });
  cpu.view.fpuMantissa.fill(0x8877_6655_4433_2211n);
  cpu.view.fpuTags = 0xff;
  for (const at of [IN_PAGE, ACROSS_PAGES]) {
    new Uint8Array(ram.buffer, ram.byteOffset + at, AREA_BYTES).fill(PATTERN);
    for (let i = 0; i < 64; i += 4) ram.setUint32(at + 512 + i, 0, true);
  }
  return bench;
}

const call = ({ cpu }: Bench, name: string, at: number, ...args: readonly number[]): number => {
  setWords(cpu, WORD.x, at, 0);
  return (XSAVE_HELPERS[name] as HelperFunction)(cpu, ...args);
};
const areaAt = ({ ram }: Bench, at: number): string => Buffer.from(ram.buffer, ram.byteOffset + at, AREA_BYTES).toString('hex');
const registersOf = ({ cpu }: Bench) => [...cpu.view.xmm, ...cpu.view.ymmHigh, ...cpu.view.fpuMantissa, cpu.view.mxcsr, cpu.view.fpuTags];

test('an area that lies in one page and one across two are written and read alike', () => {
  for (const asked of [1, 2, 3, 4, 7]) {
    for (const [name, ...args] of [['fxsave', 1], ...Object.values(XSAVE_FORM).map((form) => ['xsave', form, 1] as const)] as const) {
      const bench = saving(asked);
      const before = registersOf(bench);
      for (const at of [IN_PAGE, ACROSS_PAGES]) assert.equal(call(bench, name as string, at, ...(args as number[])), 0);
      assert.equal(areaAt(bench, IN_PAGE), areaAt(bench, ACROSS_PAGES), `${name} ${args} of ${asked}`);
      assert.notEqual(areaAt(bench, IN_PAGE).indexOf('5a'.repeat(16)), -1);
      const restored = [IN_PAGE, ACROSS_PAGES].map((at) => {
        bench.cpu.view.xmm.fill(1);
        bench.cpu.view.ymmHigh.fill(2);
        bench.cpu.view.fpuMantissa.fill(3n);
        assert.equal(call(bench, name === 'fxsave' ? 'fxrstor' : 'xrstor', at, 1), 0);
        return registersOf(bench);
      });
      assert.deepEqual(restored[0], restored[1]);
      if (asked === 7 && name !== 'fxsave') assert.deepEqual(restored[0], before);
    }
  }
});
