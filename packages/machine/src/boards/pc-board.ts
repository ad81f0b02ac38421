// What all boards share: it wires the devices to ports, addresses and interrupt inputs, and answers the vCPUs. A board's own chips are its model's.
// Made in two steps, because an accelerator wants the board's answers before it has memory: the constructor, then `attach(memory)`.
//
// RAM goes before devices: an address in the map's regions never comes here. Line A20 is always open, as on PCs since 2008: the gates on port 0x92 and
// in the keyboard controller keep their bit and do nothing. 0xc0000..0xfffff is RAM, so a firmware's copy there can be written, as after shadowing.

import type { BoardPorts, InterruptController, VmConfig } from '@anillo/accel/accelerator';
import { AnilloError } from '@anillo/base/anillo-error';
import { gpa } from '@anillo/base/gpa';
import { IoBus } from '@anillo/devices/bus/io-bus';
import { MmioBus } from '@anillo/devices/bus/mmio-bus';
import { Backends, type BackendsByName } from '@anillo/devices/backends';
import type { GuestClock } from '@anillo/devices/clock/guest-clock';
import type { AccessBytes, BoardControl, CharBackend, Device, IommuPlace, IoRange, IrqLine, MmioPlace } from '@anillo/devices/device';
import type { DeviceOptions } from '@anillo/devices/device-declaration';
import { I8042 } from '@anillo/devices/input/i8042';
import { LocalApicBus } from '@anillo/devices/irqchip/apic-bus';
import { I8259 } from '@anillo/devices/irqchip/i8259';
import { FarApic } from '@anillo/devices/irqchip/far-apic';
import { IoApic } from '@anillo/devices/irqchip/io-apic';
import { IrqRouter } from '@anillo/devices/irqchip/irq-router';
import { LocalApic } from '@anillo/devices/irqchip/local-apic';
import { ConfigMechanism } from '@anillo/devices/pci/config-mechanism';
import { ACPI_HOT_PLUG, AcpiHotPlug } from '@anillo/devices/pci/acpi-hot-plug';
import type { EcamPlace } from '@anillo/devices/pci/q35-host-bridge';
import { RootBus } from '@anillo/devices/pci/root-bus';
import { COM_PORTS, Uart16550 } from '@anillo/devices/serial/uart16550';
import { DebugConsole } from '@anillo/devices/system/debug-console';
import { FwCfg } from '@anillo/devices/system/fw-cfg';
import { Port92 } from '@anillo/devices/system/port92';
import { ACPI_PM, AcpiPm } from '@anillo/devices/timer/acpi-pm';
import { CmosRtc } from '@anillo/devices/timer/cmos-rtc';
import { Hpet } from '@anillo/devices/timer/hpet';
import { I8254 } from '@anillo/devices/timer/i8254';
import type { GuestMemory } from '@anillo/memory/guest-memory';
import { loadSegments, type Segment } from '../boot/load-plan.ts';
import { fillFwCfg } from '../firmware/fw-cfg-content.ts';
import { INTERRUPT_PORT_WRITES, realModeInterrupts } from '../firmware/interrupt-setup.ts';
import { setUpPci } from '../firmware/pci-setup.ts';
import { ACPI_FILES } from '../firmware/acpi.ts';
import { buildPcTables, IO_APIC_ID, PC_RSDP_ADDRESS, type PcTables, placePcTables, wakingVectorAddress } from '../firmware/pc-tables.ts';
import type { ProcessorCells } from '../smp/processor-cells.ts';
import type { BoardModel } from './board-model.ts';
import { FOUR_GIB, KIB, PC_MEMORY, type PcMemoryMap, pcMemoryMap } from './memory-map.ts';
import { tscToNs } from './tsc-time.ts';
import { UserDevices } from './user-devices.ts';

export interface PcBoardOptions {
  readonly model: BoardModel;
  readonly memoryBytes: number;
  readonly cpuModel: string;
  /** With more than one, `cells` has what the CPUs' threads share. */
  readonly cpuCount?: number;
  readonly cells?: ProcessorCells;
  /** Has another CPU's thread look at its inbox. */
  readonly kick?: (id: number) => void;
  readonly clock: GuestClock;
  /** Firmware at the reset vector (checked by boot/firmware.ts). Without: tables are put into memory for the operating system to find. */
  readonly bios?: Uint8Array;
  /** COM1, COM2...: present for each element, with nothing attached where undefined. At most four. */
  readonly serial: readonly (CharBackend | undefined)[];
  /** What guests write to ports 0xe9 and 0x402. */
  readonly debugConsole?: CharBackend;
  /** Devices of the catalog, beyond those that every board has. */
  readonly devices?: readonly DeviceOptions[];
  /** What those are attached to. */
  readonly backends?: BackendsByName;
  /** TSC ticks in a second of guest time, for the local APIC's deadline timer. */
  readonly tscHz: number;
}

export interface PcBoardEvents extends BoardControl {
  /** The guest suspended itself to RAM: its CPU stops here, until `wake`. */
  suspend(): void;
  /** The CPU starts again, at the board's `wakingVector`. */
  wake(): void;
  /** An interrupt input went up: a vCPU that waits may have something to do. */
  activity(): void;
  /** A vCPU on the machine's thread looked up from its work. */
  polled?(): void;
  /** A device expects something of the host soon. */
  expectHost?(): void;
}

const SHADOW_BYTES = 128 * KIB;
/** Every board has these, unless the user gives one of the model. */
const USUAL_DEVICES: readonly DeviceOptions[] = [{ model: 'pvpanic' }];

export class PcBoard implements BoardPorts {
  readonly map: PcMemoryMap;
  readonly rsdpAddress = PC_RSDP_ADDRESS;
  readonly #options: PcBoardOptions;
  readonly #events: PcBoardEvents;
  #tables: PcTables | undefined;
  /** Where what the tables tell of is, or was last. */
  #powerPort: number = ACPI_PM.eventPort;
  #ecam: EcamPlace | undefined;
  readonly #serialPorts: readonly { readonly port: number; readonly irq: number }[];
  readonly #ports = new IoBus();
  readonly #mmio = new MmioBus();
  readonly #devices: Device[] = [];
  readonly #apicBus = new LocalApicBus();
  readonly #router: IrqRouter;
  readonly #pci: RootBus;
  readonly #localApic: LocalApic;
  readonly #pic: I8259;
  readonly #power: AcpiPm;
  /** Where the south bridge decodes the power management block now. */
  #powerRange: IoRange | undefined;
  readonly #cmos: CmosRtc;
  #localApicBase: number;
  #fwCfg: FwCfg | undefined;
  #userDevices: UserDevices | undefined;
  #memory: GuestMemory | undefined;
  #mmioPlaces = 0;

  constructor(options: PcBoardOptions, events: PcBoardEvents) {
    this.#options = options;
    this.#events = events;
    const { model } = options;
    this.map = pcMemoryMap(options.memoryBytes, options.bios?.length ?? 0, model.layout);
    this.#ecam = model.layout.ecam;
    this.#serialPorts = options.serial.slice(0, COM_PORTS.length).map((_, i) => ({ port: COM_PORTS[i].base, irq: COM_PORTS[i].irq }));

    const { clock, tscHz } = options;
    const bus = this.#apicBus;
    const pic = this.#add(new I8259());
    this.#pic = pic;
    const bootBuffer = options.cells?.apicBuffers[0];
    this.#localApic = this.#add(
      new LocalApic({ id: 0, clock, bus, acknowledgePic: () => pic.acknowledge(), tscToNs: tscToNs(tscHz), stateBuffer: bootBuffer }),
    );
    const ioApic = this.#add(new IoApic({ bus, id: IO_APIC_ID, base: PC_MEMORY.IOAPIC }));
    bus.attach(this.#localApic);
    this.#addFarApics();
    bus.attachIoApic(ioApic);
    pic.onOutput = (level) => this.#localApic.setLint0(level);
    this.#localApic.onInit = () => events.reset();
    this.#localApicBase = this.#localApic.windowBase ?? -1;
    this.#localApic.onWindowChange = (base) => {
      this.#localApicBase = base ?? -1;
    };
    this.#router = this.#add(new IrqRouter({ pic, ioApic }));
    const irq = (gsi: number): IrqLine => this.#line(gsi);

    const timer = this.#add(new I8254({ clock, irq: irq(0) }));
    this.#cmos = this.#add(new CmosRtc({ clock, irq: irq(8), onAlarm: () => this.#power.raiseRtcAlarm() }));
    const onLegacyReplacement = (replaced: boolean): void => {
      timer.setIrqEnabled(!replaced);
      this.#cmos.setIrqEnabled(!replaced);
    };
    this.#add(new Hpet({ clock, irq, onLegacyReplacement, base: PC_MEMORY.HPET }));
    this.#power = this.#addPower(irq(ACPI_PM.sciGsi));
    this.#powerRange = this.#power.block;
    this.#placePower(undefined);
    this.#pci = this.#addPci(irq);
    this.#add(new I8042({ control: events, keyboardIrq: irq(1), mouseIrq: irq(12) }));
    this.#add(new Port92({ control: events }));
    this.#addConsoles(irq);
  }

  /** The local APICs of other CPUs: here only their power-on state is set; their threads serve them. */
  #addFarApics(): void {
    const { cells, clock, kick } = this.#options;
    for (let id = 1; id < this.#cpuCount && cells !== undefined; id++) {
      this.#add(new LocalApic({ id, clock, bus: this.#apicBus, bootProcessor: false, stateBuffer: cells.apicBuffers[id] }));
      this.#apicBus.attach(new FarApic({ id, cells: cells.apics[id], inbox: cells.inboxes[id], kick: () => kick?.(id) }));
    }
  }
  get #cpuCount(): number {
    return this.#options.cpuCount ?? 1;
  }
  get bootApic(): LocalApic {
    return this.#localApic;
  }
  acknowledgePic(): number {
    return this.#pic.acknowledge();
  }
  endOfInterrupt(vector: number): void {
    this.#apicBus.endOfInterrupt(vector);
  }

  #addPci(irq: (gsi: number) => IrqLine): RootBus {
    const { model } = this.#options;
    const bus = new RootBus({
      ports: this.#ports,
      mmio: this.#mmio,
      firstFreeDevice: model.firstFreeDevice,
      kind: model.rootBus,
      messages: {
        sendMessage: (address, data, source) => {
          const isAccepted = this.#apicBus.sendMessage(address, data, source);
          this.#events.activity();
          return isAccepted;
        },
      },
    });
    this.#add(new ConfigMechanism(bus));
    bus.hotPlug = this.#add(
      new AcpiHotPlug({ raise: () => this.#power.raiseGpe(ACPI_HOT_PLUG.gpe), onEject: (device) => bus.onEject?.(device) }),
    );
    const onPowerPort = (port: number | undefined): void => this.#placePower(port);
    const onEcam = (place: EcamPlace | undefined): void => this.#placeEcam(place);
    for (const bridge of model.createBridges({ bus, irq, onPowerPort, onEcam })) this.#add(bridge);
    return bus;
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
    const { clock, model } = this.#options;
    return this.#add(new AcpiPm({ clock, control: events, sci, onSleep, onWake: () => events.wake(), hasSmiEnable: model.hasSmiEnable }));
  }

  /** For `Accelerator.createVm`. */
  get regions(): VmConfig['regions'] {
    return this.map.regions;
  }

  /** Devices that the user has added and may add; after `attach`. */
  get userDevices(): UserDevices {
    if (this.#userDevices === undefined) throw new AnilloError('STATE', 'The board has no memory yet; attach it first.');
    return this.#userDevices;
  }

  /** Every device, in a fixed order: what a snapshot goes through. */
  get devices(): readonly Device[] {
    return this.#devices;
  }

  /** Gives the board the machine's memory: the devices that reach it come now. Once, before `reset`. */
  attach(memory: GuestMemory): void {
    this.#memory = memory;
    this.#pci.memory = memory;
    this.#userDevices = this.#addUserDevices(memory);
    const tables = this.#buildTables();
    this.#tables = tables;
    const fwCfg = new FwCfg({ memory });
    fillFwCfg(fwCfg, {
      map: this.map,
      cpuCount: this.#cpuCount,
      acpi: tables.acpi,
      smbios: tables.smbios,
      consolePort: this.#serialPorts[0]?.port,
    });
    this.#fwCfg = this.#add(fwCfg);
    this.#cmos.setMemorySize(this.map.lowEnd, this.map.highBytes);
  }

  #buildTables(): PcTables {
    const { cpuModel, model } = this.#options;
    return buildPcTables({
      map: this.map,
      cpuModel,
      cpuCount: this.#cpuCount,
      suspends: this.#suspends,
      serialPorts: this.#serialPorts,
      powerPort: this.#powerPort,
      pciInterrupts: model.pciInterrupts,
      ecam: this.#ecam,
      hotPlugDevices: this.#userDevices?.slots ?? [],
      parts: this.#devices.flatMap((device) => device.acpi ?? []),
    });
  }

  /** Firmware put something elsewhere: the tables that it reads then are to say so. */
  #rebuildTables(): void {
    if (this.#tables === undefined) return;
    this.#tables = this.#buildTables();
    this.#fwCfg?.add(ACPI_FILES.tables, this.#tables.acpi.tables);
  }

  /** The power management block is decoded there now: an overlay, for a guest may choose any ports. */
  #placePower(port: number | undefined): void {
    if (this.#powerRange !== undefined) this.#ports.remove(this.#powerRange);
    this.#powerRange = undefined;
    if (port === undefined) return;
    this.#powerRange = { ...this.#power.block, start: port, overlay: true };
    this.#ports.add(this.#powerRange);
    if (port === this.#powerPort) return;
    this.#powerPort = port;
    this.#rebuildTables();
  }

  #placeEcam(place: EcamPlace | undefined): void {
    if (place === undefined || (place.start === this.#ecam?.start && place.byteCount === this.#ecam.byteCount)) return;
    this.#ecam = { start: place.start, byteCount: place.byteCount };
    this.#rebuildTables();
  }

  #add<D extends Device>(device: D): D {
    this.#devices.push(device);
    for (const range of device.ports ?? []) this.#ports.add(range);
    for (const range of device.mmio ?? []) this.#mmio.add(range);
    return device;
  }

  #remove(device: Device): void {
    this.#devices.splice(this.#devices.indexOf(device), 1);
    for (const range of device.ports ?? []) this.#ports.remove(range);
    for (const range of device.mmio ?? []) this.#mmio.remove(range);
  }

  /** An input of the interrupt router that tells the machine when it goes up. */
  #line(gsi: number): IrqLine {
    const line = this.#router.line(gsi);
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

  /** AnilloError for a device that does not fit this board, or another device. */
  #addUserDevices(memory: GuestMemory): UserDevices {
    const { devices = [], backends = {}, clock } = this.#options;
    const usual = USUAL_DEVICES.filter(({ model }) => devices.every((device) => device.model !== model));
    const irq = (gsi: number): IrqLine => this.#line(gsi);
    const added = new UserDevices({
      root: this.#pci,
      add: (device) => this.#add(device),
      remove: (device) => this.#remove(device),
      parts: {
        ...{ clock, memory, control: this.#events, irq, iommu: this.#iommuPlace() },
        backends: new Backends(backends),
        expectHost: () => this.#events.expectHost?.(),
        placeMmio: () => this.#placeMmio(),
      },
    });
    for (const device of [...usual, ...devices]) added.add(device);
    added.offerSlots();
    return added;
  }

  #placeMmio(): MmioPlace {
    const { mmioInterrupts, name } = this.#options.model;
    const index = this.#mmioPlaces++;
    if (index >= mmioInterrupts.length) {
      const most = `The machine ${name} has interrupts for ${mmioInterrupts.length} virtio devices over MMIO`;
      throw new AnilloError('BAD_OPTION', `${most}; put the others on the PCI bus (virtio-...-pci).`);
    }
    return { start: PC_MEMORY.VIRTIO_MMIO + index * PC_MEMORY.VIRTIO_MMIO_STRIDE, gsi: mmioInterrupts[index], index };
  }

  #iommuPlace(): IommuPlace | undefined {
    if (!this.#options.model.hasIommu) return undefined;
    const pci = this.#pci;
    const apicBus = this.#apicBus;
    return {
      ioApicId: IO_APIC_ID,
      plug(memory, interrupts) {
        if (pci.remapper !== undefined) throw new AnilloError('BAD_OPTION', 'The machine has an IOMMU already; give one only.');
        pci.remapper = memory;
        apicBus.remapper = interrupts;
      },
      send: ({ command, destination }) => apicBus.send(command, destination, undefined),
    };
  }

  /** Power-on state of the devices, firmware and its tables in memory. RAM keeps what it holds, as on a PC that resets. */
  reset(): void {
    this.#userDevices?.reset();
    for (const device of this.#devices) device.reset();
    this.#localApicBase = this.#localApic.windowBase ?? -1;
    const memory = this.#memory;
    if (memory === undefined) return;
    const { bios } = this.#options;
    if (bios === undefined && this.#tables !== undefined) {
      loadSegments(memory, [...placePcTables(this.#tables, this.#serialPorts), ...realModeInterrupts()]);
      this.#setUpPorts();
      return;
    }
    if (bios === undefined) return;
    memory.load(gpa(FOUR_GIB - bios.length), bios);
    const shadow: Uint8Array = bios.subarray(Math.max(0, bios.length - SHADOW_BYTES));
    const segment: Segment = { address: PC_MEMORY.HIGH - shadow.length, bytes: shadow, byteCount: shadow.length };
    loadSegments(memory, [segment]);
  }

  /** Resolves when the host has nothing under way for any device that touches memory. */
  async settled(): Promise<void> {
    await Promise.all([this.#userDevices?.settled(), ...this.#devices.map((device) => device.settled?.())]);
  }

  /** The firmware's settings of devices. */
  #setUpPorts(): void {
    for (const [port, value] of INTERRUPT_PORT_WRITES) this.writePort(port, 1, value);
    setUpPci(this.#pci, this.#options.model.pciInterrupts, this.#options.model.configWrites);
  }

  /** After a suspend to RAM: memory is as it was, and the devices whose power stayed on. */
  resume(): void {
    for (const device of this.#devices) if (device !== this.#power && device !== this.#cmos) device.reset();
    this.#localApicBase = this.#localApic.windowBase ?? -1;
    this.#setUpPorts();
  }

  /** Where the guest wants to go on after a suspend to RAM, in real mode. */
  get wakingVector(): number {
    return this.#memory === undefined || this.#tables === undefined ? 0 : this.#memory.read32(gpa(wakingVectorAddress(this.#tables)));
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
    this.#events.polled?.();
  }
}
