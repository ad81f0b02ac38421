// Instruction vectors as lines of text:
//
//   64 | 4801d8 | add rax,rbx | rax=1 rbx=ffffffffffffffff -> rax=0 flags=57/8d5
//
// mode, code bytes at CODE_BASE, text for people, inputs -> outputs, all numbers hexadecimal. What an input does not name is emptyImage()'s; rsp is
// DATA_BASE + 0x1800; what an output does not name is as it was. value/mask names the defined bits. mem+offset=bytes is data; any+offset=count is undefined.
// A fault is written vec=number, err=code, cr2=address and rip=address.

import { CODE_BASE, DATA_BASE, DATA_BYTES } from './memory-map.ts';
import { emptyImage, emptyUndefined, IMAGE, type Mode, setU64, type TestCase, type TestResult, u32, u64 } from './test-case.ts';
import { type Difference, definedMasks, GPR_NAMES } from './compare.ts';

const STACK_AT = 0x1800;
const GAP_BYTES = 4;

/** An expected value, of which the bits of `mask` count. */
interface Expectation {
  readonly field: string;
  readonly value: bigint;
  readonly mask: bigint;
}

export interface Vector {
  readonly text: string;
  readonly test: TestCase;
  readonly expected: readonly Expectation[];
  /** The final data area. */
  readonly data: Uint8Array;
}

interface FieldPlace {
  readonly at: number;
  readonly bytes: number;
}

const STATUS_AND_DF = 0xcd5;
const PLACES: ReadonlyMap<string, FieldPlace> = new Map<string, FieldPlace>([
  ...GPR_NAMES.map((name, i): [string, FieldPlace] => [name, { at: IMAGE.gpr + 8 * i, bytes: 8 }]),
  ['flags', { at: IMAGE.rflags, bytes: 4 }],
  ['mxcsr', { at: IMAGE.mxcsr, bytes: 4 }],
  ['fcw', { at: IMAGE.fcw, bytes: 2 }],
  ['fsw', { at: IMAGE.fsw, bytes: 2 }],
  ['ftw', { at: IMAGE.ftw, bytes: 1 }],
  ...Array.from({ length: 8 }, (_, i): [string, FieldPlace] => [`st${i}`, { at: IMAGE.st + 16 * i, bytes: 10 }]),
  ...Array.from({ length: 16 }, (_, i): [string, FieldPlace] => [`xmm${i}`, { at: IMAGE.xmm + 16 * i, bytes: 16 }]),
  ...Array.from({ length: 16 }, (_, i): [string, FieldPlace] => [`high${i}`, { at: IMAGE.ymmHigh + 16 * i, bytes: 16 }]),
  ['vec', { at: IMAGE.vector, bytes: 4 }],
  ['err', { at: IMAGE.errorCode, bytes: 4 }],
  ['cr2', { at: IMAGE.faultAddress, bytes: 8 }],
  ['rip', { at: IMAGE.rip, bytes: 8 }],
]);
const FAULT_FIELDS = new Set(['vec', 'err', 'cr2', 'rip']);

function readField(image: Uint8Array, { at, bytes }: FieldPlace): bigint {
  let value = 0n;
  for (let i = bytes - 1; i >= 0; i--) value = (value << 8n) | BigInt(image[at + i]);
  return value;
}

function writeField(image: Uint8Array, { at, bytes }: FieldPlace, value: bigint): void {
  for (let i = 0; i < bytes; i++) image[at + i] = Number((value >> BigInt(8 * i)) & 0xffn);
}

function vectorStart(): Uint8Array {
  const image = emptyImage();
  setU64(image, IMAGE.gpr + 32, BigInt(DATA_BASE + STACK_AT));
  return image;
}

/** Runs of bytes in which `a` differs from `b`, written as mem+offset=bytes of `a`. */
function memoryWords(a: Uint8Array, b: Uint8Array, skip: readonly (readonly [number, number])[]): string[] {
  const words: string[] = [];
  const differs = (i: number): boolean => i < DATA_BYTES && a[i] !== b[i] && !skip.some(([start, end]) => i >= start && i < end);
  for (let i = 0; i < DATA_BYTES; i++) {
    if (!differs(i)) continue;
    let end = i + 1;
    for (let gap = 0; gap < GAP_BYTES && end + gap < DATA_BYTES; ) {
      if (differs(end + gap)) {
        end += gap + 1;
        gap = 0;
      } else gap++;
    }
    words.push(`mem+${i.toString(16)}=${[...a.subarray(i, end)].map((x) => x.toString(16).padStart(2, '0')).join('')}`);
    i = end;
  }
  return words;
}

/** Undefined when the case cannot be a vector: not at CODE_BASE, an approximate result, or an executor that died. */
export function formatVector(c: TestCase, result: TestResult, text: string): string | undefined {
  if (c.codeAddress !== CODE_BASE || c.undefined.tolerance !== undefined || result.outcome === 'died') return undefined;
  const start = vectorStart();
  const inputs: string[] = [];
  const outputs: string[] = [];
  const masks = definedMasks(c, result);
  const sixteen = c.mode === 64 ? 0xffff_ffff_ffff_ffffn : 0xffff_ffffn;
  for (const [field, place] of PLACES) {
    if (FAULT_FIELDS.has(field)) continue;
    const before = readField(c.state, place);
    if (before !== readField(start, place)) inputs.push(`${field}=${before.toString(16)}`);
    const raw = readField(result.state, place);
    if (field === 'flags') {
      const mask = BigInt(masks.flags & STATUS_AND_DF);
      if ((raw & mask) !== (before & mask) || (masks.flags & STATUS_AND_DF) !== STATUS_AND_DF)
        outputs.push(`flags=${(raw & mask).toString(16)}/${mask.toString(16)}`);
    } else if (field === 'fsw') {
      const mask = BigInt(masks.fsw);
      if ((raw & mask) !== (before & mask) || masks.fsw !== 0xffff) outputs.push(`fsw=${(raw & mask).toString(16)}/${mask.toString(16)}`);
    } else {
      const after = GPR_NAMES.includes(field) ? raw & sixteen : raw;
      if (after !== before) outputs.push(`${field}=${after.toString(16)}`);
    }
  }
  inputs.push(...memoryWords(c.data, new Uint8Array(DATA_BYTES), []));
  outputs.push(...memoryWords(result.data, c.data, c.undefined.memory));
  if (result.outcome === 'fault') {
    outputs.push(`vec=${u32(result.state, IMAGE.vector).toString(16)}`, `err=${u32(result.state, IMAGE.errorCode).toString(16)}`);
    if (u32(result.state, IMAGE.vector) === 14) outputs.push(`cr2=${u64(result.state, IMAGE.faultAddress).toString(16)}`);
    outputs.push(`rip=${u64(result.state, IMAGE.rip).toString(16)}`);
  }
  for (const [from, to] of c.undefined.memory) outputs.push(`any+${from.toString(16)}=${(to - from).toString(16)}`);
  return `${c.mode} | ${Buffer.from(c.code).toString('hex')} | ${text} | ${inputs.join(' ')} -> ${outputs.join(' ')}`;
}

function applyMemory(data: Uint8Array, word: string): void {
  const [, offset, hex] = word.match(/^mem\+([0-9a-f]+)=([0-9a-f]*)$/) as RegExpMatchArray;
  data.set(Uint8Array.fromHex(hex), Number.parseInt(offset, 16));
}

export function parseVector(line: string): Vector {
  const parts = line.split('|').map((part) => part.trim());
  const sides = parts[3]?.split('->');
  if (parts.length !== 4 || sides.length !== 2)
    throw new Error(`"${line}" is not a vector; write mode | bytes | text | inputs -> outputs.`);
  const mode: Mode = parts[0] === '32' ? 32 : 64;
  const state = vectorStart();
  const data = new Uint8Array(DATA_BYTES);
  for (const word of sides[0].split(' ').filter(Boolean)) {
    if (word.startsWith('mem+')) applyMemory(data, word);
    else writeField(state, place(word), BigInt(`0x${word.split('=')[1]}`));
  }
  const undefinedParts = emptyUndefined();
  const expected: Expectation[] = [];
  const after = data.slice();
  for (const word of sides[1].split(' ').filter(Boolean)) {
    const [field, value] = word.split('=');
    if (word.startsWith('mem+')) applyMemory(after, word);
    else if (word.startsWith('any+')) {
      const from = Number.parseInt(field.slice(4), 16);
      undefinedParts.memory.push([from, from + Number.parseInt(value, 16)]);
    } else {
      const [bits, mask] = value.split('/');
      const all = (1n << BigInt(8 * place(word).bytes)) - 1n;
      expected.push({ field, value: BigInt(`0x${bits}`), mask: mask === undefined ? all : BigInt(`0x${mask}`) });
    }
  }
  const test: TestCase = {
    seed: 0,
    index: 0,
    mode,
    instructions: [],
    code: Uint8Array.fromHex(parts[1]),
    codeAddress: CODE_BASE,
    state,
    data,
    undefined: undefinedParts,
  };
  return { text: parts[2], test, expected, data: after };
}

function place(word: string): FieldPlace {
  const found = PLACES.get(word.split('=')[0]);
  if (found === undefined) throw new Error(`"${word}" names no field; see vector-format.ts.`);
  return found;
}

/** What differs from the vector's expectation; fields that it does not name must be as they were. */
export function checkVector({ test, expected, data }: Vector, result: TestResult): Difference[] {
  const out: Difference[] = [];
  const wanted = new Map(expected.map((e) => [e.field, e]));
  const fault = wanted.has('vec') ? 'fault' : 'end';
  if (result.outcome !== fault)
    return [{ field: 'outcome', expected: fault, actual: `${result.outcome} ${result.note ?? u32(result.state, IMAGE.vector)}` }];
  const sixteen = test.mode === 64 ? -1n : 0xffff_ffffn;
  for (const [field, at] of PLACES) {
    const expectation = wanted.get(field);
    if (FAULT_FIELDS.has(field) && expectation === undefined) continue;
    const before = readField(test.state, at);
    const defaultMask = field === 'flags' ? BigInt(STATUS_AND_DF) : GPR_NAMES.includes(field) ? sixteen : -1n;
    const mask = (expectation?.mask ?? -1n) & defaultMask;
    const want = (expectation?.value ?? before) & mask;
    const got = readField(result.state, at) & mask;
    if (want !== got) out.push({ field, expected: want.toString(16), actual: got.toString(16) });
  }
  for (let i = 0; i < DATA_BYTES; i++) {
    if (data[i] === result.data[i] || test.undefined.memory.some(([start, end]) => i >= start && i < end)) continue;
    out.push({ field: `mem+${i.toString(16)}`, expected: data[i].toString(16), actual: result.data[i].toString(16) });
    break;
  }
  return out;
}
