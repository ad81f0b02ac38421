import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AcceleratedVm, Accelerator } from '@anillo/accel/accelerator';
import type { MachineHost } from '../machine-host.ts';
import { makeSharedCells, ProcessorCells, STATE } from './processor-cells.ts';
import { type ProcessorHost, type ProcessorStart, runProcessor } from './processor-thread.ts';
import { type ProcessorBoard, Processors } from './processors.ts';

const CPU = 1;
function rig() {
  const shared = makeSharedCells(2);
  const cells = new ProcessorCells(shared);
  const { state } = cells.processors[CPU];
  Atomics.store(state, 0, STATE.RUNNING);
  const start = { id: CPU, cells: shared } as ProcessorStart;
  return { cells, state, start };
}

test('a thread that fails stands still', async () => {
  const { state, start } = rig();
  await assert.rejects(runProcessor(start, {} as Accelerator, {} as ProcessorHost));
  assert.equal(Atomics.load(state, 0), STATE.STOPPED);
});

test('the machine says in a sentence which CPU a failed thread had, and can end', async () => {
  const { cells, state, start } = rig();
  const failure = Promise.withResolvers<unknown>();
  const processors = new Processors({
    cells,
    vm: { kick() {} } as unknown as AcceleratedVm,
    board: {} as ProcessorBoard,
    host: {
      startThread: () => ({
        onMessage: undefined,
        ended: Promise.reject(new TypeError('no such thing\n    at here:1:2\n    at there:3:4')),
      }),
    } as unknown as MachineHost,
    startOf: () => start,
    onMessage() {},
    onFailure: failure.resolve,
  });
  processors.start();
  await assert.rejects(Promise.reject(await failure.promise), { code: 'THREAD', message: /CPU 1 failed \(no such thing at here:1:2\)/ });
  assert.equal(Atomics.load(state, 0), STATE.STOPPED);
  await processors.end();
});
