// Makes the context that helpers work on, from what the accelerator and the embedder give.

import type { VcpuPorts } from '@anillo/ir/frontend';
import { type CpuModel, cpuModel, DEFAULT_CPU_MODEL, parseCpuModel } from './cpu-model.ts';
import type { X86Context } from './helper-map.ts';
import { X86State } from './state.ts';
import { WalkCache } from './walk-cache.ts';

/** What an embedder may give with a CPU; a plain string is a model as users write it. */
export interface X86Config {
  readonly model?: CpuModel | string;
  /** APIC ID; default 0. */
  readonly id?: number;
  /** CPUs of the machine; default 1. */
  readonly count?: number;
  /** 32 random bits from a good source. */
  readonly random?: () => number;
  /** Milliseconds since 1970. */
  readonly wallClockMs?: () => number;
}

/** An X86Config from what an accelerator passes through. */
export function readConfig(config: unknown): X86Config {
  if (typeof config === 'string') return { model: config };
  return (config ?? {}) as X86Config;
}

const modelOf = ({ model }: X86Config): CpuModel => (model === undefined ? cpuModel(DEFAULT_CPU_MODEL) : typeof model === 'string' ? parseCpuModel(model) : model);

/** The context that helpers work on. */
export function createContext(ports: VcpuPorts, config: X86Config): X86Context {
  const { buffer, state } = ports;
  return {
    view: X86State.view(buffer, state),
    ports,
    model: modelOf(config),
    words: new Uint32Array(buffer),
    state: new Uint32Array(buffer, state, X86State.bytes >>> 2),
    bytes: new Uint8Array(buffer),
    data: new DataView(buffer),
    walkCache: new WalkCache(),
    routines: {},
    id: config.id ?? 0,
    count: config.count ?? 1,
    // Not for secrets: an embedder that has a cryptographic source gives it.
    random: config.random ?? (() => Math.floor(Math.random() * 0x1_0000_0000)),
    wallClockMs: config.wallClockMs ?? (() => Date.now()),
  };
}
