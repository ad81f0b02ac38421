// Rewrites host-trampoline.ts from host-trampoline.s: node tests/differential/assemble-trampoline.ts (needs GNU binutils).

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Assembled {
  readonly code: Uint8Array;
  readonly exit64: number;
}

export function assemble(source: string): Assembled {
  const dir = mkdtempSync(join(tmpdir(), 'trampoline-'));
  try {
    execFileSync('as', ['-msyntax=intel', source, '-o', join(dir, 't.o')]);
    execFileSync('objcopy', ['-O', 'binary', '-j', '.text', join(dir, 't.o'), join(dir, 't.bin')]);
    const symbols = execFileSync('nm', [join(dir, 't.o')], { encoding: 'utf8' });
    const exit64 = symbols.match(/^([0-9a-f]+) t exit64$/m);
    if (exit64 === null) throw new Error('host-trampoline.s has no label exit64');
    return { code: new Uint8Array(readFileSync(join(dir, 't.bin'))), exit64: Number.parseInt(exit64[1], 16) };
  } finally {
    rmSync(dir, { recursive: true });
  }
}

export function trampolineModule({ code, exit64 }: Assembled): string {
  const lines =
    Buffer.from(code)
      .toString('hex')
      .match(/.{1,128}/g) ?? [];
  return `// host-trampoline.s, assembled by assemble-trampoline.ts; a test holds the two together.

export const EXIT64_OFFSET = 0x${exit64.toString(16)};

export const TRAMPOLINE = Uint8Array.fromHex(
${lines.map((line) => `  '${line}'`).join(' +\n')},
);
`;
}

if (import.meta.main) {
  const here = import.meta.dirname;
  writeFileSync(join(here, 'host-trampoline.ts'), trampolineModule(assemble(join(here, 'host-trampoline.s'))));
}
