// A vCPU over plain RAM, for tests of the system level: no devices, no translator.

import type { InterruptPort, VcpuPorts } from '@anillo/ir/frontend';
import { createContext, type X86Config } from './context.ts';
import type { X86Context } from './helper-map.ts';
import { CR0, CR4, EFER, syncMode } from './mode.ts';
import { resetState } from './reset-state.ts';
import { setSegment } from './segments.ts';
import { CS, DS, ES, FS, GS, LDTR, SS, TR } from './state.ts';
import { setSignedField, setWord, setWords, WORD } from './state-words.ts';

export const RAM_OFFSET = 0x2_0000;
export const RAM_BYTES = 0x40_0000;

export interface Bench {
  readonly cpu: X86Context;
  readonly ram: DataView;
  /** What the CPU asked of its ports. */
  readonly log: { flushes: number; portWrites: [number, number, number][]; apic: Map<number, { low: number; high: number }>; priority: number; nowNs: number };
}

export function makeBench(config: X86Config = {}): Bench {
  const buffer = new ArrayBuffer(RAM_OFFSET + RAM_BYTES);
  const log: Bench['log'] = { flushes: 0, portWrites: [], apic: new Map(), priority: 0, nowNs: 1000 };
  const interrupts: InterruptPort = {
    isPending: () => false,
    acknowledge: () => -1,
    readRegister: (index) => log.apic.get(index),
    writeRegister: (index, low, high) => (log.apic.set(index, { low, high }), true),
    getTaskPriority: () => log.priority,
    setTaskPriority: (priority) => {
      log.priority = priority;
    },
  };
  const ports: VcpuPorts = {
    buffer,
    state: 0,
    ramAt: (gpa, byteCount) => (gpa >= 0 && gpa + byteCount <= RAM_BYTES ? RAM_OFFSET + gpa : -1),
    readPhysical: () => 0xffff_ffff,
    writePhysical: () => {},
    readPort: (port) => port & 0xff,
    writePort: (port, byteCount, value) => log.portWrites.push([port, byteCount, value]),
    flushTlb: () => {
      log.flushes++;
    },
    selectAddressSpace: () => {
      log.flushes++;
    },
    flushAddressSpace: () => {
      log.flushes++;
    },
    flushTlbPage: () => {
      log.flushes++;
    },
    pause: () => {},
    requestExit: () => {},
    nowNs: () => log.nowNs,
    interrupts,
  };
  const cpu = createContext(ports, config);
  for (const tlbClass of [0, 1, 2]) setWord(cpu, WORD.tlbs + tlbClass, tlbClass);
  resetState(cpu);
  return { cpu, ram: new DataView(buffer, RAM_OFFSET), log };
}

export const GDT = 0x1000;
export const IDT = 0x2000;
export const TSS = 0x3000;
export const LDT = 0x3800;
export const SELECTOR = { code0: 0x08, data0: 0x10, code3: 0x1b, data3: 0x23, tss: 0x28, code16: 0x38, code64: 0x40, user64: 0x4b, ldt: 0x50, conforming: 0x58, down: 0x60, absent: 0x68, gate: 0x73 } as const;

/** A descriptor in the GDT. `access`: bits 40..47; `flags`: bits 52..55. */
export function putDescriptor(bench: Bench, selector: number, base: number, limit: number, access: number, flags = 0): void {
  const at = GDT + (selector & 0xfff8);
  bench.ram.setUint32(at, ((base & 0xffff) << 16) | (limit & 0xffff), true);
  bench.ram.setUint32(at + 4, (base & 0xff00_0000) | (flags << 20) | (limit & 0xf_0000) | (access << 8) | ((base >>> 16) & 0xff), true);
}

/** A gate in the IDT. `type`: access byte. */
export function putGate(bench: Bench, vector: number, selector: number, offset: number, access: number): void {
  bench.ram.setUint32(IDT + 8 * vector, (selector << 16) | (offset & 0xffff), true);
  bench.ram.setUint32(IDT + 8 * vector + 4, (offset & 0xffff_0000) | (access << 8), true);
}

export function putLongGate(bench: Bench, vector: number, selector: number, offset: bigint, access: number, ist = 0): void {
  bench.ram.setUint32(IDT + 16 * vector, (selector << 16) | Number(offset & 0xffffn), true);
  bench.ram.setUint32(IDT + 16 * vector + 4, Number(offset & 0xffff_0000n) | (access << 8) | ist, true);
  bench.ram.setUint32(IDT + 16 * vector + 8, Number((offset >> 32n) & 0xffff_ffffn), true);
  bench.ram.setUint32(IDT + 16 * vector + 12, 0, true);
}

function putTables(bench: Bench): void {
  putDescriptor(bench, SELECTOR.code0, 0, 0xf_ffff, 0x9b, 0xc);
  putDescriptor(bench, SELECTOR.data0, 0, 0xf_ffff, 0x93, 0xc);
  putDescriptor(bench, SELECTOR.code3, 0, 0xf_ffff, 0xfb, 0xc);
  putDescriptor(bench, SELECTOR.data3, 0, 0xf_ffff, 0xf3, 0xc);
  putDescriptor(bench, SELECTOR.tss, TSS, 0x2ff, 0x89);
  putDescriptor(bench, SELECTOR.code16, 0x1_0000, 0xffff, 0x9b, 0);
  putDescriptor(bench, SELECTOR.code64, 0, 0xf_ffff, 0x9b, 0xa);
  putDescriptor(bench, SELECTOR.user64, 0, 0xf_ffff, 0xfb, 0xa);
  putDescriptor(bench, SELECTOR.ldt, LDT, 0x3f, 0x82);
  putDescriptor(bench, SELECTOR.conforming, 0, 0xf_ffff, 0x9f, 0xc);
  putDescriptor(bench, SELECTOR.down, 0, 0xf, 0x97, 0xc);
  putDescriptor(bench, SELECTOR.absent, 0, 0xf_ffff, 0x13, 0xc);
}

/** 32-bit protected mode, flat, level 0 or 3, paging off. */
export function enterProtected(bench: Bench, cpl: 0 | 3 = 0): Bench {
  const { cpu } = bench;
  putTables(bench);
  setWords(cpu, WORD.cr0, CR0.PE | CR0.ET, 0);
  setSignedField(cpu, WORD.gdtBase, GDT);
  setWord(cpu, WORD.gdtLimit, 0xff);
  setSignedField(cpu, WORD.idtBase, IDT);
  setWord(cpu, WORD.idtLimit, 0x7ff);
  setSegment(cpu, CS, cpl === 0 ? SELECTOR.code0 : SELECTOR.code3, 0, 0xffff_ffff, 0xc09b | (cpl << 5));
  for (const segment of [DS, ES, SS, FS, GS]) setSegment(cpu, segment, cpl === 0 ? SELECTOR.data0 : SELECTOR.data3, 0, 0xffff_ffff, 0xc093 | (cpl << 5));
  setSegment(cpu, TR, SELECTOR.tss, TSS, 0x2ff, 0x8b);
  setSegment(cpu, LDTR, 0, 0, 0, 0);
  bench.ram.setUint32(TSS + 4, 0x8000, true);
  bench.ram.setUint16(TSS + 8, SELECTOR.data0, true);
  bench.ram.setUint16(TSS + 0x66, 0x100, true);
  setWords(cpu, WORD.gpr + 2 * 4, 0x7000, 0);
  setSignedField(cpu, WORD.pc, 0x5000);
  syncMode(cpu);
  return bench;
}

export const PML4 = 0x1_0000;

/** 4-level tables that map the first 4 MiB to itself: page at 0x1000 * i has its entry at 0x13000 + 8 * i. */
export function putLongTables(bench: Bench, flags = 7): void {
  const put = (at: number, value: number): void => bench.ram.setBigUint64(at, BigInt(value), true);
  put(PML4, 0x1_1000 | flags);
  put(0x1_1000, 0x1_2000 | flags);
  put(0x1_2000, 0x1_3000 | flags);
  put(0x1_2008, 0x1_4000 | flags);
  for (let i = 0; i < 1024; i++) put(0x1_3000 + 8 * i, (i << 12) | flags);
}

/** 64-bit mode at level 0 or 3. The stack pointer is 0x7000, the TSS's 0x8000. */
export function enterLong(bench: Bench, cpl: 0 | 3 = 0): Bench {
  enterProtected(bench, cpl);
  const { cpu } = bench;
  putLongTables(bench);
  setWords(cpu, WORD.cr4, CR4.PAE, 0);
  setWords(cpu, WORD.cr3, PML4, 0);
  setWords(cpu, WORD.efer, EFER.LME | EFER.LMA | EFER.NXE | EFER.SCE, 0);
  setWords(cpu, WORD.cr0, CR0.PE | CR0.ET | CR0.PG | CR0.WP, 0);
  setWord(cpu, WORD.idtLimit, 0xfff);
  setSegment(cpu, CS, cpl === 0 ? SELECTOR.code64 : SELECTOR.user64, 0, 0xffff_ffff, 0xa09b | (cpl << 5));
  bench.ram.setBigUint64(TSS + 4, 0x8000n, true);
  bench.ram.setBigUint64(TSS + 0x24, 0x9000n, true);
  syncMode(cpu);
  return bench;
}

/** Fault recorded last: [vector, error code]. */
export const faultOf = ({ cpu }: Bench): [number, number] => [cpu.view.faultVector, cpu.view.faultError];
export const register = ({ cpu }: Bench, index: number): bigint => cpu.view.gpr[index] as bigint;
