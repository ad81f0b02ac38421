// node tools/make-vectors.ts: writes tests/vectors/x86-*.txt from this host's CPU, some vectors for each instruction of the generator's tables, and
// reads every line back and runs it again before it is kept. Needs objdump for the texts. Seed and counts are fixed: a new run gives the same lines.

import { globSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { disassemble } from '../tests/differential/disassemble.ts';
import type { Executor } from '../tests/differential/executor.ts';
import { Generator } from '../tests/differential/generator.ts';
import { createHostExecutor } from '../tests/differential/host-executor.ts';
import { hostFeatures } from '../tests/differential/host-features.ts';
import type { Mode, TestCase } from '../tests/differential/test-case.ts';
import { checkVector, formatVector, parseVector } from '../tests/differential/vector-format.ts';

const SEED = 20_240;
const OUT = resolve(import.meta.dirname, '../tests/vectors');
const LONGEST_LINE = 700;
const MORE = new Set(['base', 'shift', 'x87', 'string']);
const IN_32 = new Set(['base', 'shift', 'string', 'stack', 'branch', 'fault', 'x87', 'bmi1', 'bmi2']);
/** Approximate or CPU-specific by nature. */
const LEFT_OUT = new Set(['transcendental']);

function casesOf(mode: Mode): Map<string, TestCase[]> {
  const generator = new Generator({ mode, features: hostFeatures(), sparse: true });
  const groups = new Map<string, TestCase[]>();
  for (const [i, source] of generator.sources.entries()) {
    if (LEFT_OUT.has(source.group) || (mode === 32 && !IN_32.has(source.group))) continue;
    const cases = groups.get(source.group) ?? [];
    groups.set(source.group, cases);
    const wanted = mode === 64 && MORE.has(source.group) ? 2 : 1;
    for (let k = 0; k < wanted; k++) {
      const c = generator.makeVector(source, SEED + k, i);
      if (c !== undefined) cases.push(c);
    }
  }
  return groups;
}

function linesOf(host: Executor, cases: readonly TestCase[], mode: Mode): string[] {
  const texts = disassemble(
    cases.map((c) => c.code),
    mode,
  );
  if (texts === undefined) throw new Error('objdump is not installed; install binutils.');
  const lines = new Set<string>();
  for (const [i, result] of host.run(cases).entries()) {
    const line = formatVector(cases[i], result, texts[i]);
    if (line === undefined || line.length > LONGEST_LINE) continue;
    const vector = parseVector(line);
    const wrong = checkVector(vector, host.run([vector.test])[0]);
    if (wrong.length > 0) throw new Error(`this line does not repeat: ${line}: ${JSON.stringify(wrong)}`);
    lines.add(line);
  }
  return [...lines];
}

async function main(): Promise<void> {
  const host = await createHostExecutor();
  if (typeof host === 'string') throw new Error(`${host}.`);
  using _host = host;
  const files = new Map<string, string[]>();
  for (const mode of [64, 32] as const) {
    for (const [group, cases] of casesOf(mode)) files.set(group, [...(files.get(group) ?? []), ...linesOf(host, cases, mode)]);
  }
  for (const old of globSync('x86-*.txt', { cwd: OUT })) rmSync(join(OUT, old));
  let count = 0;
  let bytes = 0;
  for (const [group, lines] of files) {
    if (lines.length === 0) continue;
    const text = `# mode | bytes | text | inputs -> outputs: tests/differential/vector-format.ts; made by tools/make-vectors.ts\n${lines.join('\n')}\n`;
    writeFileSync(join(OUT, `x86-${group}.txt`), text);
    count += lines.length;
    bytes += text.length;
  }
  console.log(`${count} vectors in ${files.size} files, ${bytes} bytes`);
}

try {
  await main();
} catch (error) {
  console.error(`make-vectors: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 2;
}
