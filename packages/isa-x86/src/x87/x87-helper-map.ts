// All x87 helpers by name, and their declarations for lifted code. They work on x87 state and x0, x1, x3 only; a memory operand's offset is in x3.

import { helper, type Helper } from '@anillo/ir/callee';
import { PC } from '@anillo/ir/vcpu-header';
import { FPU_SLOTS } from '../state.ts';
import type { HelperMap } from '../helper-map.ts';
import { ELEMENTARY } from './elementary.ts';
import { ENVIRONMENT } from './environment.ts';
import { OPERATION } from './operation.ts';
import { QUICK_HELPERS } from './quick.ts';
import { TRANSFER } from './transfer.ts';

const FUNCTIONS = { ...TRANSFER, ...OPERATION, ...ELEMENTARY, ...ENVIRONMENT };
export const X87_HELPERS: HelperMap = { ...FUNCTIONS, ...QUICK_HELPERS };

export type X87HelperName = keyof typeof FUNCTIONS;

const ARGUMENTS: Readonly<Record<X87HelperName, number>> = {
  x87Load: 2, x87LoadRegister: 2, x87LoadConstant: 2, x87Store: 2, x87StoreRegister: 3, x87StoreUnchecked: 2, x87Exchange: 2, x87ConditionalMove: 3, x87Free: 3, x87MoveTop: 2,
  x87Arithmetic: 5, x87Compare: 4, x87Sign: 2, x87Examine: 1,
  x87Unary: 2, x87Binary: 2, x87Remainder: 2, x87Pair: 2,
  x87StoreEnvironment: 1, x87LoadEnvironment: 1, x87Save: 1, x87Restore: 1, x87Initialize: 0, x87ClearExceptions: 0, x87LoadControl: 0, x87Pending: 0,
};

/** Declarations by name. */
export const X87_CALLEES = Object.fromEntries(
  Object.entries(ARGUMENTS).map(([name, argCount]) => [name, helper(name, argCount, { reads: [PC, ...FPU_SLOTS], writes: FPU_SLOTS, traps: true })]),
) as Readonly<Record<X87HelperName, Helper>>;
