// Runs cases on the host CPU itself: koffi maps an arena, and the machine code of host-trampoline.s in it forks a child that runs a whole
// batch at each command. The child has the low 4 GiB to itself and no V8 signal handler, can only read, write and exit (seccomp), and a case that
// kills it or never ends is reported as 'died' and stepped over by a new child.

import type { Executor } from './executor.ts';
import { TRAMPOLINE } from './host-trampoline.ts';
import { CODE_AREA_BYTES, CODE_BASE, READ_ONLY_BYTES, readOnlyPage, UD2 } from './memory-map.ts';
import {
  CASE_CODE,
  CASE_CODE_BYTES,
  CASE_CODE_CAPACITY,
  CASE_CODE_OFFSET,
  CASE_DATA,
  CASE_STRIDE,
  codeOffset,
  IMAGE,
  IMAGE_BYTES,
  NO_FAULT,
  RESULT_DATA,
  RESULT_STRIDE,
  setU32,
  setU64,
  type TestCase,
  type TestResult,
  u32,
  u64,
} from './test-case.ts';

const BATCH_CASES = 1024;
const ARENA_BYTES = 0x20000;
const CONTROL = 0x2000;
const SIGNAL_STACK_BYTES = 0x18000;
/** SA_SIGINFO | SA_RESTORER | SA_ONSTACK | SA_NODEFER: the handler leaves without sigreturn, so no signal may stay masked. */
const ACTION_FLAGS = 0x4n | 0x0400_0000n | 0x0800_0000n | 0x4000_0000n;
/** All but SIGILL, SIGTRAP, SIGBUS, SIGFPE and SIGSEGV. */
const BLOCKED_SIGNALS = ~((1n << 3n) | (1n << 4n) | (1n << 6n) | (1n << 7n) | (1n << 10n));
/** A batch takes some milliseconds. */
const WATCHDOG_MS = 5000;
const SELECTOR = { code64: 0x33n, code32: 0x23n, data: 0x2bn } as const;
const PROT = { read: 1, write: 2, execute: 4 } as const;
const MAP_SHARED = 1;
const MAP_ANONYMOUS = 0x20;
const O_CLOEXEC = 0o2000000;
const MFD_CLOEXEC = 1;
const POLLIN = 1;
const SIGKILL = 9;
/** #UD. */
const UNDEFINED = 6;
/** __WALL: the child was made without an exit signal. */
const WAIT_ALL = 0x4000_0000;

/** Fields of the control block; host-trampoline.s has the same list. */
const CONTROL_FIELD = {
  caseCount: 0,
  caseIndex: 8,
  caseTable: 16,
  resultTable: 24,
  codeFile: 32,
  codeAlias: 40,
  setupStep: 48,
  setupError: 56,
  commandPipe: 88,
  replyPipe: 96,
  actionFlags: 136,
  signalStackBytes: 176,
  blockedSignals: 192,
} as const;
const SETUP_DONE = 12n;

interface Mapping {
  readonly address: bigint;
  readonly view: Uint8Array;
}

/** A child and this side's ends of its pipes. */
interface Child {
  readonly pid: number;
  readonly command: number;
  readonly reply: number;
}

interface NativeCalls {
  /** `file` -1: anonymous, shared with children. */
  map(bytes: number, file: number): Mapping;
  unmap(mapping: Mapping): void;
  protect(address: bigint, bytes: number, protection: number): void;
  createFile(bytes: number): number;
  closeFile(file: number): void;
  /** Calls the trampoline's entry with new pipes, whose four descriptors it writes to `control`. */
  fork(entry: bigint, control: Uint8Array): Child;
  /** Sends a command and waits for the reply: whether one came in time. */
  command(child: Child): boolean;
  /** Kills the child (if it has not ended) and returns its wait status. */
  end(child: Child): number;
}

async function nativeCalls(): Promise<NativeCalls> {
  const { default: koffi } = await import('koffi');
  const libc = koffi.load('libc.so.6');
  const mmap = libc.func('void *mmap(void *address, size_t bytes, int protection, int flags, int file, int64_t offset)');
  const munmap = libc.func('int munmap(void *address, size_t bytes)');
  const mprotect = libc.func('int mprotect(void *address, size_t bytes, int protection)');
  const memfdCreate = libc.func('int memfd_create(const char *name, unsigned int flags)');
  const ftruncate = libc.func('int ftruncate(int file, int64_t bytes)');
  const close = libc.func('int close(int file)');
  const pipe2 = libc.func('int pipe2(int *ends, int flags)');
  const read = libc.func('int64_t read(int file, void *bytes, size_t count)');
  const write = libc.func('int64_t write(int file, void *bytes, size_t count)');
  const poll = libc.func('int poll(void *entries, unsigned long count, int timeoutMs)');
  const kill = libc.func('int kill(int pid, int signal)');
  const waitpid = libc.func('int waitpid(int pid, int *status, int options)');
  const entry = koffi.proto('int ()');
  const need = (ok: boolean, what: string): void => {
    if (!ok) throw new Error(`${what} failed with errno ${koffi.errno()}; the host executor needs it, run without the differential tests.`);
  };
  const pipe = (): Int32Array => {
    const ends = new Int32Array(2);
    need(pipe2(ends, O_CLOEXEC) === 0, 'pipe2');
    return ends;
  };
  const message = new Uint8Array(1);
  return {
    map(bytes, file) {
      const address: bigint = mmap(null, bytes, PROT.read | PROT.write, file < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED, file, 0);
      need(BigInt.asIntN(64, address) !== -1n, 'mmap');
      return { address, view: new Uint8Array(koffi.view(address, bytes)) };
    },
    unmap: ({ address, view }) => need(munmap(address, view.length) === 0, 'munmap'),
    protect: (address, bytes, protection) => need(mprotect(address, bytes, protection) === 0, 'mprotect'),
    createFile(bytes) {
      const file: number = memfdCreate('differential-code', MFD_CLOEXEC);
      need(file >= 0 && ftruncate(file, bytes) === 0, 'memfd_create');
      return file;
    },
    closeFile: (file) => need(close(file) === 0, 'close'),
    fork(address, control) {
      const command = pipe();
      const reply = pipe();
      for (let i = 0; i < 2; i++) {
        setU32(control, CONTROL_FIELD.commandPipe + 4 * i, command[i]);
        setU32(control, CONTROL_FIELD.replyPipe + 4 * i, reply[i]);
      }
      const pid: number = koffi.call(address, entry);
      need(pid > 0, `fork (${pid})`);
      need(close(command[0]) === 0 && close(reply[1]) === 0, 'close');
      return { pid, command: command[1], reply: reply[0] };
    },
    command(child) {
      if (write(child.command, message, 1) !== 1) return false;
      const entries = new Uint8Array(8);
      setU32(entries, 0, child.reply);
      entries[4] = POLLIN;
      let ready: number;
      do ready = poll(entries, 1, WATCHDOG_MS);
      while (ready < 0 && koffi.errno() === koffi.os.errno.EINTR);
      return ready === 1 && read(child.reply, message, 1) === 1;
    },
    end(child) {
      const status = new Int32Array(1);
      kill(child.pid, SIGKILL);
      need(waitpid(child.pid, status, WAIT_ALL) === child.pid, 'waitpid');
      need(close(child.command) === 0 && close(child.reply) === 0, 'close');
      return status[0];
    },
  };
}

function writeCase(record: Uint8Array, c: TestCase): void {
  record.set(c.state, 0);
  const image = record.subarray(0, IMAGE_BYTES);
  setU64(image, IMAGE.rip, BigInt(c.codeAddress));
  setU64(image, IMAGE.cs, c.mode === 64 ? SELECTOR.code64 : SELECTOR.code32);
  setU64(image, IMAGE.ss, SELECTOR.data);
  setU64(image, IMAGE.iretRsp, u64(image, IMAGE.gpr + 32));
  const room = CODE_BASE + CODE_AREA_BYTES - c.codeAddress;
  const bytes = Math.min(c.code.length + UD2.length, room);
  if (c.code.length + UD2.length > CASE_CODE_CAPACITY) throw new Error(`case ${c.index} has ${c.code.length} bytes of code; shorten it.`);
  record.set(c.code, CASE_CODE);
  record.set(UD2, CASE_CODE + c.code.length);
  setU64(record, CASE_CODE_OFFSET, BigInt(codeOffset(c)));
  setU64(record, CASE_CODE_BYTES, BigInt(bytes));
  record.set(c.data, CASE_DATA);
}

function readResult(record: Uint8Array, c: TestCase): TestResult {
  const state = record.slice(0, IMAGE_BYTES);
  const data = record.slice(RESULT_DATA, RESULT_STRIDE);
  const isEnd = u32(state, IMAGE.vector) === UNDEFINED && Number(u64(state, IMAGE.rip)) === c.codeAddress + c.code.length;
  if (isEnd) setU32(state, IMAGE.vector, NO_FAULT);
  return { outcome: isEnd ? 'end' : 'fault', state, data };
}

const died = (note: string): TestResult => ({
  outcome: 'died',
  state: new Uint8Array(IMAGE_BYTES),
  data: new Uint8Array(RESULT_STRIDE - RESULT_DATA),
  note,
});

class HostExecutor implements Executor {
  readonly name = 'host';
  readonly #native: NativeCalls;
  readonly #arena: Mapping;
  readonly #cases: Mapping;
  readonly #results: Mapping;
  readonly #code: Mapping;
  readonly #file: number;
  readonly #control: Uint8Array;
  #child: Child | undefined;

  constructor(native: NativeCalls) {
    this.#native = native;
    this.#arena = native.map(ARENA_BYTES, -1);
    this.#cases = native.map(BATCH_CASES * CASE_STRIDE, -1);
    this.#results = native.map(BATCH_CASES * RESULT_STRIDE, -1);
    this.#file = native.createFile(CODE_AREA_BYTES + READ_ONLY_BYTES);
    this.#code = native.map(CODE_AREA_BYTES + READ_ONLY_BYTES, this.#file);
    this.#code.view.set(readOnlyPage(), CODE_AREA_BYTES);
    this.#arena.view.set(TRAMPOLINE, 0);
    native.protect(this.#arena.address, CONTROL, PROT.read | PROT.execute);
    this.#control = this.#arena.view.subarray(CONTROL);
    this.#set('caseTable', this.#cases.address);
    this.#set('resultTable', this.#results.address);
    this.#set('codeFile', BigInt(this.#file));
    this.#set('codeAlias', this.#code.address);
    this.#set('actionFlags', ACTION_FLAGS);
    this.#set('signalStackBytes', BigInt(SIGNAL_STACK_BYTES));
    this.#set('blockedSignals', BLOCKED_SIGNALS);
  }

  #set(field: keyof typeof CONTROL_FIELD, value: bigint): void {
    setU64(this.#control, CONTROL_FIELD[field], value);
  }

  #get(field: keyof typeof CONTROL_FIELD): bigint {
    return u64(this.#control, CONTROL_FIELD[field]);
  }

  run(cases: readonly TestCase[]): TestResult[] {
    const results: TestResult[] = [];
    for (let first = 0; first < cases.length; first += BATCH_CASES) this.#runBatch(cases.slice(first, first + BATCH_CASES), results);
    return results;
  }

  #runBatch(cases: readonly TestCase[], results: TestResult[]): void {
    const record = this.#cases.view;
    for (let i = 0; i < cases.length; i++) writeCase(record.subarray(i * CASE_STRIDE, (i + 1) * CASE_STRIDE), cases[i]);
    this.#set('caseCount', BigInt(cases.length));
    for (let next = 0; next < cases.length; ) {
      this.#set('caseIndex', BigInt(next));
      this.#child ??= this.#native.fork(this.#arena.address, this.#control);
      const replied = this.#native.command(this.#child);
      const stopped = Number(this.#get('caseIndex'));
      for (let i = next; i < stopped; i++)
        results.push(readResult(this.#results.view.subarray(i * RESULT_STRIDE, (i + 1) * RESULT_STRIDE), cases[i]));
      next = stopped;
      if (replied) continue;
      results.push(died(this.#buryChild()));
      next++;
    }
  }

  /** Ends a child that has not replied, and tells what became of it. */
  #buryChild(): string {
    const status = this.#child === undefined ? 0 : this.#native.end(this.#child);
    this.#child = undefined;
    this.#code.view.fill(0, 0, CODE_AREA_BYTES);
    const step = this.#get('setupStep');
    if (step !== SETUP_DONE) {
      throw new Error(
        `the host executor's child failed in step ${step} with errno ${-BigInt.asIntN(64, this.#get('setupError'))}; see host-trampoline.s.`,
      );
    }
    return `the child ended with wait status 0x${status.toString(16)}`;
  }

  [Symbol.dispose](): void {
    if (this.#child !== undefined) this.#native.end(this.#child);
    this.#child = undefined;
    for (const mapping of [this.#arena, this.#cases, this.#results, this.#code]) this.#native.unmap(mapping);
    this.#native.closeFile(this.#file);
  }
}

/** The host executor, or the reason why this host has none. */
export async function createHostExecutor(): Promise<Executor | string> {
  if (process.platform !== 'linux' || process.arch !== 'x64') return `the host is ${process.platform} on ${process.arch}, not Linux on x64`;
  let native: NativeCalls;
  try {
    native = await nativeCalls();
  } catch (error) {
    return `koffi does not load: ${error instanceof Error ? error.message : String(error)}`;
  }
  return new HostExecutor(native);
}
