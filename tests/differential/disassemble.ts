// Text of instructions by GNU objdump, where the machine has it: for reports and vectors, never for a verdict.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CODE_BASE } from './memory-map.ts';
import type { Mode } from './test-case.ts';

const SLOT_BYTES = 128;
const NOP = 0x90;

/** One text for each code, its instructions separated by '; '; undefined when there is no objdump. */
export function disassemble(codes: readonly Uint8Array[], mode: Mode): string[] | undefined {
  const dir = mkdtempSync(join(tmpdir(), 'disassemble-'));
  try {
    const file = join(dir, 'code.bin');
    const image = new Uint8Array(codes.length * SLOT_BYTES).fill(NOP);
    for (const [i, code] of codes.entries()) image.set(code, i * SLOT_BYTES);
    writeFileSync(file, image);
    const machine = mode === 64 ? 'i386:x86-64' : 'i386';
    const args = [
      '-D',
      '-b',
      'binary',
      '-m',
      machine,
      '-M',
      'intel',
      '--no-show-raw-insn',
      `--adjust-vma=0x${CODE_BASE.toString(16)}`,
      file,
    ];
    const run = spawnSync('objdump', args, { encoding: 'utf8', maxBuffer: 1 << 28 });
    if (run.status !== 0) return undefined;
    const texts: string[][] = codes.map(() => []);
    for (const match of run.stdout.matchAll(/^\s*([0-9a-f]+):\s+(.*)$/gm)) {
      const offset = Number.parseInt(match[1], 16) - CODE_BASE;
      const slot = Math.floor(offset / SLOT_BYTES);
      if (offset - slot * SLOT_BYTES >= codes[slot].length) continue;
      texts[slot].push(
        match[2]
          .replace(/\s*[#<].*$/, '')
          .replace(/\s+/g, ' ')
          .trim(),
      );
    }
    return texts.map((lines) => lines.join('; '));
  } finally {
    rmSync(dir, { recursive: true });
  }
}
