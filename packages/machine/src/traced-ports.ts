// The board's answers with each access to a device told on the way: "port 0x3f8 <- 0x41 (1)", "mmio 0xfee00020 -> 0x0 (4)".

import type { BoardPorts } from '@anillo/accel/accelerator';
import type { Trace } from '@anillo/accel/trace';

const hex = (value: number): string => `0x${value.toString(16)}`;

/** The board itself where neither ports nor mmio is traced. */
export function tracedPorts(board: BoardPorts, trace: Trace | undefined): BoardPorts {
  if (trace === undefined || (trace.ports !== true && trace.mmio !== true)) return board;
  const tell = (place: string, arrow: string, value: number, byteCount: number): void =>
    trace.line(`${place} ${arrow} ${hex(byteCount === 4 ? value >>> 0 : value & ((1 << (8 * byteCount)) - 1))} (${byteCount})`);
  return {
    readPort(port, byteCount) {
      const value = board.readPort(port, byteCount);
      if (trace.ports === true) tell(`port ${hex(port)}`, '->', value, byteCount);
      return value;
    },
    writePort(port, byteCount, value) {
      if (trace.ports === true) tell(`port ${hex(port)}`, '<-', value, byteCount);
      board.writePort(port, byteCount, value);
    },
    readMmio(address, byteCount) {
      const value = board.readMmio(address, byteCount);
      if (trace.mmio === true) tell(`mmio ${hex(address)}`, '->', value, byteCount);
      return value;
    },
    writeMmio(address, byteCount, value) {
      if (trace.mmio === true) tell(`mmio ${hex(address)}`, '<-', value, byteCount);
      board.writeMmio(address, byteCount, value);
    },
    interrupts: (id) => board.interrupts(id),
    nowNs: () => board.nowNs(),
    poll: () => board.poll(),
  };
}
