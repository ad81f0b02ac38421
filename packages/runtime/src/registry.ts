// The one file that names concrete things: accelerators, guest architectures, boards. (Devices are named by their catalog.)

import { host } from '#host';
import type { Accelerator } from '@anillo/accel/accelerator';
import { AnilloError } from '@anillo/base/anillo-error';
import { CATALOG } from '@anillo/devices/catalog';
import type { DeviceDeclaration } from '@anillo/devices/device-declaration';
import { CPU_MODEL_NAMES, DEFAULT_CPU_MODEL, isCpuFeature } from '@anillo/isa-x86/cpu-model';
import { TSC_HZ } from '@anillo/isa-x86/time-stamp-counter';
import type { BoardModel } from '@anillo/machine/boards/board-model';
import { PC } from '@anillo/machine/boards/pc';
import { Q35 } from '@anillo/machine/boards/q35';
import { parseCpu } from './cpu-choice.ts';
import { randomWords } from './random-words.ts';
import type { RuntimeSource } from './runtime-host.ts';

export const CPU_NAMES: readonly string[] = CPU_MODEL_NAMES;
export const DEFAULT_CPU = DEFAULT_CPU_MODEL;

/** Can "+NAME" be added to a CPU model? */
export const isKnownFeature = isCpuFeature;

/** What a machine needs to know of a CPU before it runs. */
export interface CpuChoice {
  /** For the accelerator, as the user wrote it. */
  readonly text: string;
  readonly longMode: boolean;
  /** TSC ticks in a second of guest time. */
  readonly tscHz: number;
}

/** AnilloError BAD_OPTION for a model or feature that is not known. */
export function chooseCpu(text: string): CpuChoice {
  return { text, longMode: parseCpu(text).features.has('lm'), tscHz: TSC_HZ };
}

const BOARDS: Readonly<Record<string, BoardModel>> = { pc: PC, q35: Q35 };
export const BOARD_NAMES: readonly string[] = Object.keys(BOARDS);

/** AnilloError BAD_OPTION for a name that is none. */
export function chooseBoard(name: string): BoardModel {
  if (Object.hasOwn(BOARDS, name)) return BOARDS[name];
  throw new AnilloError('BAD_OPTION', `There is no machine "${name}"; choose one of ${BOARD_NAMES.join(', ')}.`);
}

/** What may be plugged into a machine: names, properties, what for. */
export const DEVICES: readonly DeviceDeclaration[] = CATALOG;

/** Ways to run guest code: "auto" is the best of the others. */
export const ACCELERATORS = ['auto', 'jit', 'interp'] as const;
export type AcceleratorName = (typeof ACCELERATORS)[number];

/** AnilloError BAD_OPTION for a name that is none. */
export function acceleratorTier(name: string): 'jit' | 'interp' {
  if (name === 'auto' || name === 'jit') return 'jit';
  if (name === 'interp') return 'interp';
  throw new AnilloError('BAD_OPTION', `There is no accelerator "${name}"; choose one of ${ACCELERATORS.join(', ')}.`);
}

const loadTranslator = () => Promise.all([import('@anillo/accel-wasm/wasm-accelerator'), import('@anillo/isa-x86/frontend')]);

/** In a start-up snapshot the runtime module is part of the program. */
let prepared: { readonly source: RuntimeSource; readonly fingerprint: string } | undefined;

/** Does now what the first machine would have to wait for: for a start-up snapshot. */
export async function prepareAccelerator(): Promise<void> {
  const [{ generateRuntime }, { X86 }] = await loadTranslator();
  const [own, shared] = [generateRuntime(X86, false), generateRuntime(X86, true)];
  prepared = { source: { load: (isShared) => (isShared ? shared : own), save: () => {} }, fingerprint: host.fingerprint('content') };
}

/**
 * Loaded when a machine is made, so that errors in options and files come at once. `keepTranslations`: uses what earlier runs have translated, and keeps what
 * this one does.
 */
export async function createAccelerator(keepTranslations = true): Promise<Accelerator> {
  host.tuneEngine();
  const [{ createWasmAccelerator }, { X86 }] = await loadTranslator();
  const fingerprint = prepared?.fingerprint ?? host.fingerprint('time');
  return createWasmAccelerator(X86, {
    cpuConfig: (text, id, count) => ({
      model: parseCpu(text),
      id,
      count,
      random: randomWords((words) => host.fillRandom(words)),
      wallClockMs: host.wallMs,
    }),
    runtimeStore: prepared?.source ?? host.openRuntimeSource(fingerprint),
    translationStore: keepTranslations ? host.openTranslations(fingerprint) : undefined,
  });
}
