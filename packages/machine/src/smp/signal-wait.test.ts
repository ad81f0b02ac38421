import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { SignalWait } from './signal-wait.ts';

const nowNs = (): number => performance.now() * 1e6;

test('a wait ends when the time is over, and not at all begins when the signal has changed', () => {
  const signal = new Int32Array(new SharedArrayBuffer(4));
  const wait = new SignalWait(signal, nowNs);
  const start = nowNs();
  assert.equal(wait.wait(0, 3e6), false);
  assert.ok(nowNs() - start >= 3e6);
  // Short ones make it look before it sleeps.
  for (let turn = 0; turn < 100; turn++) assert.equal(wait.wait(0, 20_000), false);
  assert.equal(wait.wait(1, Infinity), true);
  assert.equal(wait.wait(0, -1), false);
});

test('another thread ends a wait', async () => {
  const signal = new Int32Array(new SharedArrayBuffer(4));
  const wait = new SignalWait(signal, nowNs);
  const script = `const { workerData } = require('node:worker_threads');
    Atomics.wait(workerData, 0, 1, 5);
    for (let turn = 0; turn < 200; turn++) {
      Atomics.wait(workerData, 0, turn * 2, 1000);
      Atomics.store(workerData, 0, turn * 2 + 2);
      Atomics.notify(workerData, 0);
    }`;
  const worker = new Worker(script, { eval: true, workerData: signal });
  for (let turn = 0; turn < 200; turn++) {
    const seen = turn * 2;
    if (Atomics.compareExchange(signal, 0, seen, seen + 1) === seen) Atomics.notify(signal, 0);
    while (Atomics.load(signal, 0) < seen + 2) wait.wait(seen + 1, Infinity);
  }
  await new Promise((resolve) => worker.on('exit', resolve));
});
