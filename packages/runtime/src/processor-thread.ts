// The script of a thread that runs one vCPU. It loads nothing of Node but `node:worker_threads`: see host-thread.ts.

import { createWasmAccelerator } from '@anillo/accel-wasm/wasm-accelerator';
import { hostNowNs, hostWallMs, threadNs } from '@anillo/host-node/host-clock';
import { threadEnd } from '@anillo/host-node/host-thread';
import { X86 } from '@anillo/isa-x86/frontend';
import { type ProcessorStart, runProcessor } from '@anillo/machine/smp/processor-thread';
import { parseCpu } from './cpu-choice.ts';
import { keyStream } from './key-stream.ts';
import { randomWords } from './random-words.ts';

/** The thread's data. */
export interface ProcessorThreadData {
  readonly start: ProcessorStart;
  readonly randomKey: Uint32Array<ArrayBuffer>;
}

const { data, post, run } = threadEnd<ProcessorThreadData>();
const yieldToHost = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const accelerator = createWasmAccelerator(X86, {
  cpuConfig: (text, id, count) => ({
    model: parseCpu(text),
    id,
    count,
    random: randomWords(keyStream(data.randomKey)),
    wallClockMs: hostWallMs,
  }),
});
run(() => runProcessor(data.start, accelerator, { nowNs: hostNowNs, wallMs: hostWallMs, threadNs, yieldToHost, post }));
