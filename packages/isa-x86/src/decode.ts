// Reads one instruction: prefixes, REX/VEX, opcode, ModRM, SIB, displacement, immediates. SDM Vol. 2, chapter 2.
// Departures from a plain table walk: VEX opcodes C4/C5 are LES/LDS outside 64-bit code when the next byte names memory; F2/F3 win over 66 as
// mandatory prefixes; the last of F2/F3 counts; REX counts only directly before the opcode; more than 15 bytes is #GP.

import type { CpuModel } from './cpu-model.ts';
import { ACCEPT, type Operand, type Row } from './row.ts';
import { DS, ES, CS, SS, FS, GS } from './state.ts';

/** One decoded instruction; reused by the lifter, so nothing keeps it. */
export interface Decoded {
  row: Row;
  byteCount: number;
  codeSize: 16 | 32 | 64;
  /** Operand size for 'v' operands. */
  operandSize: 16 | 32 | 64;
  addressSize: 16 | 32 | 64;
  /** Overriding segment register, or -1. */
  segment: number;
  lock: boolean;
  /** 0, 0xf2 or 0xf3. */
  rep: number;
  prefix66: boolean;
  /** REX byte, 0 where there is none. */
  rex: number;
  vexL: 0 | 1;
  vexV: number;
  /** All four bits, also where only three count: an unused field must have none set. */
  vexVField: number;
  w: 0 | 1;
  opcode: number;
  mod: number;
  /** ModRM.reg with REX.R; ModRM.rm with REX.B. */
  reg: number;
  rm: number;
  modrm: number;
  /** Memory operand: base and index registers or -1, scale 0..3, displacement. */
  base: number;
  index: number;
  scale: number;
  displacement: number;
  ripRelative: boolean;
  /** Immediates in order: low and high words, sign-extended from their size. */
  immLow: [number, number];
  immHigh: [number, number];
}

/** What decoding can say besides success. `more`: bytes ran out before the instruction ended. */
export type DecodeOutcome = 'ok' | 'more' | 'undefined' | 'too-long';

/** Rows of one opcode, most specific first. */
interface OpcodeRows {
  readonly rows: Row[];
  hasModrm: boolean;
}
export type OpcodeTable = readonly Readonly<OpcodeRows>[];

const LONGEST = 15;
const NO_ROWS: OpcodeRows = { rows: [], hasModrm: false };

/** Index of a row list: VEX, map, opcode. */
const slotOf = (vex: boolean, map: number, opcode: number): number => ((vex ? 4 : 0) + map) * 256 + opcode;

/** Sorts rows into lists by opcode, most specific first; rows of features that the model lacks are left out. */
export function buildOpcodeTable(rows: readonly Row[], model: CpuModel): OpcodeTable {
  const table: OpcodeRows[] = Array.from({ length: 2048 }, () => ({ rows: [], hasModrm: false }));
  for (const row of rows) {
    if (row.feature !== undefined && !model.features.has(row.feature)) continue;
    for (let i = 0; i < (row.plusRegister ? 8 : 1); i++) (table[slotOf(row.vex, row.map, row.opcode + i)] as OpcodeRows).rows.push(row);
  }
  for (const entry of table) {
    entry.rows.sort((a, b) => b.specificity - a.specificity);
    entry.hasModrm = entry.rows.some((row) => row.hasModrm);
  }
  return table;
}

// 16-bit addressing: BX+SI, BX+DI, BP+SI, BP+DI, SI, DI, BP, BX.
const BASE16 = [3, 3, 5, 5, 6, 7, 5, 3];
const INDEX16 = [6, 7, 6, 7, -1, -1, -1, -1];

export class Decoder {
  readonly #table: OpcodeTable;
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;
  #end = 0;
  #over = false;

  constructor(table: OpcodeTable) {
    this.#table = table;
  }

  #byte(): number {
    if (this.#at >= this.#end) {
      this.#over = true;
      return 0;
    }
    return this.#bytes[this.#at++];
  }
  #word(): number {
    const low = this.#byte();
    return low | (this.#byte() << 8);
  }
  #dword(): number {
    const low = this.#word();
    return low | (this.#word() << 16);
  }

  /** Decodes at `start`; fills `d`. */
  decode(bytes: Uint8Array, start: number, codeSize: 16 | 32 | 64, realMode: boolean, d: Decoded): DecodeOutcome {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = Math.min(bytes.length, start + LONGEST);
    this.#over = false;
    const outcome = this.#instruction(codeSize, realMode, d);
    d.byteCount = this.#at - start;
    if (this.#over) return bytes.length - start < LONGEST ? 'more' : 'too-long';
    return outcome;
  }

  #instruction(codeSize: 16 | 32 | 64, realMode: boolean, d: Decoded): DecodeOutcome {
    d.codeSize = codeSize;
    d.segment = -1;
    d.lock = false;
    d.rep = 0;
    d.prefix66 = false;
    d.rex = 0;
    d.vexL = 0;
    d.vexV = 0;
    d.w = 0;
    let prefix67 = false;
    let opcode = this.#byte();
    prefixes: for (; !this.#over; opcode = this.#byte()) {
      switch (opcode) {
        case 0x26: case 0x2e: case 0x36: case 0x3e:
          if (codeSize !== 64) d.segment = opcode === 0x26 ? ES : opcode === 0x2e ? CS : opcode === 0x36 ? SS : DS;
          break;
        case 0x64: d.segment = FS; break;
        case 0x65: d.segment = GS; break;
        case 0x66: d.prefix66 = true; break;
        case 0x67: prefix67 = true; break;
        case 0xf0: d.lock = true; break;
        case 0xf2: case 0xf3: d.rep = opcode; break;
        default:
          if (codeSize === 64 && (opcode & 0xf0) === 0x40) {
            d.rex = opcode;
            continue;
          }
          break prefixes;
      }
      d.rex = 0;
    }
    if (this.#over) return 'more';
    d.addressSize = codeSize === 64 ? (prefix67 ? 32 : 64) : (codeSize === 32) !== prefix67 ? 32 : 16;

    let map = 0;
    let vex = false;
    let refused = false;
    let r = (d.rex & 4) << 1;
    let x = (d.rex & 2) << 2;
    let b = (d.rex & 1) << 3;
    d.w = ((d.rex >> 3) & 1) as 0 | 1;
    let prefix = d.rep === 0xf3 ? 2 : d.rep === 0xf2 ? 3 : d.prefix66 ? 1 : 0;
    if ((opcode === 0xc4 || opcode === 0xc5) && (codeSize === 64 || (!realMode && this.#at < this.#end && this.#bytes[this.#at] >= 0xc0))) {
      vex = true;
      const first = this.#byte();
      if (d.rex !== 0) return 'undefined';
      refused = d.prefix66 || d.rep !== 0 || d.lock;
      r = (~first >> 4) & 8;
      map = 1;
      let last = first;
      if (opcode === 0xc4) {
        x = (~first >> 3) & 8;
        b = (~first >> 2) & 8;
        map = first & 31;
        last = this.#byte();
        d.w = (last >> 7) as 0 | 1;
      }
      d.vexV = d.vexVField = (~last >> 3) & 15;
      d.vexL = ((last >> 2) & 1) as 0 | 1;
      prefix = last & 3;
      if (codeSize !== 64) {
        r = x = b = 0;
        d.vexV &= 7;
      }
      opcode = this.#byte();
    } else if (opcode === 0x0f) {
      opcode = this.#byte();
      map = 1;
      if (opcode === 0x38 || opcode === 0x3a) {
        map = opcode === 0x38 ? 2 : 3;
        opcode = this.#byte();
      }
    }
    d.opcode = opcode;
    const entry = vex && (map < 1 || map > 3) ? NO_ROWS : (this.#table[slotOf(vex, map, opcode)] as OpcodeRows);
    const list = entry.rows;
    if (list.length === 0) {
      this.#skipUndefined(vex, map, d);
      return 'undefined';
    }

    // The ModRM byte, if any row of the list has one, takes part in the choice.
    const modrm = entry.hasModrm ? (this.#at < this.#end ? this.#bytes[this.#at] : -1) : 0;
    const row = this.#choose(list, prefix, modrm, d.w, d.vexL, codeSize);
    if (modrm < 0) {
      this.#byte();
      return 'more';
    }
    // An encoding that no row has is as long as its neighbours are.
    const form = row ?? (list[0] as Row);
    d.row = form;

    const small = codeSize === 16;
    const opsize66 = d.prefix66 && !form.mandatory66;
    if (codeSize === 64) d.operandSize = d.w || form.force64 ? 64 : opsize66 ? 16 : form.default64 ? 64 : 32;
    else d.operandSize = small !== opsize66 ? 16 : 32;

    d.base = -1;
    d.index = -1;
    d.scale = 0;
    d.displacement = 0;
    d.ripRelative = false;
    d.mod = 3;
    d.reg = 0;
    d.rm = (opcode & 7) | b;
    if (form.hasModrm) this.#modrm(d, form.ignoresMod, r, x, b);
    this.#immediates(form, d);
    if (row === undefined || refused || (d.lock && !(row.lockable && d.mod !== 3))) return 'undefined';
    return 'ok';
  }

  /** How long an instruction would have been decides whether it can be fetched, and whether it is too long, before it is undefined. */
  #skipUndefined(vex: boolean, map: number, d: Decoded): void {
    const legacy = map === 1 ? (this.#table[slotOf(false, 1, d.opcode)] as OpcodeRows).rows[0] : undefined;
    const is3DNow = !vex && map === 1 && d.opcode === 0x0f;
    if (map > 1 || (vex && map === 0) || is3DNow || legacy?.hasModrm) this.#modrm(d, false, 0, 0, 0);
    if (map === 3 || is3DNow) this.#byte();
  }

  #choose(list: readonly Row[], prefix: number, modrm: number, w: number, l: number, codeSize: 16 | 32 | 64): Row | undefined {
    const has =
      (1 << (prefix + ACCEPT.prefix)) |
      ((codeSize >> 4) << ACCEPT.code) |
      (1 << (w + ACCEPT.w)) |
      (1 << (l + ACCEPT.l)) |
      (1 << (((modrm >> 3) & 7) + ACCEPT.reg)) |
      ((modrm >= 0xc0 ? 2 : 1) << ACCEPT.form);
    for (let i = 0; i < list.length; i++) {
      const row = list[i] as Row;
      if ((row.accepts & has) === has && (row.modrm < 0 || row.modrm === modrm)) return row;
    }
    return undefined;
  }

  #modrm(d: Decoded, ignoresMod: boolean, r: number, x: number, b: number): void {
    const modrm = this.#byte();
    d.modrm = modrm;
    d.mod = ignoresMod ? 3 : modrm >> 6;
    d.reg = ((modrm >> 3) & 7) | r;
    const rm = modrm & 7;
    d.rm = rm | b;
    if (d.mod === 3) return;
    if (d.addressSize === 16) {
      d.base = BASE16[rm] as number;
      d.index = INDEX16[rm] as number;
      if (d.mod === 0 && rm === 6) {
        d.base = -1;
        d.displacement = (this.#word() << 16) >> 16;
      } else {
        if (d.mod === 1) d.displacement = (this.#byte() << 24) >> 24;
        else if (d.mod === 2) d.displacement = (this.#word() << 16) >> 16;
      }
      return;
    }
    if (rm === 4) {
      const sib = this.#byte();
      d.scale = sib >> 6;
      const index = ((sib >> 3) & 7) | x;
      d.index = index === 4 ? -1 : index;
      const base = sib & 7;
      if (base === 5 && d.mod === 0) d.displacement = this.#dword();
      else d.base = base | b;
    } else if (rm === 5 && d.mod === 0) {
      d.displacement = this.#dword();
      d.ripRelative = d.codeSize === 64;
    } else {
      d.base = rm | b;
    }
    if (d.mod === 1) d.displacement = (this.#byte() << 24) >> 24;
    else if (d.mod === 2) d.displacement = this.#dword();
  }

  #immediates(row: Row, d: Decoded): void {
    let n = 0;
    const { immediates } = row;
    for (let i = 0; i < immediates.length; i++) {
      const o = immediates[i] as Operand;
      let low = 0;
      let high = 0;
      let signed = true;
      if (o.kind === 'O') {
        low = d.addressSize === 16 ? this.#word() : this.#dword();
        if (d.addressSize === 64) high = this.#dword();
        signed = false;
      } else if (o.kind === 'A') {
        // Far pointer: offset, then selector in the second place.
        low = d.operandSize === 16 ? this.#word() : this.#dword();
        signed = false;
        d.immLow[1] = this.#word();
      } else if (o.bits === 8) {
        low = (this.#byte() << 24) >> 24;
      } else if (o.bits === 16) {
        low = this.#word();
      } else if (o.size === 'v' && d.operandSize === 64) {
        low = this.#dword();
        high = this.#dword();
        signed = false;
      } else if (d.operandSize === 16) {
        low = (this.#word() << 16) >> 16;
      } else {
        low = this.#dword();
      }
      d.immLow[n] = low;
      d.immHigh[n] = signed ? low >> 31 : high;
      n = 1;
    }
  }
}

/** A fresh record to decode into. */
export const emptyDecoded = (): Decoded => ({
  row: undefined as unknown as Row,
  byteCount: 0, codeSize: 64, operandSize: 32, addressSize: 64, segment: -1, lock: false, rep: 0, prefix66: false, rex: 0, vexL: 0, vexV: 0, vexVField: 0, w: 0, opcode: 0,
  mod: 0, reg: 0, rm: 0, modrm: 0, base: -1, index: -1, scale: 0, displacement: 0, ripRelative: false, immLow: [0, 0], immHigh: [0, 0],
});
