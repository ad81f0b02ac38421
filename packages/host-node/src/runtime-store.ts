// Keeps the generated runtime module of the translator between runs: building it anew costs most of a start.

import { CacheFolder } from './cache-folder.ts';

export interface StoredRuntime {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly opcodes: ReadonlyMap<string, number>;
}

/** Every change of the sources leaves a file behind. */
const KEPT_FILES = 16;
const LENGTH_BYTES = 4;

export class RuntimeStore {
  readonly #folder = new CacheFolder('runtime', KEPT_FILES);
  readonly #fingerprint: string;

  /** `fingerprint`: of the sources that the module is generated from (sourceFingerprint). */
  constructor(fingerprint: string) {
    this.#fingerprint = fingerprint;
  }

  #name(isShared: boolean): string {
    return `${this.#fingerprint}${isShared ? '-shared' : ''}.bin`;
  }

  /** `isShared`: the module for memories that several threads share. */
  load(isShared: boolean): StoredRuntime | undefined {
    const content = this.#folder.read(this.#name(isShared));
    if (content === undefined) return undefined;
    const opcodesEnd = LENGTH_BYTES + content.readUInt32LE(0);
    const opcodes = JSON.parse(content.toString('utf8', LENGTH_BYTES, opcodesEnd)) as [string, number][];
    return { bytes: new Uint8Array(content.subarray(opcodesEnd)), opcodes: new Map(opcodes) };
  }

  save(isShared: boolean, runtime: StoredRuntime): void {
    const opcodes = Buffer.from(JSON.stringify([...runtime.opcodes]));
    const length = Buffer.alloc(LENGTH_BYTES);
    length.writeUInt32LE(opcodes.length);
    this.#folder.write(this.#name(isShared), Buffer.concat([length, opcodes, runtime.bytes]));
  }
}
