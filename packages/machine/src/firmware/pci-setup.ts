// PCI as firmware leaves it to what it boots (PCI Local Bus 3.0, 6.2.5.1; PCI-to-PCI Bridge Architecture 1.2): buses numbered, windows sized and placed, decoding
// on, interrupts routed. Bus mastering is left to drivers. Bridges get room for what may be plugged in behind them later.

import type { AccessBytes } from '@anillo/devices/device';
import { COMMAND, CONFIG } from '@anillo/devices/pci/config-space';
import { BRIDGE } from '@anillo/devices/pci/pci-bridge';
import type { PciBus } from '@anillo/devices/pci/pci-bus';
import type { ConfigWrite } from '../boards/board-model.ts';
import { PC_MEMORY } from '../boards/memory-map.ts';
import type { PciInterrupts } from './dsdt.ts';

const BAR_COUNT = { function: 6, bridge: 2 } as const;
const LAST_BUS = 255;
const BAR = { io: 1, memory64: 4, prefetchable: 8 } as const;
const PORTS = { start: 0xc000, end: 0x10000 } as const;
/** Device memory on every board, clear of PCI configuration. */
const MEMORY = { start: 0xc0000000, end: PC_MEMORY.IOAPIC } as const;
/** Memory of each kind behind a bridge, at least. */
const ROOM_BYTES = 0x200000;

type Kind = 'io' | 'memory' | 'prefetch';

/** Addresses that a function, or what is behind a bridge, is to have. */
interface Wish {
  readonly kind: Kind;
  readonly byteCount: number;
  readonly alignment: number;
  place(start: number): void;
}

/** The bus with its number, and the input to which a device's pin there leads. */
interface Place {
  readonly bus: PciBus;
  readonly busNumber: number;
  inputOf(device: number, pin: number): number;
}

function turnOn(bus: PciBus, number: number, kind: Kind): void {
  const command = bus.readConfig(number, CONFIG.command, 2);
  bus.writeConfig(number, CONFIG.command, 2, command | (kind === 'io' ? COMMAND.io : COMMAND.memory));
}

/** A function's own windows, by writing ones and reading what stays. */
function windowsOf(bus: PciBus, number: number, barCount: number): Wish[] {
  const wishes: Wish[] = [];
  for (let bar = 0; bar < barCount; bar++) {
    const at = CONFIG.bar + bar * 4;
    bus.writeConfig(number, at, 4, 0xffffffff);
    const mask = bus.readConfig(number, at, 4);
    bus.writeConfig(number, at, 4, 0);
    if (mask === 0) continue;
    const isIo = (mask & BAR.io) !== 0;
    const is64 = !isIo && (mask & BAR.memory64) !== 0;
    const kind = isIo ? 'io' : is64 && (mask & BAR.prefetchable) !== 0 ? 'prefetch' : 'memory';
    const byteCount = -(mask & (isIo ? ~3 : ~15)) >>> 0;
    const place = (start: number): void => {
      bus.writeConfig(number, at, 4, start);
      if (is64) bus.writeConfig(number, at + 4, 4, 0);
      turnOn(bus, number, kind);
    };
    wishes.push({ kind, byteCount, alignment: byteCount, place });
    if (is64) bar++;
  }
  return wishes;
}

/** Places what fits, strictest alignment first, so that it costs nothing; returns the end. What does not fit stays off. */
function pack(wishes: readonly Wish[], start: number, end: number, place: (wish: Wish, at: number) => void): number {
  let next = start;
  for (const wish of [...wishes].sort((a, b) => b.alignment - a.alignment)) {
    const at = Math.ceil(next / wish.alignment) * wish.alignment;
    if (at + wish.byteCount > end) continue;
    next = at + wish.byteCount;
    place(wish, at);
  }
  return next;
}

interface BridgeWindow {
  readonly kind: Kind;
  readonly base: number;
  readonly limit: number;
  readonly width: AccessBytes;
  /** Bits that an address is shifted by. */
  readonly shift: number;
  readonly unit: number;
  readonly room: number;
}

const BRIDGE_WINDOWS: readonly BridgeWindow[] = [
  { kind: 'io', base: BRIDGE.ioBase, limit: BRIDGE.ioLimit, width: 1, shift: 8, unit: BRIDGE.ioBytes, room: 0 },
  { kind: 'memory', base: BRIDGE.memoryBase, limit: BRIDGE.memoryLimit, width: 2, shift: 16, unit: BRIDGE.memoryBytes, room: ROOM_BYTES },
  {
    kind: 'prefetch',
    base: BRIDGE.prefetchBase,
    limit: BRIDGE.prefetchLimit,
    width: 2,
    shift: 16,
    unit: BRIDGE.memoryBytes,
    room: ROOM_BYTES,
  },
];

/** Shuts a bridge's window, and says what is to go into it. */
function wishOfBridge(bus: PciBus, number: number, window: BridgeWindow, behind: readonly Wish[]): Wish[] {
  const { kind, base, limit, width, shift, unit, room } = window;
  bus.writeConfig(number, base, width, 0xfff0);
  bus.writeConfig(number, limit, width, 0);
  const wishes = behind.filter((wish) => wish.kind === kind);
  const end = pack(wishes, 0, Number.POSITIVE_INFINITY, () => {});
  const byteCount = Math.ceil(Math.max(end, room) / unit) * unit;
  if (byteCount === 0) return [];
  const place = (start: number): void => {
    bus.writeConfig(number, base, width, start >>> shift);
    bus.writeConfig(number, limit, width, (start + byteCount - 1) >>> shift);
    turnOn(bus, number, kind);
    pack(wishes, start, start + byteCount, (wish, at) => wish.place(at));
  };
  return [{ kind, byteCount, alignment: Math.max(unit, ...wishes.map((wish) => wish.alignment)), place }];
}

class Enumeration {
  #lastBus = 0;
  readonly #firstRoutes: readonly number[];

  constructor(firstRoutes: readonly number[]) {
    this.#firstRoutes = firstRoutes;
  }

  /** What functions of a bus want, and those behind them; their interrupts are told, and buses behind bridges numbered. */
  wishesOf({ bus, busNumber, inputOf }: Place): Wish[] {
    return bus.numbers.flatMap((number): Wish[] => {
      const pin = bus.readConfig(number, CONFIG.interruptPin, 1);
      if (pin !== 0) bus.writeConfig(number, CONFIG.interruptLine, 1, this.#firstRoutes[inputOf(number >> 3, pin - 1)]);
      const secondary = bus.functionAt(number)?.secondary;
      if (secondary === undefined) return windowsOf(bus, number, BAR_COUNT.function);
      const own = windowsOf(bus, number, BAR_COUNT.bridge);
      if (this.#lastBus === LAST_BUS) return own;
      const behind = this.#enter(bus, number, busNumber, {
        bus: secondary,
        inputOf: (device, p) => inputOf(number >> 3, (device + p) & 3),
      });
      return [...own, ...BRIDGE_WINDOWS.flatMap((window) => wishOfBridge(bus, number, window, behind))];
    });
  }

  #enter(bus: PciBus, number: number, busNumber: number, behind: Omit<Place, 'busNumber'>): Wish[] {
    const own = ++this.#lastBus;
    bus.writeConfig(number, BRIDGE.primary, 1, busNumber);
    bus.writeConfig(number, BRIDGE.secondary, 1, own);
    const wishes = this.wishesOf({ ...behind, busNumber: own });
    bus.writeConfig(number, BRIDGE.subordinate, 1, this.#lastBus);
    return wishes;
  }
}

export function setUpPci(bus: PciBus, interrupts: PciInterrupts, writes: readonly ConfigWrite[]): void {
  const { bridgeDevice, routeRegisters, firstRoutes, inputOf } = interrupts;
  for (const w of writes) bus.writeConfig(w.number, w.offset, w.byteCount, w.value);
  routeRegisters.forEach((register, input) => {
    bus.writeConfig(bridgeDevice << 3, register, 1, firstRoutes[input]);
  });
  const wishes = new Enumeration(firstRoutes).wishesOf({ bus, busNumber: 0, inputOf: (device, pin) => inputOf(device, pin) });
  for (const [range, isIo] of [
    [PORTS, true],
    [MEMORY, false],
  ] as const)
    pack(
      wishes.filter(({ kind }) => (kind === 'io') === isIo),
      range.start,
      range.end,
      (wish, at) => wish.place(at),
    );
}
