// The generator's own table of encodings: a row a line, `name encoding operands options`, in the manual's operand letters. It is written apart from
// Anillo's decoder on purpose: two tables from one hand would agree in their mistakes.
//
// encoding   [vex.][66.|f2.|f3.][0f.|0f38.|0f3a.]op[/digit][+r], or op:modrm[+i] where ModRM is fixed (x87)
// operands   E G: general, M: memory only, R: register only (in ModRM.rm), B: general in VEX.vvvv, Z: in the opcode's low bits, O: moffs
//            V H W U L: vector in ModRM.reg, VEX.vvvv, ModRM.rm (or memory), ModRM.rm register only, imm8[7:4];  P Q N: MMX;  I: immediate;  X: VSIB
//            then the type: b w d q, v (16/32/64), y (32/64), z (16/32 immediate), t (80 bits), ps pd ss sd, x (whole vector), dq qq (16, 32 bytes),
//            /2 /4 /8 and an element (a fraction of the vector), or a number of bytes; 1 and CL stand for themselves
// options    lock; f64 (64-bit operand by default), i64 (not in 64-bit mode), o64 (64-bit mode only), w0 w1 (VEX.W or REX.W), l0 l1 (VEX.L);
//            al (memory must be aligned), mu (need not, though SSE); u= m= r= flags left undefined, written, read (oszapc); fu= fm= fr= the same for
//            x87's C0-C3 (0123); imp= general registers used besides; last (must end the sequence); approx=f32|x87; other words: see encode-row.ts
// VEX forms  v3 / v2: a VEX form with / without a new operand H; i: its 256-bit form is AVX2's, s: scalar, x: 128 bits only; mmx: an MMX form exists

import { FLAG, type FlagEffect, type Mode } from './test-case.ts';

export interface Operand {
  readonly kind: string;
  readonly type: string;
}

export interface Row {
  readonly name: string;
  /** For --only: the section's name. */
  readonly group: string;
  /** Features of /proc/cpuinfo that it needs. */
  readonly features: readonly string[];
  readonly vex: boolean;
  readonly prefix: number;
  /** 0: one byte, 1: 0F, 2: 0F 38, 3: 0F 3A. */
  readonly map: number;
  readonly opcode: number;
  readonly digit: number;
  readonly plusRegister: boolean;
  /** Fixed ModRM byte, or -1. */
  readonly modrm: number;
  readonly plusStack: boolean;
  readonly operands: readonly Operand[];
  readonly options: ReadonlySet<string>;
  readonly flags: FlagEffect;
  readonly fsw: FlagEffect;
  readonly implied: readonly number[];
}

const FLAG_LETTER: Record<string, number> = { o: FLAG.of, s: FLAG.sf, z: FLAG.zf, a: FLAG.af, p: FLAG.pf, c: FLAG.cf };
const FSW_DIGIT: Record<string, number> = { 0: 0x100, 1: 0x200, 2: 0x400, 3: 0x4000 };
const REGISTER: Record<string, number> = { ax: 0, cx: 1, dx: 2, bx: 3, sp: 4, bp: 5, si: 6, di: 7 };
const MAP: Record<string, number> = { '0f': 1, '0f38': 2, '0f3a': 3 };

function bits(words: readonly string[], key: string, table: Record<string, number>): number {
  const word = words.find((w) => w.startsWith(`${key}=`));
  if (word === undefined) return 0;
  return [...word.slice(key.length + 1)].reduce((mask, letter) => mask | table[letter], 0);
}

function parseOperand(text: string): Operand {
  return text === '1' || text === 'CL' ? { kind: text, type: '' } : { kind: text[0], type: text.slice(1) };
}

function parseEncoding(text: string): Pick<Row, 'vex' | 'prefix' | 'map' | 'opcode' | 'digit' | 'plusRegister' | 'modrm' | 'plusStack'> {
  const tokens = text.split('.');
  const last = (tokens.pop() as string).match(/^([0-9a-f]{2})(?:\/(\d)|:([0-9a-f]{2})(\+i)?|(\+r))?$/);
  if (last === null) throw new Error(`${text} is not an encoding`);
  const map = tokens.find((t) => t in MAP);
  const prefix = tokens.find((t) => t === '66' || t === 'f2' || t === 'f3');
  return {
    vex: tokens[0] === 'vex',
    prefix: prefix === undefined ? 0 : Number.parseInt(prefix, 16),
    map: map === undefined ? 0 : MAP[map],
    opcode: Number.parseInt(last[1], 16),
    digit: last[2] === undefined ? -1 : Number(last[2]),
    modrm: last[3] === undefined ? -1 : Number.parseInt(last[3], 16),
    plusStack: last[4] !== undefined,
    plusRegister: last[5] !== undefined,
  };
}

export function parseRow(line: string, group: string, features: readonly string[]): Row {
  const words = line.trim().split(/\s+/);
  const [name, encoding] = words;
  const hasOperands = words[2] !== undefined && /^([A-Z]|1)/.test(words[2]);
  const options = words.slice(hasOperands ? 3 : 2);
  const effect = (prefix: string, table: Record<string, number>): FlagEffect => ({
    undefined: bits(options, `${prefix}u`, table),
    written: bits(options, `${prefix}m`, table),
    read: bits(options, `${prefix}r`, table),
  });
  const coded = parseEncoding(encoding);
  const fixed = options.find((o) => o.startsWith('fixed='));
  return {
    name,
    group,
    features,
    ...coded,
    modrm: fixed === undefined ? coded.modrm : Number.parseInt(fixed.slice(6), 16),
    operands: hasOperands ? words[2].split(',').map(parseOperand) : [],
    options: new Set(options),
    flags: effect('', FLAG_LETTER),
    fsw: effect('f', FSW_DIGIT),
    implied: (options.find((o) => o.startsWith('imp=')) ?? 'imp=')
      .slice(4)
      .split('+')
      .filter(Boolean)
      .map((r) => REGISTER[r]),
  };
}

const VEX_OPTION = /^v[23](i|s|x)?$/;

/** The VEX forms that an SSE row announces with v2, v3 and their suffixes. */
function vexRows(row: Row, own: readonly string[]): Row[] {
  const option = [...row.options].find((o) => VEX_OPTION.test(o));
  if (option === undefined) return [];
  const operands = [...row.operands];
  // Three operands: the new one comes after the destination; where the destination is ModRM.rm (shifts by immediate) VEX.vvvv takes its place.
  if (option[1] === '3') operands.splice(row.options.has('vd') ? 0 : 1, 0, { kind: 'H', type: row.operands[0].type });
  const base = { ...row, name: `v${row.name}`, vex: true, operands };
  const extra = own.filter((f) => f === 'aes' || f === 'pclmulqdq');
  const form = (length: string, feature: string): Row => ({
    ...base,
    group: feature,
    features: [feature, ...extra],
    options: new Set([...row.options, length]),
  });
  switch (option[2]) {
    case 'i':
      return [form('l0', 'avx'), form('l1', 'avx2')];
    case 's':
    case 'x':
      return [form('l0', 'avx')];
    default:
      return [form('l0', 'avx'), form('l1', 'avx')];
  }
}

function mmxRow(row: Row): Row {
  const toMmx: Record<string, string> = { V: 'P', W: 'Q', U: 'N' };
  const operands = row.operands.map((o) => (o.kind in toMmx ? { kind: toMmx[o.kind], type: 'q' } : o));
  const feature =
    row.features[0] === 'sse2' ? (row.options.has('mmxext') ? 'sse' : row.options.has('mmx2') ? 'sse2' : 'mmx') : row.features[0];
  return { ...row, group: 'mmx', features: ['mmx', feature], prefix: 0, operands };
}

/** Rows of a section: `text` is one row a line; lines that begin with # are left out. */
export function parseRows(group: string, features: readonly string[], text: string): Row[] {
  const rows: Row[] = [];
  for (const line of text.split('\n')) {
    if (line.trim() === '' || line.trim().startsWith('#')) continue;
    const row = parseRow(line, group, features);
    rows.push(row, ...vexRows(row, features));
    if (row.options.has('mmx') || row.options.has('mmxext') || row.options.has('mmx2')) rows.push(mmxRow(row));
  }
  return rows;
}

export function inMode(row: Row, mode: Mode): boolean {
  return mode === 64 ? !row.options.has('i64') : !row.options.has('o64');
}
