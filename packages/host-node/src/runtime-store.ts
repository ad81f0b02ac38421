// Keeps the generated runtime module of the translator between runs: building it anew costs most of a start. A file belongs to one state of the
// sources that generate it (names, sizes and times of change) and one version of Node, and carries its own digest, so a stale or damaged file is not used.

import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

export interface StoredRuntime {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly opcodes: ReadonlyMap<string, number>;
}

/** Every change of the sources leaves a file behind. */
const KEPT_FILES = 16;
const DIGEST_BYTES = 32;
const LENGTH_BYTES = 4;

const digest = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();

function cacheFolder(): string {
  const { XDG_CACHE_HOME } = process.env;
  const home = XDG_CACHE_HOME !== undefined && isAbsolute(XDG_CACHE_HOME) ? XDG_CACHE_HOME : join(homedir(), '.cache');
  return join(home, 'anillo', 'runtime');
}

/** Name, size and time of change of every file below the folders. */
function fingerprint(folders: readonly string[]): string {
  const hash = createHash('sha256').update(process.version);
  const visit = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) visit(path);
      else if (!entry.name.endsWith('.test.ts')) {
        const { size, mtimeMs } = statSync(path);
        hash.update(`${path} ${size} ${mtimeMs}\n`);
      }
    }
  };
  for (const folder of folders) visit(folder);
  return hash.digest('hex').slice(0, 32);
}

function removeOldest(folder: string): void {
  const paths = readdirSync(folder).map((name) => join(folder, name));
  const byAge = paths.map((path) => ({ path, timeMs: statSync(path).mtimeMs })).sort((a, b) => b.timeMs - a.timeMs);
  for (const { path } of byAge.slice(KEPT_FILES)) rmSync(path, { force: true });
}

/** Nothing here ever fails the caller: without a usable file or a writable folder the module is built as if there were no store. */
export class RuntimeStore {
  readonly #folders: readonly string[];
  #path: string | undefined;

  /** `folders`: absolute paths of the sources that the module is generated from. */
  constructor(folders: readonly string[]) {
    this.#folders = folders;
  }

  #file(): string {
    this.#path ??= join(cacheFolder(), `${fingerprint(this.#folders)}.bin`);
    return this.#path;
  }

  load(): StoredRuntime | undefined {
    try {
      const file = readFileSync(this.#file());
      const content = file.subarray(DIGEST_BYTES);
      if (!digest(content).equals(file.subarray(0, DIGEST_BYTES))) return undefined;
      const opcodesEnd = LENGTH_BYTES + content.readUInt32LE(0);
      const opcodes = JSON.parse(content.toString('utf8', LENGTH_BYTES, opcodesEnd)) as [string, number][];
      return { bytes: new Uint8Array(content.subarray(opcodesEnd)), opcodes: new Map(opcodes) };
    } catch {
      return undefined;
    }
  }

  save(runtime: StoredRuntime): void {
    try {
      const path = this.#file();
      const opcodes = Buffer.from(JSON.stringify([...runtime.opcodes]));
      const length = Buffer.alloc(LENGTH_BYTES);
      length.writeUInt32LE(opcodes.length);
      const content = Buffer.concat([length, opcodes, runtime.bytes]);
      mkdirSync(cacheFolder(), { recursive: true });
      const temporary = `${path}.${process.pid}`;
      writeFileSync(temporary, Buffer.concat([digest(content), content]));
      renameSync(temporary, path);
      removeOldest(cacheFolder());
    } catch {
      // A cache that cannot be written is a slower start, not an error.
    }
  }
}
