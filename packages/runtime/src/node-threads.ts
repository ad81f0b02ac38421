// Threads for vCPUs as Node gives them.

import { randomFillSync } from 'node:crypto';
import { startThread } from '@anillo/host-node/host-thread';
import type { HostThread } from '@anillo/machine/machine-host';
import type { ProcessorThreadData } from './processor-thread.ts';

const KEY_WORDS = 8;

export function startProcessorThread(start: unknown): HostThread {
  const data = { start, randomKey: randomFillSync(new Uint32Array(KEY_WORDS)) } as ProcessorThreadData;
  return startThread(import.meta.resolve('anillo/processor-thread'), data);
}
