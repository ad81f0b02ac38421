// `--profile FILE`: where the host's time went while the machine ran, as a file for speedscope, with the names of guest code that are to be had: the
// Linux kernel's own, those of the booted ELF file, and those of files given with `--symbols`.

import { open, readFile, type FileHandle } from 'node:fs/promises';
import { AnilloError } from '@anillo/base/anillo-error';
import { fileErrorReason, readHostFile } from '@anillo/host-node/file';
import type { Machine } from 'anillo';
import { GuestProfile } from 'anillo/profile/guest-profile';
import { readKallsyms } from 'anillo/profile/kallsyms';
import { speedscopeFile } from 'anillo/profile/speedscope';
import { readSymbolFile } from 'anillo/profile/symbol-file';
import { type CodeSymbol, SymbolTable } from 'anillo/profile/symbol-table';

/** "FILE" or "FILE@ADDRESS", of which the second is added to the file's addresses. */
async function readGivenSymbols(text: string): Promise<readonly CodeSymbol[]> {
  const at = /@(0x[0-9a-f]{1,16})$/i.exec(text);
  const path = at === null ? text : text.slice(0, at.index);
  return readSymbolFile(await readHostFile(path, 'symbol file'), `The symbol file ${path}`, BigInt(at?.[1] ?? 0));
}

/** Most kernels are no ELF files or have no symbols. */
async function readKernelSymbols(path: string): Promise<readonly CodeSymbol[]> {
  try {
    return readSymbolFile(await readFile(path), path, 0n);
  } catch {
    return [];
  }
}

export class ProfileFile {
  readonly profile = new GuestProfile();
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #given: readonly CodeSymbol[];

  private constructor(path: string, file: FileHandle, given: readonly CodeSymbol[]) {
    this.#path = path;
    this.#file = file;
    this.#given = given;
  }

  /** Before the guest runs, so that what the user got wrong is told then. AnilloError FILE or BAD_IMAGE. */
  static async open(path: string, symbolFiles: readonly string[]): Promise<ProfileFile> {
    const given = (await Promise.all(symbolFiles.map(readGivenSymbols))).flat();
    try {
      return new ProfileFile(path, await open(path, 'w'), given);
    } catch (error) {
      throw new AnilloError('FILE', `The profile ${path} ${fileErrorReason(error)}.`, { cause: error });
    }
  }

  async write(machine: Machine, kernel: string | undefined): Promise<void> {
    const booted = kernel === undefined ? [] : await readKernelSymbols(kernel);
    const symbols = new SymbolTable([...this.#given, ...readKallsyms(machine.memory), ...booted]);
    try {
      await this.#file.writeFile(speedscopeFile(this.profile, symbols, machine.bootDescription));
    } catch (error) {
      throw new AnilloError('FILE', `The profile ${this.#path} ${fileErrorReason(error)}.`, { cause: error });
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#file.close();
  }
}
