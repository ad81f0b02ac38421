// A thread as Node.js gives it: a worker that runs a script with data, sends messages, and tells how it ended. Whatever goes wrong there is sent as text:
// by Node's own way an error is handed over as an object, which needs more of Node than a thread can load in a process that began from a start-up snapshot
// (the process would end). For the same reason scripts should load nothing of Node but `node:worker_threads`.

export interface NodeThread {
  onMessage: ((message: unknown) => void) | undefined;
  /** Resolves when it has ended by itself, rejects when it has failed. */
  readonly ended: Promise<void>;
}

/** Node's module, not loaded before it is needed: a start-up snapshot should not hold it. */
const threads = () => process.getBuiltinModule('node:worker_threads');

const PRELUDE = `
const { parentPort, workerData } = require('node:worker_threads');
const fail = (error) => { parentPort.postMessage({ failure: String(error?.stack ?? error) }); process.exit(1); };
process.on('uncaughtException', fail);
import(workerData.script).catch(fail);`;

/** Runs the script (a file: URL), which calls `threadEnd`. */
export function startThread(script: string, data: unknown): NodeThread {
  const worker = new (threads().Worker)(PRELUDE, { eval: true, workerData: { script, data } });
  const ended = Promise.withResolvers<void>();
  const thread: NodeThread = { onMessage: undefined, ended: ended.promise };
  worker.on('message', ({ failure, message }: { failure?: string; message?: unknown }) => {
    if (failure === undefined) thread.onMessage?.(message);
    else ended.reject(new TypeError(failure));
  });
  worker.on('error', (error) => ended.reject(error));
  worker.on('exit', () => ended.resolve());
  return thread;
}

export interface ThreadEnd<D> {
  readonly data: D;
  post(message: unknown): void;
  /** The thread's work; the thread ends after it. */
  run(work: () => Promise<void>): void;
}

/** The other end, on the thread. */
export function threadEnd<D>(): ThreadEnd<D> {
  const { parentPort, workerData } = threads();
  return {
    data: (workerData as { data: D }).data,
    post: (message) => parentPort?.postMessage({ message }),
    run(work) {
      work().catch((error: unknown) => {
        const failure = error instanceof Error ? error.stack : String(error);
        parentPort?.postMessage({ failure });
      });
    },
  };
}
