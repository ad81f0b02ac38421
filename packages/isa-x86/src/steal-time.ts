// Steal time of KVM guests: a record in which a vCPU reads how long it had no processor of the host. Linux's Documentation/virt/kvm/x86/msr.rst
// (MSR_KVM_STEAL_TIME) gives the layout: nanoseconds at 0, version at 8 (odd while it changes), flags at 12. Whether the vCPU is preempted now, byte 16,
// nobody tells us.

import type { X86Context } from './helper-map.ts';

const RECORD_BYTES = 64;
const ENABLED = 1n;
const RESERVED_LOW = 0x3e;

export const isStealTime = (low: number): boolean => (low & RESERVED_LOW) === 0;

/** Writes the record to the address in the MSR, if that is enabled. */
export function writeStealTime(cpu: X86Context): void {
  const msr = cpu.view.kvmStealTime;
  if ((msr & ENABLED) === 0n) return;
  const at = cpu.ports.ramAt(Number(msr & ~ENABLED), RECORD_BYTES, true);
  if (at < 0) return;
  const { data } = cpu;
  const version = data.getUint32(at + 8, true) & ~1;
  data.setUint32(at + 8, version + 1, true);
  data.setBigUint64(at, cpu.view.stolenNs, true);
  data.setUint32(at + 12, 0, true);
  data.setUint32(at + 8, version + 2, true);
}

export function tellStolen(cpu: X86Context, totalNs: number): void {
  const total = BigInt(Math.floor(totalNs));
  if (total <= cpu.view.stolenNs) return;
  cpu.view.stolenNs = total;
  writeStealTime(cpu);
}
