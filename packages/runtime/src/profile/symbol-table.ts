// Names of guest code by linear address, from one or several sources.

export interface CodeSymbol {
  readonly address: bigint;
  readonly name: string;
  /** Undefined: up to the next one. */
  readonly byteCount?: number;
}

export interface FoundSymbol {
  readonly name: string;
  /** From the symbol's address. */
  readonly offset: number;
}

/** No function is longer: behind the last symbol of a source there is nothing to be named. */
const LONGEST_FUNCTION = 1 << 20;

export class SymbolTable {
  readonly #symbols: readonly CodeSymbol[];

  constructor(symbols: readonly CodeSymbol[]) {
    this.#symbols = [...symbols].sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
  }

  get size(): number {
    return this.#symbols.length;
  }

  find(address: bigint): FoundSymbol | undefined {
    let [low, high] = [0, this.#symbols.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#symbols[middle].address <= address) low = middle + 1;
      else high = middle;
    }
    const symbol = this.#symbols[low - 1];
    if (symbol === undefined || address - symbol.address >= BigInt(symbol.byteCount ?? LONGEST_FUNCTION)) return undefined;
    return { name: symbol.name, offset: Number(address - symbol.address) };
  }
}
