// The x86 front end as accelerators see it.

import type { Frontend } from '@anillo/ir/frontend';
import { readConfig } from './context.ts';
import type { CpuModel } from './cpu-model.ts';
import { buildOpcodeTable, type OpcodeTable } from './decode.ts';
import { CAN_INTERRUPT, DELIVER } from './event-delivery.ts';
import { HELPER_FUNCTIONS, HELPERS, ROUTINES, ROWS } from './instruction-set.ts';
import { PAGE_WALK, RECORD_PAGE_FAULT } from './page-walk.ts';
import { X86State } from './state.ts';
import { X86Cpu } from './x86-cpu.ts';

// Tables are the same for every CPU of a model with the same features.
const tables = new Map<string, OpcodeTable>();

function tableFor(model: CpuModel): OpcodeTable {
  const key = [...model.features].sort().join(' ');
  let table = tables.get(key);
  if (table === undefined) {
    table = buildOpcodeTable(ROWS, model);
    tables.set(key, table);
  }
  return table;
}

export const X86: Frontend = {
  name: 'x86',
  stateBytes: X86State.bytes,
  routines: ROUTINES,
  walk: PAGE_WALK,
  walkFault: RECORD_PAGE_FAULT,
  events: { deliver: DELIVER, canInterrupt: CAN_INTERRUPT },
  helpers: HELPERS.map(({ name, argCount }) => ({ name, argCount })),
  tlbCount: 3,
  createCpu: (ports, config) => new X86Cpu(ports, readConfig(config), HELPER_FUNCTIONS, tableFor),
};
