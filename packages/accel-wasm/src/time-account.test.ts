import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BoardPorts } from '@anillo/accel/accelerator';
import { EXIT } from '@anillo/ir/frontend';
import { VcpuHeader } from '@anillo/ir/vcpu-header';
import { TimeAccount } from './time-account.ts';

const MS = 1e6;

/** A clock that goes on when it is told to, and a profile as text. */
function rig(profiled: boolean) {
  let now = 0;
  const spent = new Map<string, number>();
  const names: string[] = [];
  const numberOf = (name: string): number => {
    if (!names.includes(name)) names.push(name);
    return names.indexOf(name);
  };
  const profile = {
    activity: (path: readonly string[]) => numberOf(path.join('/')),
    code: (tier: string, address: bigint) => numberOf(`${tier} at ${address.toString(16)}`),
    spend: (number: number, ms: number) => void spent.set(names[number], (spent.get(names[number]) ?? 0) + ms),
  };
  const view = VcpuHeader.view(new ArrayBuffer(VcpuHeader.bytes), 0);
  const account = new TimeAccount(profiled ? profile : undefined, () => now);
  const take = (ms: number): void => {
    now += ms * MS;
  };
  let next: () => number = () => EXIT.BUDGET;
  const dispatch = account.timedDispatcher(() => next(), view);
  const run = (guest: () => number): number => {
    next = guest;
    return dispatch(0);
  };
  const told = (): Record<string, number> => Object.fromEntries([...spent].map(([name, ms]) => [name, Math.round(ms * 1000) / 1000]));
  return { account, view, take, run, told };
}

/** Guest code that takes so long, for so many instructions, and leaves for a reason. */
const guest =
  ({ view, take }: Pick<ReturnType<typeof rig>, 'view' | 'take'>, ms: number, interpreted: number, compiled: number, reason: number) =>
  (): number => {
    take(ms);
    view.retiredInterpreted += BigInt(interpreted);
    view.budget -= interpreted + compiled;
    return reason;
  };

test('time is the guest code that is met when the budget is used up, and what follows each return', () => {
  const r = rig(true);
  const { view, take, run, told } = r;
  view.pc = 0x1000n;
  view.codeBase = 0x20n;
  view.budget = 1000;
  assert.equal(run(guest(r, 3, 100, 0, EXIT.MISS)), EXIT.MISS);
  take(2);
  run(guest(r, 1, 100, 0, EXIT.TRAP));
  take(5);
  run(guest(r, 1, 100, 0, EXIT.BUDGET));
  take(0.5);
  view.budget = 1000;
  view.pc = 0x2000n;
  run(guest(r, 6, 0, 1000, EXIT.BUDGET));
  take(0.25);
  run(guest(r, 1, 0, 1000, EXIT.HALT));
  take(100);
  run(guest(r, 0, 0, 0, EXIT.HALT));
  assert.deepEqual(told(), {
    'TypeScript/translation': 2,
    'TypeScript/exceptions': 5,
    'guest code, interpreted at 1020': 5,
    'TypeScript/timers and host events': 0.75,
    'guest code, compiled at 2020': 6,
    halted: 100,
  });
});

test('a run of both tiers is divided by what their instructions cost alone', () => {
  const r = rig(true);
  const { view, run, account } = r;
  for (let i = 0; i < 300; i++) {
    view.budget = 10_000;
    run(guest(r, 9, 10_000, 0, EXIT.POLL));
    view.budget = 10_000;
    run(guest(r, 1, 0, 10_000, EXIT.POLL));
  }
  const { interpreted, compiled } = account.spentMs();
  view.budget = 10_000;
  run(guest(r, 5, 5000, 5000, EXIT.POLL));
  const both = account.spentMs();
  assert.ok(Math.abs(both.interpreted - interpreted - 4.5) < 0.01, String(both.interpreted - interpreted));
  assert.ok(Math.abs(both.compiled - compiled - 0.5) < 0.01);
});

test('helpers and devices count apart, each moment once', () => {
  const r = rig(true);
  const { account, view, take, run, told } = r;
  const board: BoardPorts = {
    readPort: () => (take(4), 7),
    writePort: () => take(1),
    readMmio: () => (take(1), 0),
    writeMmio: () => take(2),
    interrupts: () => assert.fail(),
    nowNs: () => 0,
    poll: () => take(0.5),
  };
  const ports = account.timedPorts(board);
  const { input } = account.timedHelpers({ input: (port = 0) => (take(3), ports.readPort(port, 1)) });
  view.budget = 1000;
  run(() => {
    take(100);
    assert.equal(input(0x3f8), 7);
    ports.writeMmio(0xfee0_0300, 4, 1);
    return guest(r, 0, 0, 1000, EXIT.BUDGET)();
  });
  ports.poll();
  take(1);
  view.budget = 1000;
  run(() => EXIT.HALT);
  assert.deepEqual(told(), {
    'TypeScript/devices/port 0x3f8': 4,
    // One call in eight is timed and stands for the others; so the guest's own time is shorter here.
    'TypeScript/helpers/input': 24,
    'TypeScript/devices/memory at 0xfee00000': 2,
    'guest code, compiled at 0': 100 + 3 + 4 + 2 - 24 - 4 - 2,
    'TypeScript/devices/timers': 0.5,
    'TypeScript/timers and host events': 1,
  });
});

test('without a profile nothing is wrapped, and some of the returns stand for all', () => {
  const r = rig(false);
  const { account, view, take, run } = r;
  const helpers = { f: () => 0 };
  assert.equal(account.timedHelpers(helpers), helpers);
  for (let i = 0; i < 3100; i++) {
    view.budget = 1000;
    run(guest(r, 1, 1000, 0, EXIT.MISS));
    take(2);
  }
  const { interpreted, translation } = account.spentMs();
  assert.equal(Math.round(interpreted), 3100);
  assert.equal(Math.round(translation), 6200);
});
