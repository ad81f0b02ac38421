// The `pc` board: a PC of about 2010 without a graphics card. It wires the devices to ports, addresses and interrupt inputs, and answers the vCPUs.
// Made in two steps, because an accelerator wants the board's answers before it has memory: the constructor, then `attach(memory)`.
//
// RAM goes before devices: an address in the map's regions never comes here. Line A20 is always open, as on PCs since 2008: the gates on port 0x92 and
// in the keyboard controller keep their bit and do nothing. 0xc0000..0xfffff is RAM, so a firmware's copy there can be written, as after shadowing.

import type { BoardPorts, InterruptController, VmConfig } from '@anillo/accel/accelerator';
import { gpa } from '@anillo/base/gpa';
import { IoBus } from '@anillo/devices/bus/io-bus';
import { MmioBus } from '@anillo/devices/bus/mmio-bus';
import type { GuestClock } from '@anillo/devices/clock/guest-clock';
import type { AccessBytes, BoardControl, CharBackend, Device, IoRange, IrqLine } from '@anillo/devices/device';
import { I8042 } from '@anillo/devices/input/i8042';
import { LocalApicBus } from '@anillo/devices/irqchip/apic-bus';
import { I8259 } from '@anillo/devices/irqchip/i8259';
import { IoApic } from '@anillo/devices/irqchip/io-apic';
import { IrqRouter } from '@anillo/devices/irqchip/irq-router';
import { LocalApic } from '@anillo/devices/irqchip/local-apic';
import { HostBridge } from '@anillo/devices/pci/host-bridge';
import { SouthBridge } from '@anillo/devices/pci/south-bridge';
import { COM_PORTS, Uart16550 } from '@anillo/devices/serial/uart16550';
import { DebugConsole } from '@anillo/devices/system/debug-console';
import { FwCfg } from '@anillo/devices/system/fw-cfg';
import { IsaDebugExit } from '@anillo/devices/system/isa-debug-exit';
import { PcTestdev } from '@anillo/devices/system/pc-testdev';
import { Port92 } from '@anillo/devices/system/port92';
import { PvPanic } from '@anillo/devices/system/pvpanic';
import { ACPI_PM, AcpiPm } from '@anillo/devices/timer/acpi-pm';
import { CmosRtc } from '@anillo/devices/timer/cmos-rtc';
import { Hpet } from '@anillo/devices/timer/hpet';
import { I8254 } from '@anillo/devices/timer/i8254';
import type { GuestMemory } from '@anillo/memory/guest-memory';
import { loadSegments, type Segment } from '../boot/load-plan.ts';
import { fillFwCfg } from '../firmware/fw-cfg-content.ts';
import { INTERRUPT_PORT_WRITES, realModeInterrupts } from '../firmware/interrupt-setup.ts';
import { POWER_PORT_WRITES } from '../firmware/power-setup.ts';
import { ACPI_FILES } from '../firmware/acpi.ts';
import {
  buildPcTables,
  IO_APIC_ID,
  PC_PORTS,
  PC_RSDP_ADDRESS,
  type PcTables,
  placePcTables,
  wakingVectorAddress,
} from '../firmware/pc-tables.ts';
import { FOUR_GIB, KIB, PC_MEMORY, type PcMemoryMap, pcMemoryMap } from './memory-map.ts';

export interface PcBoardOptions {
  readonly memoryBytes: number;
  readonly cpuModel: string;
  readonly clock: GuestClock;
  /** Firmware at the reset vector (checked by boot/firmware.ts). Without: tables are put into memory for the operating system to find. */
  readonly bios?: Uint8Array;
  /** COM1, COM2...: present for each element, with nothing attached where undefined. At most four. */
  readonly serial: readonly (CharBackend | undefined)[];
  /** What guests write to ports 0xe9 and 0x402. */
  readonly debugConsole?: CharBackend;
  /** isa-debug-exit: ends the machine with a status of the guest's choice. */
  readonly debugExit?: { readonly port: number; readonly byteCount: number };
  /** The device that kvm-unit-tests drive. */
  readonly testDevice?: boolean;
  /** TSC ticks in a second of guest time, for the local APIC's deadline timer. */
  readonly tscHz: number;
}

export interface PcBoardEvents extends BoardControl {
  debugExit(status: number): void;
  /** The guest suspended itself to RAM: its CPU stops here, until `wake`. */
  suspend(): void;
  /** The CPU starts again, at the board's `wakingVector`. */
  wake(): void;
  /** An interrupt input went up: a vCPU that waits may have something to do. */
  activity(): void;
}

const SHADOW_BYTES = 128 * KIB;

export class PcBoard implements BoardPorts {
  readonly map: PcMemoryMap;
  readonly rsdpAddress = PC_RSDP_ADDRESS;
  readonly #options: PcBoardOptions;
  readonly #events: PcBoardEvents;
  #tables: PcTables;
  readonly #serialPorts: readonly { readonly port: number; readonly irq: number }[];
  readonly #ports = new IoBus();
  readonly #mmio = new MmioBus();
  readonly #devices: Device[] = [];
  readonly #localApic: LocalApic;
  readonly #power: AcpiPm;
  /** Where the south bridge decodes the power management block now. */
  #powerRange: IoRange | undefined;
  readonly #cmos: CmosRtc;
  #localApicBase: number;
  #fwCfg: FwCfg | undefined;
  #memory: GuestMemory | undefined;

  constructor(options: PcBoardOptions, events: PcBoardEvents) {
    this.#options = options;
    this.#events = events;
    this.map = pcMemoryMap(options.memoryBytes, options.bios?.length ?? 0);
    this.#serialPorts = options.serial.slice(0, COM_PORTS.length).map((_, i) => ({ port: COM_PORTS[i].base, irq: COM_PORTS[i].irq }));
    this.#tables = this.#buildTables(ACPI_PM.eventPort);

    const { clock, tscHz } = options;
    const bus = new LocalApicBus();
    const pic = this.#add(new I8259());
    this.#localApic = this.#add(
      new LocalApic({
        id: 0,
        clock,
        bus,
        acknowledgePic: () => pic.acknowledge(),
        tscToNs: (low, high) => ((high * 0x1_0000_0000 + (low >>> 0)) * 1e9) / tscHz,
      }),
    );
    const ioApic = this.#add(new IoApic({ bus, id: IO_APIC_ID, base: PC_MEMORY.IOAPIC }));
    bus.attach(this.#localApic);
    bus.attachIoApic(ioApic);
    pic.onOutput = (level) => this.#localApic.setLint0(level);
    this.#localApic.onInit = () => events.reset();
    this.#localApicBase = this.#localApic.windowBase ?? -1;
    this.#localApic.onWindowChange = (base) => {
      this.#localApicBase = base ?? -1;
    };
    const router = this.#add(new IrqRouter({ pic, ioApic }));
    const irq = (gsi: number): IrqLine => this.#line(router, gsi);

    const timer = this.#add(new I8254({ clock, irq: irq(0) }));
    this.#cmos = this.#add(new CmosRtc({ clock, irq: irq(8), onAlarm: () => this.#power.raiseRtcAlarm() }));
    const onLegacyReplacement = (replaced: boolean): void => {
      timer.setIrqEnabled(!replaced);
      this.#cmos.setIrqEnabled(!replaced);
    };
    this.#add(new Hpet({ clock, irq, onLegacyReplacement, base: PC_MEMORY.HPET }));
    this.#power = this.#addPower(irq(ACPI_PM.sciGsi));
    this.#powerRange = this.#power.block;
    const hostBridge = this.#add(new HostBridge());
    this.#placePower(undefined);
    this.#add(new SouthBridge({ bridge: hostBridge, onPowerPort: (port) => this.#placePower(port) }));
    this.#add(new I8042({ control: events, keyboardIrq: irq(1), mouseIrq: irq(12) }));
    this.#add(new Port92({ control: events }));
    this.#addConsoles(irq);
    this.#addTestDevices(irq);
  }

  /** Waking up is the firmware's work; what stands in for it here is for guests without one. */
  get #suspends(): boolean {
    return this.#options.bios === undefined;
  }

  #addPower(sci: IrqLine): AcpiPm {
    const events = this.#events;
    const onSleep = (type: number): void => {
      if (type === ACPI_PM.sleepTypeS3 && this.#suspends) events.suspend();
    };
    return this.#add(new AcpiPm({ clock: this.#options.clock, control: events, sci, onSleep, onWake: () => events.wake() }));
  }

  /** For `Accelerator.createVm`. */
  get regions(): VmConfig['regions'] {
    return this.map.regions;
  }

  /** Every device, in a fixed order: what a snapshot goes through. */
  get devices(): readonly Device[] {
    return this.#devices;
  }

  /** Gives the board the machine's memory: the devices that reach it come now. Once, before `reset`. */
  attach(memory: GuestMemory): void {
    this.#memory = memory;
    const fwCfg = new FwCfg({ memory });
    fillFwCfg(fwCfg, {
      map: this.map,
      cpuCount: 1,
      acpi: this.#tables.acpi,
      smbios: this.#tables.smbios,
      consolePort: this.#serialPorts[0]?.port,
    });
    this.#fwCfg = this.#add(fwCfg);
    this.#cmos.setMemorySize(this.map.lowEnd, this.map.highBytes);
  }

  #buildTables(powerPort: number): PcTables {
    const { cpuModel } = this.#options;
    return buildPcTables({ map: this.map, cpuModel, cpuCount: 1, suspends: this.#suspends, serialPorts: this.#serialPorts, powerPort });
  }

  /** Firmware put the power management block elsewhere: the tables that it reads then are to say so. An overlay, for a guest may choose any ports. */
  #placePower(port: number | undefined): void {
    if (this.#powerRange !== undefined) this.#ports.remove(this.#powerRange);
    this.#powerRange = undefined;
    if (port === undefined) return;
    this.#powerRange = { ...this.#power.block, start: port, overlay: true };
    this.#ports.add(this.#powerRange);
    this.#tables = this.#buildTables(port);
    this.#fwCfg?.add(ACPI_FILES.tables, this.#tables.acpi.tables);
  }

  #add<D extends Device>(device: D): D {
    this.#devices.push(device);
    for (const range of device.ports ?? []) this.#ports.add(range);
    for (const range of device.mmio ?? []) this.#mmio.add(range);
    return device;
  }

  /** An input of the interrupt router that tells the machine when it goes up. */
  #line(router: IrqRouter, gsi: number): IrqLine {
    const line = router.line(gsi);
    const events = this.#events;
    return {
      raise() {
        line.raise();
        events.activity();
      },
      lower: () => line.lower(),
    };
  }

  #addConsoles(irq: (gsi: number) => IrqLine): void {
    const { debugConsole, serial } = this.#options;
    this.#serialPorts.forEach((s, i) => {
      this.#add(new Uart16550({ irq: irq(s.irq), base: s.port, backend: serial[i] }));
    });
    this.#add(new DebugConsole({ backend: debugConsole }));
  }

  #addTestDevices(irq: (gsi: number) => IrqLine): void {
    const { debugExit, testDevice } = this.#options;
    const events = this.#events;
    this.#add(new PvPanic({ control: events, port: PC_PORTS.PANIC }));
    if (debugExit !== undefined) {
      const control: BoardControl = {
        powerOff: (status) => events.debugExit(status),
        reset: () => events.reset(),
        panicked: () => events.panicked(),
      };
      this.#add(new IsaDebugExit({ control, iobase: debugExit.port, iosize: debugExit.byteCount }));
    }
    if (testDevice === true) this.#add(new PcTestdev({ irq }));
  }

  /** Power-on state of the devices, firmware and its tables in memory. RAM keeps what it holds, as on a PC that resets. */
  reset(): void {
    for (const device of this.#devices) device.reset();
    this.#localApicBase = this.#localApic.windowBase ?? -1;
    const memory = this.#memory;
    if (memory === undefined) return;
    const { bios } = this.#options;
    if (bios === undefined) {
      loadSegments(memory, [...placePcTables(this.#tables, this.#serialPorts), ...realModeInterrupts()]);
      this.#setUpPorts();
      return;
    }
    memory.load(gpa(FOUR_GIB - bios.length), bios);
    const shadow: Uint8Array = bios.subarray(Math.max(0, bios.length - SHADOW_BYTES));
    const segment: Segment = { address: PC_MEMORY.HIGH - shadow.length, bytes: shadow, byteCount: shadow.length };
    loadSegments(memory, [segment]);
  }

  /** The firmware's settings of devices. */
  #setUpPorts(): void {
    for (const [port, value] of INTERRUPT_PORT_WRITES) this.writePort(port, 1, value);
    for (const [port, byteCount, value] of POWER_PORT_WRITES) this.writePort(port, byteCount, value);
  }

  /** After a suspend to RAM: memory is as it was, and the devices whose power stayed on. */
  resume(): void {
    for (const device of this.#devices) if (device !== this.#power && device !== this.#cmos) device.reset();
    this.#localApicBase = this.#localApic.windowBase ?? -1;
    this.#setUpPorts();
  }

  /** Where the guest wants to go on after a suspend to RAM, in real mode. */
  get wakingVector(): number {
    const bytes = this.#memory?.read(gpa(wakingVectorAddress(this.#tables)), 4) ?? new Uint8Array(4);
    return (bytes[0] | (bytes[1] << 8) | (bytes[2] << 16) | (bytes[3] << 24)) >>> 0;
  }

  /** The user pressed the power button: an operating system with ACPI shuts down. */
  pressPowerButton(): void {
    this.#power.pressPowerButton();
  }

  readPort(port: number, byteCount: AccessBytes): number {
    return this.#ports.read(port, byteCount);
  }

  writePort(port: number, byteCount: AccessBytes, value: number): void {
    this.#ports.write(port, byteCount, value);
  }

  readMmio(address: number, byteCount: AccessBytes): number {
    const into = address - this.#localApicBase;
    return this.#localApicBase >= 0 && into >= 0 && into + byteCount <= 0x1000
      ? this.#localApic.window.read(into, byteCount)
      : this.#mmio.read(address, byteCount);
  }

  writeMmio(address: number, byteCount: AccessBytes, value: number): void {
    const into = address - this.#localApicBase;
    if (this.#localApicBase >= 0 && into >= 0 && into + byteCount <= 0x1000) this.#localApic.window.write(into, byteCount, value);
    else this.#mmio.write(address, byteCount, value);
  }

  interrupts(_id: number): InterruptController {
    return this.#localApic;
  }

  nowNs(): number {
    return this.#options.clock.nowNs();
  }

  poll(): void {
    this.#options.clock.runDue();
  }
}
