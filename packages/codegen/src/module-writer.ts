// Assembles a WebAssembly module (WebAssembly 3.0, 5.5; branch hints: 7.4 custom section metadata.code.branch_hint).
// All imports must be asked for before the first function is declared.

import { ByteBuffer } from './byte-buffer.ts';
import { OUTER_BLOCK, type FunctionCode } from './function-code.ts';
import { opcodeOf, WASM_TYPE } from './wasm-opcodes.ts';
import type { Type } from '@anillo/ir/ops';

const SECTION = { custom: 0, type: 1, import: 2, function: 3, export: 7, code: 10 } as const;
const FUNCREF = 0x70;

export interface FunctionType {
  readonly params: readonly Type[];
  readonly results: readonly Type[];
}

/** Types by what they are, which is the same for equal ones. */
const signatures = new WeakMap<FunctionType, string>();
function signatureOf(type: FunctionType): string {
  let signature = signatures.get(type);
  if (signature === undefined) {
    signature = `${type.params.join()}>${type.results.join()}`;
    signatures.set(type, signature);
  }
  return signature;
}

export class ModuleWriter {
  readonly #types = new Map<string, number>();
  readonly #typeBytes = new ByteBuffer(256);
  readonly #imports = new ByteBuffer(1024);
  /** By module and name. */
  readonly #importIndex = new Map<string, Map<string, number>>();
  readonly #exports = new ByteBuffer(1024);
  readonly #declared: number[] = [];
  readonly #bodies: (FunctionCode | undefined)[] = [];
  #importCount = 0;
  #exportCount = 0;
  #functionImports = 0;

  typeIndex(type: FunctionType): number {
    const key = signatureOf(type);
    let index = this.#types.get(key);
    if (index === undefined) {
      index = this.#types.size;
      this.#types.set(key, index);
      this.#typeBytes.u8(0x60);
      for (const list of [type.params, type.results]) {
        this.#typeBytes.uleb(list.length);
        for (const t of list) this.#typeBytes.u8(WASM_TYPE[t]);
      }
    }
    return index;
  }

  importMemory(sharedMaximumPages: number | undefined): void {
    this.#importHead('env', 'memory');
    this.#imports.u8(2);
    this.#imports.u8(sharedMaximumPages === undefined ? 0 : 3);
    this.#imports.uleb(0);
    if (sharedMaximumPages !== undefined) this.#imports.uleb(sharedMaximumPages);
  }

  importTable(): void {
    this.#importHead('env', 'table');
    this.#imports.u8(1);
    this.#imports.u8(FUNCREF);
    this.#imports.u8(0);
    this.#imports.uleb(0);
  }

  #importHead(module: string, name: string): void {
    this.#imports.name(module);
    this.#imports.name(name);
    this.#importCount += 1;
  }

  /** Index of an imported function; the import is made the first time. */
  importFunction(module: string, name: string, type: FunctionType): number {
    const known = this.#importIndex.get(module) ?? new Map<string, number>();
    let index = known.get(name);
    if (index === undefined) {
      if (this.#declared.length > 0) throw new TypeError(`import ${module}.${name} comes after the first function`);
      index = this.#functionImports++;
      this.#importIndex.set(module, known.set(name, index));
      this.#importHead(module, name);
      this.#imports.u8(0);
      this.#imports.uleb(this.typeIndex(type));
    }
    return index;
  }

  /** Declares a function whose body comes later. Returns its index. */
  declare(type: FunctionType, exportAs?: string): number {
    const index = this.#functionImports + this.#declared.length;
    this.#declared.push(this.typeIndex(type));
    this.#bodies.push(undefined);
    if (exportAs !== undefined) {
      this.#exports.name(exportAs);
      this.#exports.u8(0);
      this.#exports.uleb(index);
      this.#exportCount += 1;
    }
    return index;
  }

  define(index: number, body: FunctionCode): void {
    this.#bodies[index - this.#functionImports] = body;
  }

  finish(): Uint8Array<ArrayBuffer> {
    const out = new ByteBuffer(
      this.#bodies.reduce((sum, b) => sum + (b?.code.length ?? 0) + 64, 256 + this.#imports.length + this.#exports.length),
    );
    out.append(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));
    section(out, SECTION.type, this.#types.size, this.#typeBytes);
    section(out, SECTION.import, this.#importCount, this.#imports);
    const functions = new ByteBuffer(this.#declared.length * 2);
    for (const type of this.#declared) functions.uleb(type);
    section(out, SECTION.function, this.#declared.length, functions);
    section(out, SECTION.export, this.#exportCount, this.#exports);
    const { locals, hints, hintedFunctions } = this.#writeHints();
    if (hintedFunctions > 0) {
      const named = new ByteBuffer(hints.length + 40);
      named.name('metadata.code.branch_hint');
      named.uleb(hintedFunctions);
      named.append(hints.view());
      out.u8(SECTION.custom);
      out.uleb(named.length);
      out.append(named.view());
    }
    this.#writeBodies(out, locals);
    return out.view();
  }

  /** Local declarations by function, and the branch hints, whose offsets they move. */
  #writeHints(): { locals: readonly ByteBuffer[]; hints: ByteBuffer; hintedFunctions: number } {
    const hints = new ByteBuffer(256);
    let hintedFunctions = 0;
    const locals = this.#bodies.map((body, i) => {
      if (!body) throw new TypeError(`function ${i} was declared and not defined`);
      const declared = localDeclarations(body);
      if (body.hints.length === 0) return declared;
      hintedFunctions += 1;
      hints.uleb(this.#functionImports + i);
      hints.uleb(body.hints.length / 2);
      for (let h = 0; h < body.hints.length; h += 2) {
        hints.uleb(declared.length + body.outerBlocks * OUTER_BLOCK.length + body.hints[h]);
        hints.u8(1);
        hints.u8(body.hints[h + 1]);
      }
      return declared;
    });
    return { locals, hints, hintedFunctions };
  }

  #writeBodies(out: ByteBuffer, locals: readonly ByteBuffer[]): void {
    const sizes = this.#bodies.map(
      (body, i) => locals[i].length + (body ? body.outerBlocks * OUTER_BLOCK.length + body.code.length : 0) + 1,
    );
    out.u8(SECTION.code);
    out.uleb(sizes.reduce((sum, size) => sum + ulebBytes(size) + size, ulebBytes(sizes.length)));
    out.uleb(sizes.length);
    this.#bodies.forEach((body, i) => {
      out.uleb(sizes[i]);
      out.append(locals[i].view());
      for (let n = 0; n < (body?.outerBlocks ?? 0); n++) out.append(OUTER_BLOCK);
      if (body) out.append(body.code.view());
      out.u8(opcodeOf('end'));
    });
  }
}

/** Bytes that a u32 takes as unsigned LEB128. */
const ulebBytes = (value: number): number => Math.max(1, Math.ceil((32 - Math.clz32(value)) / 7));

function section(out: ByteBuffer, id: number, count: number, items: ByteBuffer): void {
  const head = new ByteBuffer(8);
  head.uleb(count);
  out.u8(id);
  out.uleb(head.length + items.length);
  out.append(head.view());
  out.append(items.view());
}

/** Locals in order, as runs of one type. */
function localDeclarations(body: FunctionCode): ByteBuffer {
  const runs: [number, number][] = [];
  for (const type of body.locals) {
    const last = runs.at(-1);
    if (last && last[1] === type) last[0] += 1;
    else runs.push([1, type]);
  }
  const bytes = new ByteBuffer(runs.length * 3 + 5);
  bytes.uleb(runs.length);
  for (const [count, type] of runs) {
    bytes.uleb(count);
    bytes.u8(type);
  }
  return bytes;
}
