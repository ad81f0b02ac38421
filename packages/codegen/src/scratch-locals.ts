// Locals that emits use for a moment: made when first asked for, shared by all ops of a function.

import type { Type } from '@anillo/ir/ops';
import type { FunctionCode, Local } from './function-code.ts';

export class ScratchLocals {
  readonly #f: FunctionCode;
  readonly #byType: Record<Type, (Local | undefined)[]> = { i32: [], i64: [], f32: [], f64: [], v128: [] };

  constructor(f: FunctionCode) {
    this.#f = f;
  }

  get(type: Type, n: number): Local {
    const list = this.#byType[type];
    list[n] ??= this.#f.local(type);
    return list[n];
  }
}
