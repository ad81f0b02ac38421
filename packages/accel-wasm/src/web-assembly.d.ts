// The part of the WebAssembly JavaScript Interface (W3C) that this package uses: Node and browsers have it alike.
declare namespace WebAssembly {
  type Imports = Record<string, Record<string, unknown>>;
  class Module {
    constructor(bytes: Uint8Array<ArrayBuffer>);
  }
  class Instance {
    constructor(module: Module, imports: Imports);
    readonly exports: Record<string, unknown>;
  }
  class Memory {
    constructor(descriptor: { initial: number; maximum: number; shared?: boolean });
    readonly buffer: ArrayBuffer;
  }
  class Table {
    constructor(descriptor: { initial: number; element: 'anyfunc' });
    readonly length: number;
    grow(count: number): number;
    set(index: number, value: unknown): void;
  }
}
