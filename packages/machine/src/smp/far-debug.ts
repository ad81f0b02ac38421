// The debugger's view of a vCPU on another thread, which stands still: calls go there by the machine's common call cells, as JSON, and are waited for.

import type { VcpuDebug, VcpuExit } from '@anillo/accel/accelerator';
import { struct, type View } from '@anillo/base/struct';

const CALL_LENGTH = 0x4000;
/** A hexadecimal text of it must fit beside the rest of a call. */
const PIECE_BYTES = 4096;

/** `target`: the vCPU that is called, 0 (which is never called) once it has answered. */
export const CALL = struct({ target: ['i32', 1], length: 'i32', text: ['u16', CALL_LENGTH] });
export type CallCells = View<(typeof CALL)['spec']>;

/** Who is called: the vCPU's debugging interface, and a step. */
interface Called extends VcpuDebug {
  step(): VcpuExit;
}
type Method = keyof Called;

const hexOf = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
const bytesOf = (hex: string): Uint8Array => Uint8Array.from(hex.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));

const plain = (_key: string, value: unknown): unknown => {
  if (typeof value === 'bigint') return { integer: String(value) };
  return value instanceof Uint8Array ? { hex: hexOf(value) } : value;
};
const revive = (_key: string, value: unknown): unknown => {
  const { integer, hex } = (value ?? {}) as { integer?: string; hex?: string };
  if (typeof integer === 'string') return BigInt(integer);
  return typeof hex === 'string' ? bytesOf(hex) : value;
};

function put(cells: CallCells, message: unknown): void {
  const text = JSON.stringify(message, plain);
  for (let i = 0; i < text.length; i++) cells.text[i] = text.charCodeAt(i);
  cells.length = text.length;
}
const take = (cells: CallCells): unknown => JSON.parse(String.fromCharCode(...cells.text.subarray(0, cells.length)), revive);

/** On the called vCPU's thread: carries out what waits for it. Was there something? */
export function answerCall(cells: CallCells, id: number, debug: VcpuDebug, step: () => VcpuExit): boolean {
  if (Atomics.load(cells.target, 0) !== id) return false;
  const { method, args } = take(cells) as { method: Method; args: never[] };
  const member: unknown = method === 'step' ? step : debug[method];
  put(cells, { result: typeof member === 'function' ? member.apply(debug, args) : member });
  Atomics.store(cells.target, 0, 0);
  return true;
}

export interface FarDebugOptions {
  readonly id: number;
  readonly cells: CallCells;
  /** Has all stand still, asks, and has the vCPU's thread answer: comes back once `isDone`. Throws, without asking, where there is no such thread. */
  readonly reach: (ask: () => void, isDone: () => boolean) => void;
}

export class FarDebug implements Called {
  readonly #o: FarDebugOptions;
  readonly #breakpoints = new Set<bigint>();

  constructor(options: FarDebugOptions) {
    this.#o = options;
  }

  #call(method: Method, ...args: unknown[]): unknown {
    const { id, cells, reach } = this.#o;
    const ask = (): void => {
      put(cells, { method, args });
      Atomics.store(cells.target, 0, id);
    };
    reach(ask, () => Atomics.load(cells.target, 0) === 0);
    return (take(cells) as { result?: unknown }).result;
  }

  get architecture(): string {
    return this.#call('architecture') as string;
  }
  readRegister(name: string): Uint8Array | undefined {
    return this.#call('readRegister', name) as Uint8Array | undefined;
  }
  writeRegister(name: string, bytes: Uint8Array): boolean {
    return this.#call('writeRegister', name, bytes) as boolean;
  }
  readMemory(linear: bigint, byteCount: number): Uint8Array | undefined {
    const all = new Uint8Array(byteCount);
    for (let done = 0; done < byteCount; done += PIECE_BYTES) {
      const piece = this.#call('readMemory', linear + BigInt(done), Math.min(PIECE_BYTES, byteCount - done));
      if (piece === undefined) return undefined;
      all.set(piece as Uint8Array, done);
    }
    return all;
  }
  writeMemory(linear: bigint, bytes: Uint8Array): boolean {
    for (let done = 0; done < bytes.length; done += PIECE_BYTES) {
      if (this.#call('writeMemory', linear + BigInt(done), bytes.subarray(done, done + PIECE_BYTES)) !== true) return false;
    }
    return true;
  }
  hasBreakpoint(linear: bigint): boolean {
    return this.#breakpoints.has(BigInt.asUintN(64, linear));
  }
  setBreakpoint(linear: bigint): void {
    this.#breakpoints.add(BigInt.asUintN(64, linear));
    this.#call('setBreakpoint', linear);
  }
  clearBreakpoint(linear: bigint): void {
    this.#breakpoints.delete(BigInt.asUintN(64, linear));
    this.#call('clearBreakpoint', linear);
  }
  setWatchpoint(...args: Parameters<VcpuDebug['setWatchpoint']>): void {
    this.#call('setWatchpoint', ...args);
  }
  clearWatchpoint(...args: Parameters<VcpuDebug['clearWatchpoint']>): void {
    this.#call('clearWatchpoint', ...args);
  }
  step(): VcpuExit {
    return this.#call('step') as VcpuExit;
  }
}
