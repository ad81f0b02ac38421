// Runs one machine in a dedicated worker, so that the page stays its user's.

import { Machine } from 'anillo';
import type { FromWorker, ToWorker, WebMachineOptions } from './worker-messages.ts';

/** What is used of a worker's global scope, whose types and a page's do not go together. */
interface WorkerScope {
  postMessage(message: FromWorker): void;
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
}

const scope = globalThis as unknown as WorkerScope;
let machine: Machine | undefined;
let stopWanted = false;

async function sendOutput(output: ReadableStream<Uint8Array>): Promise<void> {
  const reader = output.getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    scope.postMessage({ kind: 'output', bytes: value });
  }
}

async function run(options: WebMachineOptions): Promise<void> {
  machine = await Machine.create(options);
  try {
    const sent = sendOutput(machine.serial.output);
    if (stopWanted) void machine.stop();
    else {
      machine.start();
      scope.postMessage({ kind: 'started', description: machine.bootDescription });
    }
    const { detail } = await machine.waitForExit();
    await sent;
    scope.postMessage({ kind: 'ended', detail });
  } finally {
    await machine[Symbol.asyncDispose]();
  }
}

/** Only while it runs: what is typed to a machine that has ended is nobody's. */
function tell(message: Exclude<ToWorker, { kind: 'start' }>): void {
  if (message.kind === 'stop') {
    stopWanted = true;
    void machine?.stop();
  } else if (machine?.state === 'running') {
    if (message.kind === 'type') machine.serial.write(message.bytes);
    else if (message.kind === 'power-button') machine.powerButton();
    else machine.reset();
  }
}

scope.onmessage = ({ data }) => {
  if (data.kind !== 'start') tell(data);
  else
    run(data.options).catch((error: unknown) =>
      scope.postMessage({ kind: 'failed', message: error instanceof Error ? error.message : String(error) }),
    );
};
