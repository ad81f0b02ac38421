// Hypercalls as KVM defines them (Linux Documentation/virt/kvm/x86/hypercalls.rst): number in RAX, arguments in RBX, RCX, RDX, RSI, result in RAX.

import type { HelperMap, X86Context } from './helper-map.ts';
import { cplOf } from './mode.ts';
import { in64BitCode } from './segments.ts';
import { RAX, RBX, RCX, RDX, RSI } from './state.ts';
import { setSignedField, setWords, signedField, word, WORD } from './state-words.ts';

const VAPIC_POLL_IRQ = 1;
const KICK_CPU = 5;
const SEND_IPI = 10;
/** Delivery mode of a message that ends a wait for interrupts. */
const UNHALT = 3 << 8;
const EPERM = 1;
const ENOSYS = 1000;

/** RBX, RCX: bitmap of APIC IDs from RDX on; RSI: interrupt command (delivery mode and vector). The number of processors that took it. */
function sendIpi(cpu: X86Context): number {
  const wide = in64BitCode(cpu);
  const bits = wide ? 64 : 32;
  const first = word(cpu, WORD.gpr + 2 * RDX);
  const command = word(cpu, WORD.gpr + 2 * RSI) & 0x7ff;
  let count = 0;
  for (let i = 0; i < 2 * bits; i++) {
    const map = WORD.gpr + 2 * (i < bits ? RBX : RCX);
    const target = first + i;
    if (((word(cpu, map + ((i % bits) >> 5)) >>> (i & 31)) & 1) === 0 || target >= 0xffff_ffff) continue;
    if (cpu.ports.interrupts.sendInterrupt?.(command, target) === true) count++;
  }
  return count;
}

function serve(cpu: X86Context): number {
  if (cplOf(cpu) !== 0) return -EPERM;
  switch (signedField(cpu, WORD.gpr + 2 * RAX)) {
    case VAPIC_POLL_IRQ:
      return 0;
    case KICK_CPU:
      cpu.ports.interrupts.sendInterrupt?.(UNHALT, word(cpu, WORD.gpr + 2 * RCX));
      return 0;
    case SEND_IPI:
      return sendIpi(cpu);
    default:
      return -ENOSYS;
  }
}

export const HYPERCALL_HELPERS: HelperMap = {
  hypercall(cpu) {
    const result = serve(cpu);
    if (in64BitCode(cpu)) setSignedField(cpu, WORD.gpr + 2 * RAX, result);
    else setWords(cpu, WORD.gpr + 2 * RAX, result >>> 0, 0);
    return 0;
  },
};
