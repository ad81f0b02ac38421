// What the page and the worker that runs its machine say to each other.

import type { MachineOptions } from 'anillo';

/** What can be posted of a machine's options; files are URLs or bytes. */
export type WebMachineOptions = Pick<MachineOptions, 'machine' | 'kernel' | 'initrd' | 'append' | 'bios' | 'memory' | 'cpu' | 'accel'>;

export type ToWorker =
  /** First and once. */
  | { readonly kind: 'start'; readonly options: WebMachineOptions }
  /** Typed on the first serial port. */
  | { readonly kind: 'type'; readonly bytes: Uint8Array }
  | { readonly kind: 'power-button' }
  | { readonly kind: 'reset' }
  | { readonly kind: 'stop' };

export type FromWorker =
  /** The guest runs; `description` tells what was loaded. */
  | { readonly kind: 'started'; readonly description: string }
  /** From the first serial port. */
  | { readonly kind: 'output'; readonly bytes: Uint8Array }
  | { readonly kind: 'ended'; readonly detail: string }
  /** One sentence that says how to mend it, or a defect of Anillo. */
  | { readonly kind: 'failed'; readonly message: string };
