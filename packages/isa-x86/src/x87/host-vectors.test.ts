// Replays x87 instructions, decoding to helpers, that a host CPU ran on hostile states (tests/vectors/x87.txt). A line, in hexadecimal, is
// `opcode+ModRM control status tags R0..R7 memory eflags | control status tags changed-registers memory eflags eax`; `=`: unchanged (EAX starts as 12345678).
// Or, after the bar, `trap` (#MF pending) or `undefined` (#UD). Registers are physical; memory is the operand's ten bytes.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { replayX87, type Machine } from './replay.ts';

const lines = readFileSync(new URL('../../../../tests/vectors/x87.txt', import.meta.url), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && line[0] !== '#');

const number = (text: string | undefined): number => Number.parseInt(text as string, 16);
const bytes = (text: string): Uint8Array => Uint8Array.from(text.match(/../g) as string[], number);
const topOf = (image: DataView): number => (image.getUint16(4, true) >> 11) & 7;

function machineOf(fields: readonly string[]): Machine {
  const image = new Uint8Array(108);
  const data = new DataView(image.buffer);
  fields.slice(1, 4).forEach((text, i) => data.setUint16(4 * i, number(text), true));
  for (let n = 0; n < 8; n++) {
    const at = 28 + 10 * ((n - topOf(data)) & 7);
    const bits = BigInt(`0x${fields[4 + n]}`);
    data.setBigUint64(at, BigInt.asUintN(64, bits), true);
    data.setUint16(at + 8, Number(bits >> 64n), true);
  }
  const operand = new Uint8Array(128);
  if (fields[12] !== '-') operand.set(bytes(fields[12] as string));
  return { image, operand, eflags: number(fields[13]), eax: 0 };
}

function registersOf(image: Uint8Array): string[] {
  const data = new DataView(image.buffer);
  return Array.from({ length: 8 }, (_, n) => {
    const at = 28 + 10 * ((n - topOf(data)) & 7);
    return ((BigInt(data.getUint16(at + 8, true)) << 64n) | data.getBigUint64(at, true)).toString(16);
  });
}

const ARITHMETIC = 0x8d5;

/** The machine in the form that stands after the bar. */
function describe(machine: Machine, fields: readonly string[]): string {
  const data = new DataView(machine.image.buffer);
  const words = [0, 4, 8].map((at) => data.getUint16(at, true).toString(16));
  const changed = registersOf(machine.image).map((r, n) => (r === fields[4 + n] ? '' : `${n}:${r}`)).filter((r) => r !== '');
  const memory = Buffer.from(machine.operand.subarray(0, 10)).toString('hex');
  const eflags = machine.eflags & ARITHMETIC;
  return [
    ...words,
    changed.join(',') || '=',
    fields[12] === '-' || memory === fields[12] ? '=' : memory,
    eflags === (number(fields[13]) & ARITHMETIC) ? '=' : eflags.toString(16),
    machine.eax === 0x12345678 ? '=' : machine.eax.toString(16),
  ].join(' ');
}

test('x87 instructions agree with the host CPU', () => {
  assert.ok(lines.length > 800);
  for (const line of lines) {
    const [input, expected] = line.split(' | ') as [string, string];
    const fields = input.split(' ');
    const machine = machineOf(fields);
    const outcome = replayX87(bytes(fields[0] as string), machine);
    assert.equal(outcome === 'done' ? describe(machine, fields) : outcome, expected, line);
  }
});
