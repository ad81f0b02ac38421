// The paravirtual clock of KVM guests: a page that says how to turn the TSC into nanoseconds since power-on. Linux's
// Documentation/virt/kvm/x86/msr.rst gives the layout. TSC and clock run at the same rate, so the page changes only when the TSC is written.

import type { X86Context } from './helper-map.ts';
import { tscNow } from './time-stamp-counter.ts';

const TIME_INFO_BYTES = 32;
const WALL_CLOCK_BYTES = 12;
/** nanoseconds = ((tsc delta << 1) * 2^31) >> 32. */
const MULTIPLIER = 0x8000_0000;
const SHIFT = 1;
const TSC_STABLE = 1;

/** Writes the per-CPU time information to the address in the MSR, if that is enabled. */
export function writeTimeInfo(cpu: X86Context): void {
  const msr = cpu.view.kvmSystemTime;
  if ((msr & 1n) === 0n) return;
  const at = cpu.ports.ramAt(Number(msr & ~3n), TIME_INFO_BYTES, true);
  if (at < 0) return;
  const { data } = cpu;
  const version = data.getUint32(at, true) & ~1;
  data.setUint32(at, version + 1, true);
  data.setUint32(at + 4, 0, true);
  const tsc = tscNow(cpu);
  data.setBigUint64(at + 8, tsc, true);
  data.setBigUint64(at + 16, BigInt.asUintN(64, tsc - cpu.view.tscOffset), true);
  data.setUint32(at + 24, MULTIPLIER, true);
  data.setInt8(at + 28, SHIFT);
  data.setUint8(at + 29, TSC_STABLE);
  data.setUint16(at + 30, 0, true);
  data.setUint32(at, version + 2, true);
}

/** Writes the wall clock at power-on to the address in the MSR. */
export function writeWallClock(cpu: X86Context): void {
  const at = cpu.ports.ramAt(Number(cpu.view.kvmWallClock), WALL_CLOCK_BYTES, true);
  if (at < 0) return;
  const { data } = cpu;
  const startMs = cpu.wallClockMs() - cpu.ports.nowNs() / 1e6;
  const seconds = Math.floor(startMs / 1000);
  const version = data.getUint32(at, true) & ~1;
  data.setUint32(at, version + 1, true);
  data.setUint32(at + 4, seconds, true);
  data.setUint32(at + 8, Math.floor((startMs - seconds * 1000) * 1e6), true);
  data.setUint32(at, version + 2, true);
}
