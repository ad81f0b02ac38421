// One debugger's connection: gdb's remote serial protocol over the debugging interfaces of the vCPUs (gdb manual, appendix "Remote Protocol").
// All-stop; each vCPU is a thread, counted from 1. The guest stands still except between a resume packet and the stop reply, and one vCPU steps while
// the others stand still.
//
//   stopped --c, s, vCont--> running --breakpoint, watchpoint, end of step, Ctrl-C--> stopped

import type { VcpuDebug, VcpuExit } from '@anillo/accel/accelerator';
import { AnilloError } from '@anillo/base/anillo-error';
import { type GdbDescription, gdbDescription } from './gdb-registers.ts';
import { PACKET_LIMIT_BYTES, PacketReader, unescapeBinary } from './packet-reader.ts';

type DebugExit = VcpuExit & { kind: 'debug' };

/** What the server needs of a machine. */
export interface GdbTarget {
  readonly cpus: readonly VcpuDebug[];
  /** Resolves when the guest stands still. */
  pause(): Promise<void>;
  resume(): void;
  /** One instruction of a vCPU, while paused. */
  step(cpu: number): VcpuExit;
  /** The guest stands still: by a breakpoint or watchpoint of a vCPU, or (undefined) by `pause`. */
  onPause: ((exit: DebugExit | undefined, cpu: number) => void) | undefined;
}

export interface GdbSessionEvents {
  send(text: string): void;
  /** The debugger is done: `kill` ends the machine, else it runs on. */
  end(kill: boolean): void;
}

const HEX = /^[0-9a-f]{1,16}$/i;
const ERROR_ARGUMENT = 'E16';
const ERROR_MEMORY = 'E0e';
const ERROR_STATE = 'E01';
/** A hexadecimal reply must fit a packet. */
const MEMORY_LIMIT_BYTES = PACKET_LIMIT_BYTES / 2 - 8;
const PAGE_BYTES = 4096;
const POINT_KINDS = ['software', 'hardware', 'write', 'read', 'access'] as const;
type PointKind = (typeof POINT_KINDS)[number];
const POINT_LIMIT = 1000;
const WATCH_WORDS = { write: 'watch', read: 'rwatch', access: 'awatch' } as const;

const toHex = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
const address = (text: string | undefined): bigint | undefined => (text !== undefined && HEX.test(text) ? BigInt(`0x${text}`) : undefined);
const length = (text: string | undefined): number => (text !== undefined && HEX.test(text) ? Number.parseInt(text, 16) : -1);

function bytesOfHex(text: string): Uint8Array | undefined {
  return text.length % 2 === 0 && /^[0-9a-f]*$/i.test(text) ? Buffer.from(text, 'hex') : undefined;
}

interface Point {
  readonly kind: PointKind;
  readonly at: bigint;
  readonly byteCount: number;
}

export class GdbSession {
  readonly #target: GdbTarget;
  readonly #events: GdbSessionEvents;
  readonly #description: GdbDescription;
  readonly #reader = new PacketReader();
  readonly #points = new Map<string, Point>();
  #acks = true;
  #running = false;
  #interrupted = false;
  #closed = false;
  #lastSent = '';
  #stopReply = 'T05thread:1;';
  /** The vCPU whose registers and memory are meant, and the one that `s` steps. */
  #selected = 0;
  #stepped = 0;
  #tellsBreakpoints = false;

  get #cpu(): VcpuDebug {
    return this.#target.cpus[this.#selected];
  }

  /** The target is paused already. */
  constructor(target: GdbTarget, events: GdbSessionEvents) {
    this.#target = target;
    this.#events = events;
    const wide = target.cpus[0].readRegister('rax') !== undefined;
    this.#description = gdbDescription(wide ? 'i386:x86-64' : 'i386');
    target.onPause = (exit, cpu) => this.#stopped(exit, cpu);
  }

  /** Bytes from the debugger. */
  receive(chunk: Uint8Array): void {
    for (const input of this.#reader.read(chunk)) {
      if (this.#closed) return;
      if (input.kind === 'interrupt') this.#interrupt();
      else if (input.kind === 'nack') this.#events.send(this.#lastSent);
      else if (input.kind === 'bad') {
        if (this.#acks) this.#events.send('-');
      } else if (input.kind === 'packet') this.#serve(input.body);
    }
  }

  /** Takes out what this debugger put in, and lets the guest run. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#target.onPause = undefined;
    try {
      for (const point of this.#points.values()) this.#apply(point, false);
    } catch (error) {
      if (!(error instanceof AnilloError)) throw error; // the machine has ended
    }
    this.#points.clear();
  }

  /** The machine has ended. */
  exited(status: number): void {
    if (this.#running) this.#send(`W${(status & 0xff).toString(16).padStart(2, '0')}`);
    this.close();
  }

  #send(body: string): void {
    let sum = 0;
    for (let at = 0; at < body.length; at++) sum += body.charCodeAt(at);
    this.#lastSent = `$${body}#${(sum & 0xff).toString(16).padStart(2, '0')}`;
    this.#events.send(this.#lastSent);
  }

  #serve(body: Uint8Array): void {
    if (this.#acks) this.#events.send('+');
    if (this.#running) return; // a debugger waits for the stop reply; what it sends before has no answer
    let reply: string | undefined;
    try {
      reply = this.#answer(Buffer.from(body).toString('latin1'), body);
    } catch (error) {
      if (!(error instanceof AnilloError)) throw error;
      this.#running = false;
      reply = ERROR_STATE; // the machine has ended under the debugger's hands
    }
    if (reply !== undefined) this.#send(reply);
  }

  /** The reply; '' for a packet that is not known; undefined when the reply comes later or not at all. */
  #answer(text: string, body: Uint8Array): string | undefined {
    const rest = text.slice(1);
    switch (text[0]) {
      case '?':
        return this.#stopReply;
      case 'g':
        return this.#description.registers.map((_, index) => this.#readRegister(index)).join('');
      case 'G':
        return this.#writeAllRegisters(rest);
      case 'p':
        return HEX.test(rest) && length(rest) < this.#description.registers.length ? this.#readRegister(length(rest)) : ERROR_ARGUMENT;
      case 'P': {
        const [index, value] = rest.split('=', 2);
        return this.#writeRegister(length(index), bytesOfHex(value ?? ''));
      }
      case 'm':
        return this.#readMemory(rest);
      case 'M': {
        const [range, data] = rest.split(':', 2);
        return this.#writeMemory(range, bytesOfHex(data ?? ''));
      }
      case 'X': {
        const colon = text.indexOf(':');
        return colon < 0 ? ERROR_ARGUMENT : this.#writeMemory(text.slice(1, colon), unescapeBinary(body.subarray(colon + 1)));
      }
      case 'Z':
      case 'z':
        return this.#changePoint(rest, text[0] === 'Z');
      case 'c':
      case 's':
        return this.#resumeAt(text[0], rest);
      case 'C':
      case 'S':
        return this.#resumeAt(text[0].toLowerCase(), rest.split(';')[1] ?? '');
      case 'H':
        return this.#select(rest);
      case 'T':
        return this.#cpuOf(rest) === undefined ? ERROR_ARGUMENT : 'OK';
      case 'D':
        this.#send('OK');
        this.#events.end(false);
        return undefined;
      case 'k':
        this.#events.end(true);
        return undefined;
      case 'v':
        return this.#answerV(text);
      case 'q':
      case 'Q':
        return this.#answerQuery(text);
      default:
        return '';
    }
  }

  /** The vCPU of a thread's number; 0 and -1 (any, all) are the one last stopped. Undefined: there is none. */
  #cpuOf(thread: string): number | undefined {
    if (thread === '0' || thread === '-1' || thread === '') return this.#selected;
    const cpu = length(thread) - 1;
    return cpu >= 0 && cpu < this.#target.cpus.length ? cpu : undefined;
  }

  #select(text: string): string {
    const cpu = this.#cpuOf(text.slice(1));
    if (cpu === undefined) return ERROR_ARGUMENT;
    if (text[0] === 'g') this.#selected = cpu;
    else this.#stepped = cpu;
    return 'OK';
  }

  #answerV(text: string): string | undefined {
    if (text === 'vCont?') return 'vCont;c;C;s;S';
    if (text.startsWith('vCont;')) return this.#resumeThreads(text.slice(6).split(';'));
    if (text.startsWith('vKill')) {
      this.#send('OK');
      this.#events.end(true);
      return undefined;
    }
    return '';
  }

  #answerQuery(text: string): string | undefined {
    if (text.startsWith('qSupported')) {
      this.#tellsBreakpoints = text.includes('swbreak+') && text.includes('hwbreak+');
      return `PacketSize=${PACKET_LIMIT_BYTES.toString(16)};qXfer:features:read+;QStartNoAckMode+;vContSupported+;swbreak+;hwbreak+`;
    }
    if (text === 'QStartNoAckMode') {
      this.#send('OK');
      this.#acks = false;
      return undefined;
    }
    if (text === 'qC') return `QC${(this.#selected + 1).toString(16)}`;
    if (text === 'qfThreadInfo') return `m${this.#target.cpus.map((_, cpu) => (cpu + 1).toString(16)).join(',')}`;
    if (text === 'qsThreadInfo') return 'l';
    if (text.startsWith('qThreadExtraInfo,')) {
      const cpu = this.#cpuOf(text.slice(17));
      return cpu === undefined ? ERROR_ARGUMENT : toHex(Buffer.from(`CPU ${cpu}`, 'latin1'));
    }
    if (text.startsWith('qAttached')) return '1';
    if (text.startsWith('qSymbol')) return 'OK';
    const xml = /^qXfer:features:read:target\.xml:([0-9a-f]{1,8}),([0-9a-f]{1,8})$/i.exec(text);
    if (xml !== null) return this.#slice(this.#description.targetXml, Number.parseInt(xml[1], 16), Number.parseInt(xml[2], 16));
    return '';
  }

  #slice(document: string, from: number, byteCount: number): string {
    const part = document.slice(from, from + Math.min(byteCount, PACKET_LIMIT_BYTES - 16));
    return `${from + part.length < document.length ? 'm' : 'l'}${part}`;
  }

  #readRegister(index: number): string {
    const { name, bits } = this.#description.registers[index];
    const bytes = this.#cpu.readRegister(name);
    if (bytes === undefined) return 'xx'.repeat(bits / 8);
    const padded = new Uint8Array(bits / 8);
    padded.set(bytes.subarray(0, padded.length));
    return toHex(padded);
  }

  #writeRegister(index: number, bytes: Uint8Array | undefined): string {
    const register = this.#description.registers[index];
    if (register === undefined || bytes?.length !== register.bits / 8) return ERROR_ARGUMENT;
    return this.#cpu.writeRegister(register.name, bytes) ? 'OK' : ERROR_ARGUMENT;
  }

  /** A register that cannot be written keeps its value; gdb sends all of them to change one. */
  #writeAllRegisters(text: string): string {
    let at = 0;
    this.#description.registers.forEach((register, index) => {
      const digits = text.slice(at, at + register.bits / 4);
      at += register.bits / 4;
      if (digits.length === register.bits / 4) this.#writeRegister(index, bytesOfHex(digits));
    });
    return text.length <= at ? 'OK' : ERROR_ARGUMENT;
  }

  /** As much as is mapped, at least one byte. */
  #readMemory(range: string): string {
    const [start, count] = range.split(',', 2);
    const at = address(start);
    const byteCount = Math.min(length(count), MEMORY_LIMIT_BYTES);
    if (at === undefined || byteCount < 0) return ERROR_ARGUMENT;
    const parts: string[] = [];
    for (let done = 0; done < byteCount; ) {
      const here = BigInt.asUintN(64, at + BigInt(done));
      const upToPage = PAGE_BYTES - Number(here & BigInt(PAGE_BYTES - 1));
      const bytes = this.#cpu.readMemory(here, Math.min(upToPage, byteCount - done));
      if (bytes === undefined) break;
      parts.push(toHex(bytes));
      done += bytes.length;
    }
    return parts.length === 0 && byteCount > 0 ? ERROR_MEMORY : parts.join('');
  }

  #writeMemory(range: string, bytes: Uint8Array | undefined): string {
    const [start, count] = range.split(',', 2);
    const at = address(start);
    if (at === undefined || bytes === undefined || length(count) !== bytes.length) return ERROR_ARGUMENT;
    return bytes.length === 0 || this.#cpu.writeMemory(at, bytes) ? 'OK' : ERROR_MEMORY;
  }

  #changePoint(text: string, insert: boolean): string {
    const [type, start, count] = text.split(/[,;]/, 3);
    const kind = POINT_KINDS[Number(type)];
    const at = address(start);
    const byteCount = length(count);
    if (kind === undefined) return '';
    if (at === undefined || byteCount < 0 || byteCount > PAGE_BYTES) return ERROR_ARGUMENT;
    const point: Point = { kind, at, byteCount };
    const key = `${kind} ${at} ${byteCount}`;
    if (insert === this.#points.has(key)) return 'OK';
    if (insert && this.#points.size >= POINT_LIMIT) return ERROR_ARGUMENT;
    if (insert) this.#points.set(key, point);
    else this.#points.delete(key);
    this.#apply(point, insert);
    return 'OK';
  }

  #apply({ kind, at, byteCount }: Point, insert: boolean): void {
    const isWatch = kind !== 'software' && kind !== 'hardware';
    for (const cpu of this.#target.cpus) {
      if (isWatch && insert) cpu.setWatchpoint(at, byteCount, kind);
      else if (isWatch) cpu.clearWatchpoint(at, byteCount, kind);
      else if (insert) cpu.setBreakpoint(at);
      else if (!this.#hasBreakpoint(at)) cpu.clearBreakpoint(at);
    }
  }

  #hasBreakpoint(at: bigint): boolean {
    return (
      !this.#closed &&
      [...this.#points.values()].some((point) => point.at === at && (point.kind === 'software' || point.kind === 'hardware'))
    );
  }

  /** `vCont`: the first action for a thread is the one that counts. Is one to step, that is done; else all go on. */
  #resumeThreads(actions: readonly string[]): string | undefined {
    for (const action of actions) {
      const [what, thread = ''] = action.split(':', 2);
      const cpu = this.#cpuOf(thread);
      if (cpu === undefined) return ERROR_ARGUMENT;
      if (what[0]?.toLowerCase() === 's') {
        this.#stepped = cpu;
        return this.#resumeAt('s', '');
      }
    }
    return this.#resumeAt(actions[0].charAt(0).toLowerCase(), '');
  }

  #resumeAt(action: string, start: string): string | undefined {
    if (action !== 'c' && action !== 's') return ERROR_ARGUMENT;
    if (start !== '') {
      const pc = address(start);
      if (pc === undefined) return ERROR_ARGUMENT;
      const bytes = new Uint8Array(8);
      new DataView(bytes.buffer).setBigUint64(0, pc, true);
      this.#cpu.writeRegister(this.#description.pc, bytes.subarray(0, this.#description.pc === 'eip' ? 4 : 8));
    }
    if (action === 's') {
      const exit = this.#target.step(this.#stepped);
      this.#selected = this.#stepped;
      this.#stopReply = exit.kind === 'debug' && exit.reason !== 'step' ? this.#describe(exit) : `T05${this.#thread}`;
      return this.#stopReply;
    }
    this.#running = true;
    this.#target.resume();
    return undefined;
  }

  #interrupt(): void {
    if (!this.#running) return;
    this.#interrupted = true;
    // Rejects when the machine has ended meanwhile; `exited` reports that.
    this.#target.pause().catch(() => {});
  }

  #stopped(exit: DebugExit | undefined, cpu: number): void {
    if (!this.#running) return;
    this.#running = false;
    this.#selected = this.#stepped = cpu;
    const signal = this.#interrupted ? 'T02' : 'T05';
    this.#stopReply = exit === undefined ? `${signal}${this.#thread}` : this.#describe(exit);
    this.#interrupted = false;
    this.#send(this.#stopReply);
  }

  get #thread(): string {
    return `thread:${(this.#selected + 1).toString(16)};`;
  }

  #describe({ reason, address: at }: DebugExit): string {
    const points = [...this.#points.values()];
    if (reason === 'watchpoint') {
      const point = points.find(({ kind, at: start, byteCount }) => kind in WATCH_WORDS && at >= start && at < start + BigInt(byteCount));
      const word = point === undefined ? 'watch' : WATCH_WORDS[point.kind as keyof typeof WATCH_WORDS];
      return `T05${word}:${(point?.at ?? at).toString(16)};${this.#thread}`;
    }
    const point = points.find((candidate) => candidate.at === at && (candidate.kind === 'software' || candidate.kind === 'hardware'));
    const word = point !== undefined && this.#tellsBreakpoints ? `${point.kind === 'software' ? 'swbreak' : 'hwbreak'}:;` : '';
    return `T05${word}${this.#thread}`;
  }
}
