// The test command: type check, lint, floor plan, then every *.test.ts. The last line is `N passed, N failed[, N skipped]`.
// `--only types,lint,floorplan,unit` chooses among these; other arguments keep the test files whose path contains one of them.

import { spawn } from 'node:child_process';
import { existsSync, globSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import { run } from 'node:test';
import { inspect, parseArgs } from 'node:util';
import { biomePath } from './biome-path.ts';

const ROOT = resolve(import.meta.dirname, '..');
const UNIT_PATTERNS = [
  'packages/*/src/**/*.test.ts',
  'apps/*/src/**/*.test.ts',
  'tests/**/*.test.ts',
  'tools/**/*.test.ts',
  'bench/**/*.test.ts',
];
const OUTPUT_LIMIT_CHARS = 20_000;

const count = { passed: 0, failed: 0, skipped: 0 };

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Runs a program as one test; its output is shown when it fails. */
async function checkByProgram(name: string, program: string, args: readonly string[]): Promise<void> {
  const started = performance.now();
  const child = spawn(program, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const addText = (text: string): void => {
    output += text;
  };
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', addText);
  const status = await new Promise<number>((done) => {
    child.on('error', (error) => {
      output += error.message;
      done(1);
    });
    child.on('close', (code) => done(code ?? 1));
  });
  const passed = status === 0;
  count[passed ? 'passed' : 'failed']++;
  say(`${passed ? 'ok  ' : 'FAIL'} ${name} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
  if (!passed) say(output.slice(0, OUTPUT_LIMIT_CHARS).trimEnd());
}

async function lint(): Promise<void> {
  const biome = biomePath();
  if (biome === undefined) {
    count.skipped++;
    say(`skip lint (no Biome package for ${process.platform}-${process.arch})`);
    return;
  }
  await checkByProgram('lint and format', biome, ['ci', '--error-on-warnings', '--max-diagnostics=50', '--colors=off']);
}

interface FileOutcome {
  passed: number;
  failed: number;
  skipped: number;
  output: string;
  readonly failures: string[];
}

function describeFailure(name: string, line: number | undefined, error: Error): string {
  const cause = error.cause instanceof Error || typeof error.cause === 'string' ? error.cause : error;
  const detail = typeof cause === 'string' ? cause : inspect(cause, { depth: 5, breakLength: 120 });
  return `  ${name}${line === undefined ? '' : ` (line ${line})`}\n${detail.replace(/^/gm, '    ')}`;
}

/** Every test that is not just the frame of others counts; suites do not. */
async function unitTests(files: readonly string[]): Promise<void> {
  const outcomes = new Map<string, FileOutcome>();
  const outcomeOf = (file: string | undefined): FileOutcome => {
    const key = relative(ROOT, file ?? 'unknown file');
    let outcome = outcomes.get(key);
    if (outcome === undefined) {
      outcome = { passed: 0, failed: 0, skipped: 0, output: '', failures: [] };
      outcomes.set(key, outcome);
    }
    return outcome;
  };
  const addOutput = (file: string | undefined, text: string): void => {
    const outcome = outcomeOf(file);
    if (outcome.output.length < OUTPUT_LIMIT_CHARS) outcome.output += text;
  };
  const events = run({ files: [...files], concurrency: 2, cwd: ROOT });
  events.on('test:pass', (event) => {
    if (event.details.type === 'suite') return;
    outcomeOf(event.file)[event.skip === undefined || event.skip === false ? 'passed' : 'skipped']++;
  });
  events.on('test:fail', (event) => {
    const { error } = event.details;
    if ((error as { failureType?: string }).failureType === 'subtestsFailed') return;
    const outcome = outcomeOf(event.file);
    outcome.failed++;
    outcome.failures.push(describeFailure(event.name, event.line, error));
  });
  events.on('test:stdout', (event) => addOutput(event.file, event.message));
  events.on('test:stderr', (event) => addOutput(event.file, event.message));
  events.on('test:summary', (event) => {
    if (event.file !== undefined) sayFile(relative(ROOT, event.file), outcomeOf(event.file), event.duration_ms);
  });
  events.resume();
  await new Promise<void>((done, stop) => events.on('end', done).on('error', stop));
  for (const outcome of outcomes.values()) {
    count.passed += outcome.passed;
    count.failed += outcome.failed;
    count.skipped += outcome.skipped;
  }
  sayFailures(outcomes);
}

function sayFile(name: string, outcome: FileOutcome, durationMs: number): void {
  const ran = outcome.passed + outcome.failed + outcome.skipped;
  say(`${outcome.failed === 0 ? 'ok  ' : 'FAIL'} ${name}: ${ran - outcome.failed} of ${ran} (${(durationMs / 1000).toFixed(1)} s)`);
}

function sayFailures(outcomes: ReadonlyMap<string, FileOutcome>): void {
  for (const [name, outcome] of outcomes) {
    if (outcome.failed === 0) continue;
    say(`\nFAILED in ${name}`);
    for (const failure of outcome.failures) say(failure);
    if (outcome.output !== '') say(`  output:\n${outcome.output.trimEnd().replace(/^/gm, '    ')}`);
  }
}

const { values, positionals } = parseArgs({ options: { only: { type: 'string' } }, allowPositionals: true });
const chosen = values.only?.split(',');
const wants = (part: string): boolean => (chosen === undefined ? positionals.length === 0 || part === 'unit' : chosen.includes(part));

if (wants('types')) await checkByProgram('type check', process.execPath, ['node_modules/typescript/bin/tsc', '-b']);
if (wants('lint')) await lint();
if (wants('floorplan')) await checkByProgram('floor plan', process.execPath, ['tools/floorplan.ts']);
if (wants('unit')) {
  const files = globSync(UNIT_PATTERNS, { cwd: ROOT })
    .filter((file) => positionals.length === 0 || positionals.some((part) => file.includes(part)))
    .sort();
  await unitTests(files.map((file) => resolve(ROOT, file)).filter(existsSync));
}
process.exitCode = count.failed > 0 || count.passed === 0 ? 1 : 0;
say(`${count.passed} passed, ${count.failed} failed${count.skipped > 0 ? `, ${count.skipped} skipped` : ''}`);
