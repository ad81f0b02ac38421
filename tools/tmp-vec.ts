import { readFileSync, writeFileSync } from 'node:fs';
import { createHostExecutor } from '../tests/differential/host-executor.ts';
import { disassemble } from '../tests/differential/disassemble.ts';
import { formatVector, parseVector } from '../tests/differential/vector-format.ts';
const host: any = await createHostExecutor();
const out: string[] = [];
for (const line of readFileSync(process.argv[2], 'utf8').split('\n')) {
  if (line === '' || line.startsWith('#')) { if (line) out.push(line); continue; }
  const [mode, code, inputs = '', text] = line.split('|').map((s) => s.trim());
  const v = parseVector(`${mode} | ${code.replaceAll(' ', '')} | x | ${inputs} ->`);
  const t = v.test;
  const r = host.run([{ ...t, instructions: [{ name: 'x', bytes: t.code, flags: { read: 0, written: 0, undefined: 0 }, fsw: { read: 0, written: 0, undefined: 0 } }] }])[0];
  const dis = text ?? disassemble([t.code], t.mode)?.[0] ?? '?';
  out.push(formatVector({ ...t, instructions: [{ name: 'x', bytes: t.code, flags: { read: 0, written: 0, undefined: 0 }, fsw: { read: 0, written: 0, undefined: 0 } }] }, r, dis.replaceAll('|', '/')) ?? `# no vector: ${line}`);
}
console.log(out.join('\n'));
host[Symbol.dispose]();
