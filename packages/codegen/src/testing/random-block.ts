// Random blocks for comparing the tiers: arithmetic, slots, temps, guest memory, traps, calls, `if` and `loop`. No floating point, whose NaN bits
// are free. Each block draws on the fuel slot, so that chains of blocks end.

import type { Block, Terminal, Value } from '@anillo/ir/block';
import { Builder } from '@anillo/ir/builder';
import { helper, routine, type Callee } from '@anillo/ir/callee';
import type { Slot } from '@anillo/ir/slot';
import { PC, X64 } from '@anillo/ir/vcpu-header';
import type { Random } from './random.ts';
import { DATA_BASE, PINNED_AT, RAM_PAGES, SLOTS, type TierRig } from './tier-rig.ts';

export const FUEL: Slot<'i64'> = SLOTS.i64[7];
const GENERAL = SLOTS.i64.slice(0, 5);
const STACK = SLOTS.i64[5];
const CALL_SLOT = SLOTS.i64[6];

const BIN = ['add', 'sub', 'mul', 'and', 'or', 'xor', 'shl', 'shr_s', 'shr_u', 'rotl', 'rotr'] as const;
const CMP = ['eq', 'ne', 'lt_s', 'lt_u', 'gt_s', 'gt_u', 'le_s', 'le_u', 'ge_s', 'ge_u'] as const;
const VECTOR = ['i8x16.add', 'i16x8.mul', 'i32x4.sub', 'v128.xor', 'i8x16.swizzle', 'i16x8.extmul_low_i8x16_s', 'i64x2.add'] as const;
const RMW = ['add', 'and', 'or', 'xor', 'xchg'] as const;

/** Adds to the call slot and returns it; traps when the argument is 13. */
const ROUTINE_ADD = routine({
  name: 'addToCallSlot',
  params: ['i64', 'i32'],
  result: 'i64',
  reads: [CALL_SLOT],
  writes: [CALL_SLOT],
  traps: true,
  build: (b, [a, c]) => {
    const sum = b.add(b.get(CALL_SLOT), a as Value<'i64'>);
    b.set(CALL_SLOT, sum);
    b.raiseIf(b.eq(c as Value<'i32'>, b.i32(13)), 77);
    const out = b.temp('i64', sum);
    b.if(
      b.ltU(c as Value<'i32'>, b.i32(1000)),
      () => b.set(out, b.mul(sum, b.i64(3))),
      () => b.set(CALL_SLOT, b.i64(5)),
    );
    return b.get(out);
  },
});

/** Loads through guest memory and may fault. */
const ROUTINE_LOAD = routine({
  name: 'loadTwice',
  params: ['i64'],
  result: 'i64',
  reads: 'none',
  writes: 'none',
  traps: true,
  build: (b, [a]) => {
    const address = a as Value<'i64'>;
    return b.add(b.op('i64.load', [address], 1), b.op('i64.load', [address], 9));
  },
});

/** Touches everything: reads all slots and changes one. */
const HELPER_ALL = helper('mixAll', 1);
/** Writes a pinned slot, which need not be declared. */
const HELPER_TRAP = helper('trapOdd', 1, { reads: X64.slice(0, 1), writes: 'none', traps: true });

export const ROUTINES = [ROUTINE_ADD, ROUTINE_LOAD];
const state = (rig: TierRig, slot: Slot): bigint => rig.state.getBigUint64(slot.offset, true);
const put = (rig: TierRig, slot: Slot, value: bigint): void => rig.state.setBigUint64(slot.offset, BigInt.asUintN(64, value), true);
export const HELPERS = {
  mixAll: (rig: TierRig, a: number): number => {
    put(
      rig,
      SLOTS.i64[1],
      GENERAL.reduce((sum, s) => sum * 3n + state(rig, s), BigInt(a | 0)),
    );
    return Number(state(rig, SLOTS.i64[0]) & 0xffffn) ^ a;
  },
  trapOdd: (rig: TierRig, a: number): number => {
    put(rig, SLOTS.pinned[1], state(rig, X64[0]) + 1n);
    return (a & 15) === 1 ? 1 : 0;
  },
};

export class RandomBlock {
  readonly #r: Random;
  readonly #b = new Builder();
  readonly #i64: Value<'i64'>[] = [];
  readonly #i32: Value<'i32'>[] = [];
  readonly #v128: Value<'v128'>[] = [];
  readonly #temps: Slot<'i64'>[] = [];
  #hasStack = false;

  constructor(random: Random) {
    this.#r = random;
  }

  #int64(): Value<'i64'> {
    const r = this.#r;
    if (this.#i64.length > 0 && r.chance(60)) return this.#i64[this.#i64.length - 1 - r.below(Math.min(6, this.#i64.length))];
    if (r.chance(5)) return this.#b.get(PC as Slot<'i64'>);
    if (r.chance(30)) return this.#b.i64Words(r.word(), r.chance(50) ? r.word() : 0);
    return this.#b.get(r.chance(35) ? r.pick(SLOTS.pinned) : this.#general());
  }
  /** Few slots often, so that sets meet. */
  #general(): Slot<'i64'> {
    return this.#r.chance(50) ? GENERAL[this.#r.below(2)] : this.#r.pick(GENERAL);
  }
  #int32(): Value<'i32'> {
    const r = this.#r;
    if (this.#i32.length > 0 && r.chance(50)) return this.#i32[this.#i32.length - 1 - r.below(Math.min(6, this.#i32.length))];
    if (r.chance(20)) return this.#b.i32(r.word());
    if (r.chance(40)) return this.#b.wrap(this.#int64());
    return this.#b.get(r.pick(SLOTS.i32));
  }
  #vector(): Value<'v128'> {
    const r = this.#r;
    return this.#v128.length > 0 && r.chance(50) ? r.pick(this.#v128) : this.#b.get(r.pick(r.chance(25) ? SLOTS.pinnedWide : SLOTS.v128));
  }
  /** An address in the data pages, mostly; displacement apart. */
  #address(): Value<'i64'> {
    const r = this.#r;
    const b = this.#b;
    if (r.chance(60)) return this.#dataAddress();
    if (!this.#hasStack || r.chance(30)) b.set(STACK, this.#dataAddress());
    this.#hasStack = true;
    return b.add(b.get(STACK), b.i64(r.below(256) - 128));
  }
  #dataAddress(): Value<'i64'> {
    const r = this.#r;
    const b = this.#b;
    const page = DATA_BASE + BigInt(r.chance(70) ? r.pick([0, 1, 3, 5, 8]) : r.below(RAM_PAGES - 1)) * 4096n;
    const base = b.i64Words(Number(page & 0xffff_ffffn) | 0, Number(page >> 32n));
    return b.add(base, b.and(this.#int64(), b.i64(r.chance(20) ? 0xfff : 0x7ff)));
  }

  #pure(): void {
    const r = this.#r;
    const b = this.#b;
    switch (r.below(10)) {
      case 0:
      case 1:
      case 2:
        this.#i64.push(b.op(`i64.${r.pick(BIN)}`, [this.#int64(), this.#int64()]));
        break;
      case 3:
      case 4:
        this.#i32.push(b.op(`i32.${r.pick(BIN)}`, [this.#int32(), this.#int32()]));
        break;
      case 5:
        this.#i32.push(
          r.chance(50)
            ? b.op(`i64.${r.pick(CMP)}`, [this.#int64(), this.#int64()])
            : b.op(`i32.${r.pick(CMP)}`, [this.#int32(), this.#int32()]),
        );
        break;
      case 6:
        this.#i64.push(r.chance(50) ? b.extendU(this.#int32()) : b.extendS(this.#int32()));
        break;
      case 7:
        this.#i64.push(
          b.op(r.pick(['i64.insert8', 'i64.insert8h', 'i64.insert16', 'i64.mulhi_u', 'i64.mulhi_s']), [this.#int64(), this.#int64()]),
        );
        break;
      case 8:
        this.#i64.push(b.select(this.#int32(), this.#int64(), this.#int64()));
        break;
      default:
        this.#v128.push(b.op(r.pick(VECTOR), [this.#vector(), this.#vector()]));
    }
  }

  #sets(): void {
    const r = this.#r;
    const b = this.#b;
    switch (r.below(6)) {
      case 0:
        b.set(r.pick(SLOTS.i32), this.#int32());
        break;
      case 1:
        b.set(r.pick(SLOTS.v128), this.#vector());
        break;
      case 2:
        if (r.chance(25)) b.set(r.pick(SLOTS.pinnedWide), this.#vector());
        else b.set(r.pick(SLOTS.pinned), this.#int64());
        break;
      case 3: {
        if (this.#temps.length > 0 && r.chance(50)) b.set(r.pick(this.#temps), this.#int64());
        else this.#temps.push(b.temp('i64', this.#int64()));
        break;
      }
      default:
        b.set(this.#general(), this.#int64());
    }
    if (this.#temps.length > 0 && r.chance(40)) this.#i64.push(b.get(r.pick(this.#temps)));
  }

  #memory(): void {
    const r = this.#r;
    const b = this.#b;
    const disp = r.chance(50) ? r.below(64) - 32 : 0;
    const address = this.#address();
    switch (r.below(9)) {
      case 0:
      case 1:
        this.#i64.push(b.op('i64.load', [address], disp));
        break;
      case 2:
      case 3:
        this.#i32.push(b.op(r.pick(['i32.load', 'i32.load8_u', 'i32.load8_s', 'i32.load16_u', 'i32.load16_s']), [address], disp));
        break;
      case 4:
        b.op('i64.store', [address, this.#int64()], disp);
        break;
      case 5:
        b.op(r.pick(['i32.store', 'i32.store8', 'i32.store16']), [address, this.#int32()], disp);
        break;
      case 6:
        if (r.chance(50)) this.#v128.push(b.op('v128.load', [address], disp));
        else b.op('v128.store', [address, this.#vector()], disp);
        break;
      case 7:
        b.op(r.pick(['probe_write8', 'probe_write16', 'probe_write32', 'probe_write64']), [address], disp);
        break;
      default:
        this.#readModifyWrite(address, disp);
    }
  }

  #readModifyWrite(address: Value<'i64'>, disp: number): void {
    const r = this.#r;
    const b = this.#b;
    const width = r.pick(['8', '16', '']);
    if (r.chance(30)) {
      if (r.chance(50)) this.#i64.push(b.op('i64.rmw.cmpxchg', [address, this.#int64(), this.#int64()], disp));
      else this.#i32.push(b.op(`i32.rmw${width}.cmpxchg` as 'i32.rmw.cmpxchg', [address, this.#int32(), this.#int32()], disp));
    } else if (r.chance(50)) this.#i64.push(b.op(`i64.rmw.${r.pick(RMW)}`, [address, this.#int64()], disp));
    else this.#i32.push(b.op(`i32.rmw${width}.${r.pick(RMW)}` as 'i32.rmw.add', [address, this.#int32()], disp));
  }

  #state(): void {
    const r = this.#r;
    const b = this.#b;
    const offset = b.and(this.#int32(), b.i32(16));
    if (r.chance(50)) this.#i64.push(b.op('state.load64', [offset], PINNED_AT));
    else b.op(r.pick(['state.store32', 'state.store8']), [offset, this.#int32()], PINNED_AT + 4);
  }

  #call(): void {
    const r = this.#r;
    const b = this.#b;
    const results: Record<string, () => void> = {
      add: () => this.#i64.push(b.call(ROUTINE_ADD, [this.#int64(), this.#int32()]) as Value<'i64'>),
      load: () => this.#i64.push(b.call(ROUTINE_LOAD, [this.#address()]) as Value<'i64'>),
      all: () => this.#i32.push(b.call(HELPER_ALL as Callee, [this.#int32()]) as Value<'i32'>),
      trap: () => {
        b.set(X64[0], this.#int64());
        b.call(HELPER_TRAP, [this.#int32()]);
      },
    };
    results[r.pick(['add', 'load', 'all', 'trap'])]();
  }

  /** Values made inside stay inside. */
  #scoped(write: () => void): void {
    const marks = [this.#i64.length, this.#i32.length, this.#v128.length, this.#temps.length];
    write();
    [this.#i64.length, this.#i32.length, this.#v128.length, this.#temps.length] = marks;
  }

  #control(depth: number): void {
    const r = this.#r;
    const b = this.#b;
    const body = (): void => this.#scoped(() => this.#write(2 + r.below(5), depth + 1));
    if (r.chance(70)) {
      b.if(this.#int32(), body, r.chance(50) ? body : undefined);
      return;
    }
    const count = b.temp('i64', b.i64(1 + r.below(3)));
    b.loopWhile(() => {
      body();
      b.set(count, b.sub(b.get(count), b.i64(1)));
      return b.ne(b.get(count), b.i64(0));
    });
  }

  #write(steps: number, depth: number): void {
    const r = this.#r;
    for (let i = 0; i < steps; i++) {
      this.#b.at += r.below(3);
      const kind = r.below(100);
      if (kind < 38) this.#pure();
      else if (kind < 66) this.#sets();
      else if (kind < 78) this.#memory();
      else if (kind < 84) this.#state();
      else if (kind < 88) this.#call();
      else if (kind < 94) this.#b.raiseIf(this.#b.eq(this.#b.and(this.#int32(), this.#b.i32(63)), this.#b.i32(3)), 40 + r.below(10));
      else if (depth < 3) this.#control(depth);
    }
  }

  /** `terminal` gets values to build on. */
  build(terminal: (cond: Value<'i32'>, target: (pc: number) => Value<'i64'>) => Terminal): Block {
    const b = this.#b;
    b.raiseIf(b.eqz(b.get(FUEL)), 99);
    b.set(FUEL, b.sub(b.get(FUEL), b.i64(1)));
    this.#write(4 + this.#r.below(30), 0);
    b.at += 1;
    const cond = this.#int32();
    return b.finish(
      terminal(cond, (pc) => b.i64(pc)),
      { byteCount: b.at + 1, insnCount: this.#r.pick([1, 2, 5, 40]), pcBits: this.#r.pick([32, 64]) },
    );
  }
}
