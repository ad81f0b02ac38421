// Rewrites host-trampoline.ts from host-trampoline.s: node tests/differential/assemble-trampoline.ts (needs GNU binutils).

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export function assemble(source: string): Uint8Array {
  const dir = mkdtempSync(join(tmpdir(), 'trampoline-'));
  try {
    execFileSync('as', ['-msyntax=intel', source, '-o', join(dir, 't.o')]);
    execFileSync('objcopy', ['-O', 'binary', '-j', '.text', join(dir, 't.o'), join(dir, 't.bin')]);
    return new Uint8Array(readFileSync(join(dir, 't.bin')));
  } finally {
    rmSync(dir, { recursive: true });
  }
}

export function trampolineModule(code: Uint8Array): string {
  const lines =
    Buffer.from(code)
      .toString('hex')
      .match(/.{1,128}/g) ?? [];
  return `// host-trampoline.s, assembled by assemble-trampoline.ts; a test holds the two together.

export const TRAMPOLINE = Uint8Array.fromHex(
  ${lines.map((line) => `'${line}'`).join(' +\n    ')},
);
`;
}

if (import.meta.main) {
  const here = import.meta.dirname;
  writeFileSync(join(here, 'host-trampoline.ts'), trampolineModule(assemble(join(here, 'host-trampoline.s'))));
}
