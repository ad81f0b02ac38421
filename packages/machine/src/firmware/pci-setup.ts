// PCI as firmware leaves it to what it boots (PCI Local Bus 3.0, 6.2.5.1): windows sized and placed, decoding on, interrupts routed. Bus mastering is left
// to drivers.

import { COMMAND, CONFIG } from '@anillo/devices/pci/config-space';
import type { PciBus } from '@anillo/devices/pci/pci-bus';
import type { ConfigWrite } from '../boards/board-model.ts';
import { PC_MEMORY } from '../boards/memory-map.ts';
import type { PciInterrupts } from './dsdt.ts';

const BAR_COUNT = 6;
const IO = 1;
const MEMORY_64 = 4;
const PORTS = { start: 0xc000, end: 0x10000 } as const;
/** Device memory on every board, clear of PCI configuration. */
const MEMORY = { start: 0xc0000000, end: PC_MEMORY.IOAPIC } as const;

interface Window {
  readonly number: number;
  readonly at: number;
  readonly isIo: boolean;
  readonly is64: boolean;
  readonly byteCount: number;
}

/** Windows of a function, by writing ones and reading what stays. */
function sizeWindows(bus: PciBus, number: number): Window[] {
  const windows: Window[] = [];
  for (let bar = 0; bar < BAR_COUNT; bar++) {
    const at = CONFIG.bar + bar * 4;
    bus.writeConfig(number, at, 4, 0xffffffff);
    const mask = bus.readConfig(number, at, 4);
    bus.writeConfig(number, at, 4, 0);
    if (mask === 0) continue;
    const isIo = (mask & IO) !== 0;
    const is64 = !isIo && (mask & MEMORY_64) !== 0;
    windows.push({ number, at, isIo, is64, byteCount: -(mask & (isIo ? ~3 : ~15)) >>> 0 });
    if (is64) bar++;
  }
  return windows;
}

/** Largest first, so that alignment costs nothing; what does not fit stays off. */
function placeWindows(bus: PciBus, windows: readonly Window[], range: { readonly start: number; readonly end: number }): void {
  let next: number = range.start;
  for (const w of [...windows].sort((a, b) => b.byteCount - a.byteCount)) {
    const start = Math.ceil(next / w.byteCount) * w.byteCount;
    if (start + w.byteCount > range.end) continue;
    next = start + w.byteCount;
    bus.writeConfig(w.number, w.at, 4, start);
    if (w.is64) bus.writeConfig(w.number, w.at + 4, 4, 0);
    const command = bus.readConfig(w.number, CONFIG.command, 2);
    bus.writeConfig(w.number, CONFIG.command, 2, command | (w.isIo ? COMMAND.io : COMMAND.memory));
  }
}

export function setUpPci(bus: PciBus, interrupts: PciInterrupts, writes: readonly ConfigWrite[]): void {
  const { bridgeDevice, routeRegisters, firstRoutes, inputOf } = interrupts;
  for (const w of writes) bus.writeConfig(w.number, w.offset, w.byteCount, w.value);
  routeRegisters.forEach((register, input) => {
    bus.writeConfig(bridgeDevice << 3, register, 1, firstRoutes[input]);
  });
  const windows = bus.numbers.flatMap((number) => sizeWindows(bus, number));
  placeWindows(
    bus,
    windows.filter((w) => w.isIo),
    PORTS,
  );
  placeWindows(
    bus,
    windows.filter((w) => !w.isIo),
    MEMORY,
  );
  for (const number of bus.numbers) {
    const pin = bus.readConfig(number, CONFIG.interruptPin, 1);
    if (pin !== 0) bus.writeConfig(number, CONFIG.interruptLine, 1, firstRoutes[inputOf(number >> 3, pin - 1)]);
  }
}
