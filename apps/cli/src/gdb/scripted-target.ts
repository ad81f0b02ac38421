// A tiny machine for tests of the debugger's server: 64 KiB of memory and a CPU whose every instruction is one byte long and does nothing,
// but for 0x88, which stores AL at the address in RDI.

import type { VcpuDebug, VcpuExit } from '@anillo/accel/accelerator';
import type { GdbTarget } from './gdb-session.ts';

const MEMORY_BYTES = 0x10000;
const STORE = 0x88;
const SLICE_INSNS = 1000;

const littleEndian = (bytes: Uint8Array): bigint => Buffer.from(bytes).reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);

export class ScriptedTarget implements GdbTarget {
  readonly memory = new Uint8Array(MEMORY_BYTES).fill(0x90);
  readonly registers = new Map<string, Uint8Array>();
  readonly breakpoints = new Set<bigint>();
  readonly watchpoints = new Set<string>();
  onPause: GdbTarget['onPause'];
  running = false;
  /** Ends the loop for good. */
  ended = false;
  #pauseWanted: (() => void) | undefined;
  readonly cpus: readonly VcpuDebug[];
  /** Steps of the second vCPU, which does nothing else; its only register is RAX, the same number. */
  secondSteps = 0;

  constructor() {
    const general = [
      'rax',
      'rbx',
      'rcx',
      'rdx',
      'rsi',
      'rdi',
      'rbp',
      'rsp',
      'r8',
      'r9',
      'r10',
      'r11',
      'r12',
      'r13',
      'r14',
      'r15',
      'rip',
      'cr3',
    ];
    for (const name of general) this.registers.set(name, new Uint8Array(8));
    for (const name of ['eflags', 'cs', 'mxcsr']) this.registers.set(name, new Uint8Array(4));
    for (let index = 0; index < 16; index++) this.registers.set(`xmm${index}`, new Uint8Array(16));
    const inside = (at: bigint, count: number): boolean => at >= 0n && at + BigInt(count) <= BigInt(MEMORY_BYTES);
    const first: VcpuDebug = {
      architecture: 'i386:x86-64',
      readRegister: (name) => this.registers.get(name)?.slice(),
      writeRegister: (name, bytes) => {
        const register = this.registers.get(name);
        register?.set(bytes.subarray(0, register.length));
        return register !== undefined;
      },
      readMemory: (at, count) => (inside(at, count) ? this.memory.slice(Number(at), Number(at) + count) : undefined),
      writeMemory: (at, bytes) => {
        if (!inside(at, bytes.length)) return false;
        this.memory.set(bytes, Number(at));
        return true;
      },
      setBreakpoint: (at) => void this.breakpoints.add(at),
      clearBreakpoint: (at) => void this.breakpoints.delete(at),
      setWatchpoint: (at, count, kind) => void this.watchpoints.add(`${kind} ${at} ${count}`),
      clearWatchpoint: (at, count, kind) => void this.watchpoints.delete(`${kind} ${at} ${count}`),
    };
    const second: VcpuDebug = {
      ...first,
      readRegister: (name) => (name === 'rax' ? new Uint8Array([this.secondSteps, 0, 0, 0, 0, 0, 0, 0]) : undefined),
      writeRegister: () => false,
    };
    this.cpus = [first, second];
  }

  get pc(): bigint {
    return littleEndian(this.registers.get('rip') as Uint8Array);
  }

  set pc(value: bigint) {
    new DataView((this.registers.get('rip') as Uint8Array).buffer).setBigUint64(0, value % BigInt(MEMORY_BYTES), true);
  }

  pause(): Promise<void> {
    if (!this.running) return Promise.resolve();
    return new Promise((done) => {
      this.#pauseWanted = done;
    });
  }

  resume(): void {
    this.running = true;
    setImmediate(() => this.#slice(true));
  }

  step(cpu = 0): VcpuExit {
    if (cpu === 1) return { kind: 'debug', reason: 'step', address: BigInt(++this.secondSteps) };
    const at = this.pc;
    const stored = littleEndian(this.registers.get('rdi') as Uint8Array);
    const stores = this.memory[Number(at)] === STORE && stored < BigInt(MEMORY_BYTES);
    if (stores) this.memory[Number(stored)] = (this.registers.get('rax') as Uint8Array)[0];
    this.pc = at + 1n;
    if (stores && this.watchpoints.has(`write ${stored} 1`)) return { kind: 'debug', reason: 'watchpoint', address: stored };
    return { kind: 'debug', reason: 'step', address: this.pc };
  }

  /** As if a breakpoint, or nothing, had stopped that vCPU. */
  stop(exit: Parameters<NonNullable<GdbTarget['onPause']>>[0], cpu = 0): void {
    this.running = false;
    this.onPause?.(exit, cpu);
  }

  #slice(first: boolean): void {
    if (this.ended) return;
    if (this.#pauseWanted !== undefined) {
      const done = this.#pauseWanted;
      this.#pauseWanted = undefined;
      this.stop(undefined);
      done();
      return;
    }
    for (let count = 0; count < SLICE_INSNS; count++) {
      if (this.breakpoints.has(this.pc) && !(first && count === 0)) {
        this.stop({ kind: 'debug', reason: 'breakpoint', address: this.pc });
        return;
      }
      const exit = this.step();
      if (exit.kind === 'debug' && exit.reason === 'watchpoint') {
        this.stop(exit);
        return;
      }
    }
    setImmediate(() => this.#slice(false));
  }
}
