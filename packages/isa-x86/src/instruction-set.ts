// All instruction rows, and the routines and helpers that lifted code may call: the one list that new files of rows join.

import type { Helper, Routine } from '@anillo/ir/callee';
import { CHANGE_AC } from './change-ac.ts';
import { CHECK_SEGMENT } from './check-segment.ts';
import { CONTROL_HELPERS } from './control.ts';
import { CPUID_HELPERS } from './cpuid.ts';
import { FAR_TRANSFER_HELPERS } from './far-transfer.ts';
import { COMPUTE_FLAGS } from './compute-flags.ts';
import { CURRENT_FLAGS } from './current-flags.ts';
import { EVENT_DELIVERY_ROUTINES } from './event-delivery.ts';
import type { HelperMap } from './helper-map.ts';
import { HYPERCALL_HELPERS } from './hypercall.ts';
import { ARITHMETIC_ROWS, DIVIDE_WIDE, DIVIDE_WIDE_SIGNED } from './insn/arithmetic.ts';
import { BIT_ROWS } from './insn/bits.ts';
import { BRANCH_ROWS } from './insn/branch.ts';
import { FAR_TRANSFER_CALLEES, FAR_TRANSFER_ROWS } from './insn/far-transfer.ts';
import { MOVE_ROWS, PAUSE } from './insn/move.ts';
import { PORT_CALLEES, PORT_ROWS } from './insn/port-io.ts';
import { SEGMENT_REGISTER_CALLEES, SEGMENT_REGISTER_ROWS } from './insn/segment-register.ts';
import { SHIFT_ROWS } from './insn/shift.ts';
import { SIMD_HELPER_MAP, SIMD_HELPERS, SIMD_ROUTINES, SIMD_ROWS } from './insn/simd.ts';
import { STATE_SAVE_HELPERS, STATE_SAVE_ROWS } from './insn/state-save.ts';
import { STRING_ROUTINES, STRING_ROWS } from './insn/string.ts';
import { SYSTEM_CALLEES, SYSTEM_ROWS } from './insn/system.ts';
import { X87_ROWS } from './insn/x87.ts';
import { INTERRUPT_RETURN_HELPERS } from './interrupt-return.ts';
import { INTERRUPT_RETURN_ROUTINES } from './interrupt-return-routines.ts';
import { MSR_HELPERS } from './msr.ts';
import { PAGE_WALK, PAGE_WALK_ROUTINES, RECORD_PAGE_FAULT } from './page-walk.ts';
import { PORT_STRING_HELPERS } from './port-string.ts';
import { PRIVILEGED_HELPERS } from './privileged.ts';
import { PROTECTION_KEY_HELPERS } from './protection-keys.ts';
import type { Row } from './row.ts';
import { SEGMENT_LOAD_ROUTINES } from './segment-load-routines.ts';
import { CHECK_BREAKPOINT, SINGLE_STEP_HELPERS } from './single-step.ts';
import { SYSTEM_CALL_HELPERS } from './system-call.ts';
import { SYSTEM_CALL_ROUTINES } from './system-call-routines.ts';
import { X87_ROUTINES } from './x87/arithmetic-routines.ts';
import { X87_SCALING } from './x87/scale-routines.ts';
import { QUICK_CALLEE } from './x87/quick.ts';
import { X87_CALLEES, X87_HELPERS } from './x87/x87-helper-map.ts';
import { XSAVE_HELPERS } from './xsave.ts';

export const ROWS: readonly Row[] = [
  ...ARITHMETIC_ROWS, ...SHIFT_ROWS, ...BIT_ROWS, ...MOVE_ROWS, ...BRANCH_ROWS, ...STRING_ROWS, ...SEGMENT_REGISTER_ROWS,
  ...FAR_TRANSFER_ROWS, ...PORT_ROWS, ...SYSTEM_ROWS, ...STATE_SAVE_ROWS, ...X87_ROWS, ...SIMD_ROWS,
];

export const ROUTINES: readonly Routine[] = [
  COMPUTE_FLAGS, CURRENT_FLAGS, DIVIDE_WIDE, DIVIDE_WIDE_SIGNED, CHECK_SEGMENT, CHANGE_AC, PAGE_WALK, RECORD_PAGE_FAULT, ...PAGE_WALK_ROUTINES, ...EVENT_DELIVERY_ROUTINES, ...SYSTEM_CALL_ROUTINES, ...INTERRUPT_RETURN_ROUTINES,
  ...SEGMENT_LOAD_ROUTINES, ...STRING_ROUTINES, ...SIMD_ROUTINES, ...X87_ROUTINES, ...Object.values(X87_SCALING),
];

export const HELPERS: readonly Helper[] = [
  ...SEGMENT_REGISTER_CALLEES, ...FAR_TRANSFER_CALLEES, ...PORT_CALLEES, ...SYSTEM_CALLEES, ...STATE_SAVE_HELPERS,
  ...Object.values(X87_CALLEES), ...SIMD_HELPERS, CHECK_BREAKPOINT, PAUSE, QUICK_CALLEE,
];

export const HELPER_FUNCTIONS: HelperMap = {
  pause(cpu) {
    cpu.ports.pause();
    return 0;
  },
  ...CONTROL_HELPERS, ...PRIVILEGED_HELPERS, ...MSR_HELPERS, ...CPUID_HELPERS, ...FAR_TRANSFER_HELPERS, ...INTERRUPT_RETURN_HELPERS, ...SYSTEM_CALL_HELPERS,
  ...PORT_STRING_HELPERS, ...SINGLE_STEP_HELPERS, ...XSAVE_HELPERS, ...X87_HELPERS, ...SIMD_HELPER_MAP, ...HYPERCALL_HELPERS, ...PROTECTION_KEY_HELPERS,
};
