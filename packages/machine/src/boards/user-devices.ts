// Devices that users add, before the guest starts and while it runs: which bus they go to, what they are attached to, and how they leave.
//
//   plug --> plugged in, the guest is told --> taken (the guest lets it master the bus)
//              |  ^                               |
//     pull     |  +---- unplug: the guest is asked, and may say nothing
//              v                                  v
//           off the bus, its state reset  <-- the guest ejects it, or resets the machine after it was asked
//              |
//           the host's work under way has ended --> gone: back ends are free
//
// A device is off the bus at once, whoever took it: from then on it reaches nothing of the machine but what the host is still filling.

import { AnilloError } from '@anillo/base/anillo-error';
import type { Backends } from '@anillo/devices/backends';
import { backendName, createDevice, type DeviceParts, deviceId, findDevice } from '@anillo/devices/catalog';
import type { Device } from '@anillo/devices/device';
import type { DeviceOptions } from '@anillo/devices/device-declaration';
import { COMMAND, CONFIG } from '@anillo/devices/pci/config-space';
import type { BusFunction, PciBus, PciPlace } from '@anillo/devices/pci/pci-bus';
import type { RootBus } from '@anillo/devices/pci/root-bus';
import { type PciBranch, pciTree } from './pci-tree.ts';

/** Slots for devices to come, of the board's bus. */
const FREE_SLOTS = 8;

export interface UserDevicesOptions {
  /** What the board offers all of them. */
  readonly parts: Omit<DeviceParts, 'pciPlace'>;
  readonly root: RootBus;
  /** The device is one of the board's from now on, or no more. */
  readonly add: (device: Device) => void;
  readonly remove: (device: Device) => void;
}

/** The place of one device, which remembers what it attaches. */
class DevicePlace implements PciPlace {
  readonly bus: PciBus;
  readonly functions: BusFunction[] = [];
  /** Its number on the bus; undefined: it is not on one. */
  device: number | undefined = undefined;

  constructor(bus: PciBus) {
    this.bus = bus;
  }

  attach(fn: BusFunction, number?: number): void {
    this.device = this.bus.attach(fn, number) >> 3;
    this.functions.push(fn);
  }

  get isRemapped(): boolean {
    return this.bus.isRemapped;
  }

  get kind(): PciPlace['kind'] {
    return this.bus.kind;
  }

  /** Nothing else is in its slot. */
  get isAlone(): boolean {
    return this.bus.numbers.every((n) => n >> 3 !== this.device || this.functions.includes(this.bus.functionAt(n) as BusFunction));
  }

  leave(): void {
    for (const fn of this.functions) this.bus.detach(fn);
  }
}

interface UserDevice {
  readonly id: string;
  readonly model: string;
  readonly device: Device;
  readonly place: DevicePlace;
  readonly backends: Backends;
  isTaken: boolean;
  /** The guest has been asked for it. */
  isWanted: boolean;
}

export class UserDevices {
  /** The guest uses it. */
  onTaken: ((id: string) => void) | undefined = undefined;
  /** It has left, and its back ends are free. */
  onGone: ((id: string) => void) | undefined = undefined;
  readonly #o: UserDevicesOptions;
  readonly #devices = new Map<string, UserDevice>();
  readonly #buses = new Map<string, PciBus>();
  #slots: readonly number[] = [];
  /** Off the bus, but the host has work under way for them. */
  readonly #leaving = new Set<Promise<void>>();

  constructor(options: UserDevicesOptions) {
    this.#o = options;
    this.#addBus(options.root.name, options.root);
  }

  #addBus(name: string, bus: PciBus): void {
    this.#buses.set(name, bus);
    bus.onEject = (device) => this.#ejected(bus, device);
    bus.onCommand = (number) => this.#commanded(bus, number);
  }

  #busNamed(name: string | undefined): PciBus {
    if (name === undefined || name === 'pci.0' || name === 'pcie.0') return this.#o.root;
    const bus = this.#buses.get(name);
    if (bus !== undefined) return bus;
    const known = [...this.#buses.keys()].join(', ');
    throw new AnilloError('BAD_OPTION', `There is no PCI bus "${name}"; the buses are ${known}. A bridge comes before what is behind it.`);
  }

  /** Without one from the user: the name of what it is attached to, or a new one. */
  #newId(options: DeviceOptions): string {
    const given = deviceId(options);
    if (given !== undefined && this.#devices.has(given))
      throw new AnilloError('BAD_OPTION', `Two devices are called "${given}"; give each an id of its own.`);
    const named = given ?? backendName(options);
    if (named !== undefined && !this.#devices.has(named)) return named;
    let count = 0;
    while (this.#devices.has(`device${count}`)) count++;
    return `device${count}`;
  }

  /** Makes a device and adds it to the board. AnilloError for what does not fit the board or another device; then nothing of it stays. */
  add(options: DeviceOptions): string {
    return this.#create(options, () => {}).id;
  }

  #create(options: DeviceOptions, check: (made: UserDevice) => void): UserDevice {
    const { parts, add } = this.#o;
    const id = this.#newId(options);
    const backends = parts.backends.forDevice();
    let place = new DevicePlace(this.#o.root);
    const pciPlace = (name: string | undefined): PciPlace => {
      place = new DevicePlace(this.#busNamed(name));
      return place;
    };
    let device: Device | undefined;
    try {
      device = createDevice(options, { ...parts, backends, pciPlace });
      const made = { id, model: options.model, device, place, backends, isTaken: false, isWanted: false };
      check(made);
      add(device);
      this.#devices.set(id, made);
      if (device.secondaryBus !== undefined && options.id !== undefined) this.#addBus(id, device.secondaryBus);
      return made;
    } catch (error) {
      place.leave();
      device?.[Symbol.dispose]?.();
      backends.release();
      throw error;
    }
  }

  /**
   * Has devices come to the board's bus from now on: to the first free slots, and to those whose devices may leave. A few only, for the guest spends time on each
   * at its start.
   */
  offerSlots(): void {
    const { root } = this.#o;
    const fixed = [...this.#devices.values()].filter(({ device, place }) => place.bus === root && device.secondaryBus !== undefined);
    const all = Array.from({ length: root.deviceCount }, (_, i) => i).slice(root.firstFreeDevice);
    const isOurs = (number: number): boolean =>
      [...this.#devices.values()].some(({ place }) => place.bus === root && place.device === number);
    const free = all.filter((number) => root.isFree(number)).slice(0, FREE_SLOTS);
    const leaving = all.filter((number) => isOurs(number) && fixed.every(({ place }) => place.device !== number));
    this.#slots = [...free, ...leaving].sort((a, b) => a - b);
  }

  /** Device numbers of the board's bus where a device may come, or leave. */
  get slots(): readonly number[] {
    return this.#slots;
  }

  #checkPluggable(made: UserDevice): void {
    checkRemovable(made);
    const { place, model } = made;
    const number = place.device as number;
    if (place.functions.some((fn) => place.bus.functionAt(number << 3) !== fn))
      throw new AnilloError('BAD_OPTION', `The ${model} is to be function 0 of its slot; give it an addr= without one.`);
    if (place.bus !== this.#o.root || this.#slots.includes(number)) return;
    const slots = this.#slots.map((slot) => slot.toString(16)).join(', ');
    throw new AnilloError(
      'BAD_OPTION',
      `While the machine runs devices come to the slots ${slots} of its PCI bus, or to root ports; not to ${number.toString(16)}.`,
    );
  }

  /** What is on the PCI buses now. */
  get pciTree(): PciBranch {
    const isThere = (bus: PciBus, device: number) => (one: UserDevice) => one.place.bus === bus && one.place.device === device;
    return pciTree(this.#o.root, (bus, device) => [...this.#devices.values()].find(isThere(bus, device))?.id);
  }

  // --- While the guest runs ---

  /** Plugs a device in and tells the guest; returns its id. AnilloError for what cannot be plugged in, or not there. */
  plug(options: DeviceOptions): string {
    const declaration = findDevice(options.model);
    if (declaration !== undefined && declaration.bus !== 'PCI')
      throw new AnilloError('UNSUPPORTED', `A ${options.model} cannot be added while the machine runs; give it when the machine is made.`);
    const { id, place } = this.#create(options, (made) => this.#checkPluggable(made));
    place.bus.hotPlug?.plugged(place.device as number);
    return id;
  }

  #find(id: string): UserDevice {
    const found = this.#devices.get(id);
    if (found === undefined) {
      const known = [...this.#devices.keys()];
      const hint = known.length === 0 ? 'the machine has none that can leave' : `the devices are ${known.join(', ')}`;
      throw new AnilloError('BAD_OPTION', `There is no device "${id}"; ${hint}.`);
    }
    checkRemovable(found);
    return found;
  }

  /** Asks the guest for a device. It leaves when the guest lets go of it, or resets; asking again is no harm. AnilloError for one that cannot leave. */
  unplug(id: string): void {
    const found = this.#find(id);
    found.isWanted = true;
    found.place.bus.hotPlug?.unplug(found.place.device as number);
  }

  /** Pulls a device out without asking the guest, which is told when the host's work for it has ended. AnilloError for one that cannot leave. */
  pull(id: string): void {
    this.#takeAway(this.#find(id), false);
  }

  isTaken(id: string): boolean {
    return this.#devices.get(id)?.isTaken === true;
  }

  has(id: string): boolean {
    return this.#devices.has(id);
  }

  /** Is there a PCI bus of that name? */
  hasBus(name: string): boolean {
    return this.#buses.has(name);
  }

  /** The device that is attached to that back end. */
  ownerOf(backend: unknown): string | undefined {
    return [...this.#devices.values()].find(({ backends }) => backends.owns(backend))?.id;
  }

  /** Has a device taken that back end, be it one that is leaving? */
  isAttached(backend: unknown): boolean {
    return this.#o.parts.backends.isTaken(backend);
  }

  #ejected(bus: PciBus, device: number): void {
    for (const one of this.#devices.values())
      if (one.place.bus === bus && one.place.device === device && one.device.secondaryBus === undefined) this.#takeAway(one, true);
  }

  #commanded(bus: PciBus, number: number): void {
    if ((bus.readConfig(number, CONFIG.command, 2) & COMMAND.master) === 0) return;
    for (const one of this.#devices.values()) {
      if (one.isTaken || one.place.bus !== bus || one.place.device !== number >> 3) continue;
      one.isTaken = true;
      this.onTaken?.(one.id);
    }
  }

  #takeAway(one: UserDevice, isEjected: boolean): void {
    const { id, device, place, backends } = one;
    const number = place.device as number;
    const { hotPlug } = place.bus;
    this.#devices.delete(id);
    device.reset();
    place.leave();
    this.#o.remove(device);
    if (isEjected) hotPlug?.removed(number, true);
    const gone = Promise.resolve(device.settled?.()).then(() => {
      if (!isEjected) hotPlug?.removed(number, false);
      device[Symbol.dispose]?.();
      backends.release();
      this.#leaving.delete(gone);
      this.onGone?.(id);
    });
    this.#leaving.add(gone);
  }

  /** The machine resets: who ran on it has let go of everything. */
  reset(): void {
    for (const one of this.#devices.values()) {
      one.isTaken = false;
      if (one.isWanted) this.#takeAway(one, true);
    }
  }

  /** Resolves when the host has nothing under way for devices that have left. */
  async settled(): Promise<void> {
    await Promise.all(this.#leaving);
  }
}

/** AnilloError for a device that cannot leave, and so cannot come either. */
function checkRemovable({ id, model, device, place }: UserDevice): void {
  if (place.functions.length === 0 || device.secondaryBus !== undefined)
    throw new AnilloError(
      'UNSUPPORTED',
      `The ${model} "${id}" stays as long as the machine runs; only PCI devices that are no bridges come and go.`,
    );
  if (place.bus.hotPlug === undefined)
    throw new AnilloError(
      'UNSUPPORTED',
      `Devices on the bus ${place.bus.name} stay as long as the machine runs; use the board's bus or a root port.`,
    );
  if (!place.isAlone)
    throw new AnilloError(
      'UNSUPPORTED',
      `The ${model} "${id}" shares its slot with another device; only one that is alone there can come and go.`,
    );
}
