// Makes test case number `index` of a seed: a sequence of one to six instructions, a state, and a data area. Any case can be made again alone.

import { CaseBuilder } from './case-builder.ts';
import { elementOf, encodeRow } from './encode-row.ts';
import { DataPools, type Element } from './hostile-values.ts';
import { inMode, type Row } from './instruction-row.ts';
import { Random } from './random.ts';
import { INTEGER_ROWS } from './rows-integer.ts';
import { VECTOR_ROWS } from './rows-vector.ts';
import { X87_ROWS } from './rows-x87.ts';
import { SPECIAL_INSTRUCTIONS, type SpecialInstruction } from './special-instructions.ts';
import type { Mode, TestCase } from './test-case.ts';

export interface GeneratorOptions {
  readonly mode: Mode;
  /** CPU features (names of /proc/cpuinfo) that may be used. */
  readonly features: ReadonlySet<string>;
  /** Groups, features or instruction names; empty: all. */
  readonly only?: readonly string[];
  /** Zeros everywhere but in the operands, one instruction, nothing that faults: for vectors. */
  readonly sparse?: boolean;
}

/** A source of instructions with the weight that its group has among the others. */
interface Group {
  readonly name: string;
  readonly rows: Row[];
  readonly specials: SpecialInstruction[];
}

const WEIGHT: Record<string, number> = {
  base: 8,
  shift: 3,
  string: 2,
  branch: 2,
  stack: 2,
  fault: 0.4,
  bytes: 4,
  transcendental: 0.3,
  cx16: 0.5,
  popcnt: 0.4,
  lzcnt: 0.4,
  movbe: 0.6,
  adx: 0.6,
};
const POOL_SEED = 0x5eed;

export const ALL_ROWS: readonly Row[] = [...INTEGER_ROWS, ...VECTOR_ROWS, ...X87_ROWS];

function matches(only: readonly string[], names: readonly string[]): boolean {
  return only.length === 0 || only.some((o) => names.includes(o));
}

export class Generator {
  readonly #options: GeneratorOptions;
  readonly #groups: Group[] = [];
  readonly #wheel: Group[] = [];
  readonly #pools = new DataPools(new Random(POOL_SEED, 0));

  constructor(options: GeneratorOptions) {
    this.#options = options;
    const only = options.only ?? [];
    const groups = new Map<string, Group>();
    const group = (name: string): Group => {
      const found = groups.get(name) ?? { name, rows: [], specials: [] };
      groups.set(name, found);
      return found;
    };
    for (const row of ALL_ROWS) {
      const usable = inMode(row, options.mode) && row.features.every((f) => options.features.has(f));
      if (usable && matches(only, [row.name, row.group, ...row.features.slice(row.group === 'base' ? 1 : 0)]))
        group(row.group).rows.push(row);
    }
    for (const special of SPECIAL_INSTRUCTIONS) {
      if ((special.mode ?? options.mode) === options.mode && matches(only, [special.name, special.group]))
        group(special.group).specials.push(special);
    }
    this.#groups.push(...groups.values());
    if (this.#groups.length === 0)
      throw new Error(`no instruction matches "${only.join(',')}" on this host; see the section names in tests/differential/rows-*.ts.`);
    for (const g of this.#groups) for (let i = 0; i < Math.ceil((WEIGHT[g.name] ?? 2) * 10); i++) this.#wheel.push(g);
  }

  /** The rows and special instructions that this generator draws from. */
  get sources(): readonly (Row | SpecialInstruction)[] {
    return this.#groups.flatMap((g) => [...g.rows, ...g.specials]);
  }

  #draw(random: Random): Row | SpecialInstruction {
    const group = random.pick(this.#wheel);
    const i = random.below(group.rows.length + group.specials.length);
    return i < group.rows.length ? group.rows[i] : group.specials[i - group.rows.length];
  }

  make(seed: number, index: number): TestCase {
    const random = new Random(seed, index);
    const first = this.#draw(random);
    const count = random.chance(50) ? 1 : random.between(2, 6);
    return this.#build(random, seed, index, first, count);
  }

  /** A sparse case of one given instruction, or undefined when it cannot be one. */
  makeVector(source: Row | SpecialInstruction, seed: number, index: number): TestCase | undefined {
    const random = new Random(seed, index);
    for (let attempt = 0; attempt < 20; attempt++) {
      const builder = this.#builder(random, source);
      if (emit(builder, source)) return builder.finish(seed, index);
    }
    return undefined;
  }

  #builder(random: Random, first: Row | SpecialInstruction): CaseBuilder {
    const { mode, sparse = false } = this.#options;
    return new CaseBuilder(random, this.#pools, {
      mode,
      element: elementFor(first, random),
      sparse,
      canFault: !sparse && random.chance(70),
    });
  }

  #build(random: Random, seed: number, index: number, first: Row | SpecialInstruction, count: number): TestCase {
    const builder = this.#builder(random, first);
    let source = first;
    for (let attempts = 0; builder.instructions.length < count && !builder.ended && attempts < 40; attempts++) {
      if (emit(builder, source) || attempts >= 4) source = this.#next(random, first);
    }
    if (builder.instructions.length === 0) builder.append('nop', [0x90]);
    return builder.finish(seed, index);
  }

  /** Half of what follows comes from the first instruction's own group, so that its result is used. */
  #next(random: Random, first: Row | SpecialInstruction): Row | SpecialInstruction {
    if (!random.chance(50)) return this.#draw(random);
    const group = this.#groups.find((g) => g.name === first.group) as Group;
    const i = random.below(group.rows.length + group.specials.length);
    return i < group.rows.length ? group.rows[i] : group.specials[i - group.rows.length];
  }
}

function emit(builder: CaseBuilder, source: Row | SpecialInstruction): boolean {
  return 'emit' in source ? builder.room > 40 && source.emit(builder) : encodeRow(builder, source);
}

function elementFor(source: Row | SpecialInstruction, random: Random): Element {
  if ('emit' in source || random.chance(10)) return 'int';
  if (source.group === 'x87' || source.group === 'transcendental') return source.name === 'fbld' ? 'bcd' : 'f80';
  const operand = source.operands.find((o) => 'VHWMQE'.includes(o.kind));
  return operand === undefined ? 'int' : elementOf(operand);
}
