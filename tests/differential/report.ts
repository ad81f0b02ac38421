// A mismatch in a form that someone can act on: how to make it again, what ran, what differed, and a line for tests/vectors.

import type { Difference } from './compare.ts';
import { disassemble } from './disassemble.ts';
import type { Executor } from './executor.ts';
import { CODE_BASE } from './memory-map.ts';
import type { TestCase } from './test-case.ts';
import { formatVector } from './vector-format.ts';

/** A longer line is no use as a vector. */
const VECTOR_LIMIT = 2000;

export function describeMismatch(
  original: TestCase,
  shrunk: TestCase,
  executor: string,
  differences: readonly Difference[],
  host: Executor,
): string {
  const text = disassemble([shrunk.code], shrunk.mode)?.[0] ?? shrunk.instructions.map((i) => i.name).join('; ');
  const lines = [
    `MISMATCH ${executor}: seed ${original.seed} case ${original.index} mode ${original.mode} (${shrunk.instructions.length} of ${original.instructions.length} instructions left)`,
    `  bytes  ${shrunk.instructions.map((i) => Buffer.from(i.bytes).toString('hex')).join(' ')}`,
    `  text   ${text}`,
    ...differences.map((d) => `  ${d.field}: host ${d.expected}, ${executor} ${d.actual}`),
  ];
  // Vectors start at CODE_BASE; a case that depends on its own address may become another one there, so it is run again.
  const moved = { ...shrunk, codeAddress: CODE_BASE };
  const line = formatVector(moved, host.run([moved])[0], text);
  if (line !== undefined && line.length <= VECTOR_LIMIT) lines.push(`  vector ${line}`);
  return lines.join('\n');
}
