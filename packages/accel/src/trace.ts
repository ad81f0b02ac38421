// What a machine tells of itself while it runs, for people: one line an event, in the categories that are on.
// Whoever writes a line asks for its category first, so that a category that is off costs a comparison, and no trace at all costs nothing.

import { AnilloError } from '@anillo/base/anillo-error';

export const TRACE_CATEGORIES = ['traps', 'interrupts', 'exits', 'blocks', 'ports', 'mmio'] as const;
export type TraceCategory = (typeof TRACE_CATEGORIES)[number];

export type TraceChoice = { readonly [C in TraceCategory]?: boolean };

export interface Trace extends TraceChoice {
  /** Called on the vCPU's thread with one line, without a line break. */
  line(text: string): void;
}

/** "traps,ports". AnilloError BAD_OPTION for what is no category. */
export function parseTraceCategories(list: string): TraceChoice {
  const names = list.split(',').map((name) => name.trim());
  const unknown = names.find((name) => !(TRACE_CATEGORIES as readonly string[]).includes(name));
  if (unknown !== undefined)
    throw new AnilloError('BAD_OPTION', `There is nothing to trace called "${unknown}"; choose from ${TRACE_CATEGORIES.join(', ')}.`);
  return Object.fromEntries(names.map((name) => [name, true]));
}
