// What the library needs of the host it runs on. `#host` (package.json, "imports") is Node's; a bundler that works for browsers takes theirs.

import type { Runtime } from '@anillo/codegen/runtime-module';
import type { MachineHost } from '@anillo/machine/machine-host';

/** Keeps the translator's generated runtime module between runs; never fails its caller. */
export interface RuntimeSource {
  load(): Runtime | undefined;
  save(runtime: Runtime): void;
}

export interface RuntimeHost extends Pick<MachineHost, 'nowNs' | 'wallMs'> {
  /** One for each machine. */
  createEventLoop(): Omit<MachineHost, 'nowNs' | 'wallMs'>;
  /** A file that the user named: a path, in a browser a URL. AnilloError FILE, in which `what` names the file's part ("kernel"). */
  readFile(place: string, what: string): Promise<Uint8Array>;
  /** From a cryptographic generator. */
  fillRandom(words: Uint32Array<ArrayBuffer>): void;
  /** Undefined where nothing is kept. */
  openRuntimeSource(): RuntimeSource | undefined;
  /** Before the first machine is made: what the JavaScript engine is to know, where it can be told. */
  tuneEngine(): void;
}
