// What a device is to the board, and what the board offers it. A device knows neither the CPU nor the accelerator.
// All calls come on the machine's thread. Guest mistakes never throw: reads give what the hardware gives (usually ones), writes are dropped.

import type { GuestMemory } from '@anillo/memory/guest-memory';
import type { Backends } from './backends.ts';
import type { ApicMessage, InterruptRemapper } from './irqchip/apic-message.ts';
import type { PciBus, PciPlace } from './pci/pci-bus.ts';
import type { DmaRemapper } from './pci/root-bus.ts';

export type AccessBytes = 1 | 2 | 4;

/** A range of I/O ports or of guest-physical addresses that a device serves. Offsets are relative to the range's start. */
export interface IoRange {
  readonly start: number;
  readonly byteCount: number;
  /** Widest access that the device serves (default 4); the bus splits wider ones, lowest address first. */
  readonly widestBytes?: AccessBytes;
  /** Lies within another device's range and goes before it (port 0xcf9 in 0xcf8..0xcff). */
  readonly overlay?: true;
  /** Yields to every other range and may overlap them: what a guest places where it likes, as the windows of PCI functions. */
  readonly underlay?: true;
  read(offset: number, byteCount: AccessBytes): number;
  write(offset: number, byteCount: AccessBytes, value: number): void;
}

/** An interrupt input of the board: level semantics; an edge is raise then lower. */
export interface IrqLine {
  raise(): void;
  lower(): void;
}

/** Guest time, and timers on it. Guest time stands still while the machine is paused. */
export interface Clock {
  /** Nanoseconds since power-on; never goes back. A double: exact to below 1 us for 100 days. */
  nowNs(): number;
  /** Calls `fire` once, as soon as possible after guest time `atNs`; a second `arm` replaces the first. */
  createTimer(fire: () => void): Timer;
  /** Wall-clock time of the guest, milliseconds since 1970 UTC. */
  wallMs(): number;
}

export interface Timer {
  arm(atNs: number): void;
  disarm(): void;
}

/** What the board does when a device asks. */
export interface BoardControl {
  /** Guest switched itself off; `status` is the exit status to report (0: orderly). */
  powerOff(status: number): void;
  reset(): void;
  /** Guest ended the machine with a status of its choice. */
  debugExit(status: number): void;
  /** Guest said that it crashed (pvpanic). */
  panicked(): void;
  /**
   * The host failed at something that a device asked of it, as the sentence says. `tryAgain`: the machine is to pause, and to call it when it goes on; else the
   * guest has been told.
   */
  hostFailed(sentence: string, tryAgain?: () => void): void;
}

/** A device with its state in one declared struct, saved and restored as bytes. */
export interface Device {
  readonly name: string;
  readonly ports?: readonly IoRange[];
  readonly mmio?: readonly IoRange[];
  /** What operating systems are told of it. */
  readonly acpi?: AcpiPart;
  /** Of a bridge: the bus behind it, for devices that ask for it by name. */
  readonly secondaryBus?: PciBus;
  /** Power-on state. */
  reset(): void;
  /** State for a snapshot: the struct's bytes (and whatever the device needs beyond), to be given back to `restore`. */
  save(): Uint8Array;
  restore(state: Uint8Array): void;
  /** Resolves when the host has nothing under way for it that touches guest memory; absent: never has. Awaited before a reset and before a snapshot. */
  settled?(): Promise<void>;
  [Symbol.dispose]?(): void;
}

/** Host end of a character device (serial port, debug console). Consumer side: what a UART needs. */
export interface CharBackend {
  /** Guest sends a byte. False: not now; `onDrain` is called when there is room again. */
  write(byte: number): boolean;
  onDrain: (() => void) | undefined;
  /** Bytes from the host wait in the back end until the device takes them; `onInput` says that some arrived. */
  readonly available: number;
  read(): number;
  onInput: (() => void) | undefined;
  /** Of the terminal, in characters; absent: it is none. */
  readonly size?: { readonly columns: number; readonly rows: number } | undefined;
  onResize?: (() => void) | undefined;
}

/** A table that a device brings into the board's ACPI tables, and a node in its namespace. */
export interface AcpiPart {
  readonly table?: { readonly signature: string; readonly revision: number; readonly body: Uint8Array };
  /** Name of four characters below \_SB, hardware id, named numbers, and what it occupies. */
  readonly node?: {
    readonly path: string;
    readonly hardwareId: string;
    readonly numbers: Readonly<Record<string, number>>;
    readonly ports: readonly { readonly start: number; readonly byteCount: number }[];
    readonly memory?: readonly { readonly start: number; readonly byteCount: number }[];
    /** Interrupt inputs: level, active high. */
    readonly interrupts?: readonly number[];
  };
}

/** Where an IOMMU goes: between devices and memory, and between devices (the I/O APIC among them) and the local APICs. */
export interface IommuPlace {
  readonly ioApicId: number;
  /** AnilloError if there is one already. */
  plug(memory: DmaRemapper, interrupts: InterruptRemapper | undefined): void;
  /** Interrupts of the IOMMU itself, which nobody remaps. */
  send(message: ApicMessage): boolean;
}

export interface MmioPlace {
  readonly start: number;
  readonly gsi: number;
  /** Counts such places. */
  readonly index: number;
}

/** What the board offers a device that a user adds. */
export interface DeviceContext {
  readonly clock: Clock;
  readonly memory: GuestMemory;
  readonly control: BoardControl;
  irq(line: number): IrqLine;
  /** The bus that a PCI device goes to. */
  readonly pci: PciPlace;
  /** By which others refer to the device; undefined: nobody gave it one. */
  readonly id?: string | undefined;
  /** Undefined: the board has no place for one. */
  readonly iommu: IommuPlace | undefined;
  readonly backends: Backends;
  /** Something of the host's is expected soon, such as the end of a transfer: the machine looks at the host's events more often for a while. */
  expectHost(): void;
  /** A page of device memory, and an interrupt input, for a device that no bus tells of. AnilloError when there are no more. */
  placeMmio(): MmioPlace;
}
