// Devices, disks and networks that come and go while a machine runs. A device that has gone gives its back end free; a disk or network that was attached without a
// name of its own is then closed as well.

import { AnilloError } from '@anillo/base/anillo-error';
import type { BackendsByName } from '@anillo/devices/backends';
import type { DeviceOptions, GivenProperty } from '@anillo/devices/device-declaration';
import type { BlockBackend } from '@anillo/devices/virtio/block-backend';
import type { NetBackend } from '@anillo/devices/virtio/net-backend';
import type { PciBranch } from '@anillo/machine/boards/pci-tree';
import type { UserDevices } from '@anillo/machine/boards/user-devices';
import type { Attachments } from './attachments.ts';
import { type DiskOption, openDrives } from './disk-option.ts';
import type { MachineNetwork } from './machine-network.ts';
import { type NetworkOption, plugNetworks } from './network-option.ts';

/** A disk, as a virtio-blk-pci device; a network, as a virtio-net-pci device; or any PCI device of the catalog. */
export type Attachable = { readonly disk: DiskOption } | { readonly network: NetworkOption } | { readonly device: DeviceOptions };

export interface AttachOptions {
  /** By which it is detached. Default: a new one. */
  readonly id?: string;
  /** Properties of the device of a disk or a network, such as `serial`, or `bus` (a root port's id). */
  readonly properties?: Readonly<Record<string, GivenProperty>>;
  /** How long to wait for the guest. Default: 10 s. */
  readonly timeoutMs?: number;
}

export interface Attached {
  readonly id: string;
  /** A driver of the guest uses it. False: not yet, or the guest has none; it is plugged in all the same. */
  readonly isTaken: boolean;
}

export interface DetachOptions {
  /** How long the guest may take. Default: 30 s. */
  readonly timeoutMs?: number;
  /** Pulls it out when the guest has not let go of it by then: with a timeout of 0 at once. What the guest has not written is lost. */
  readonly force?: boolean;
}

const ATTACH_MS = 10_000;
const DETACH_MS = 30_000;

type End = 'happened' | 'too late' | 'stopped';

/** Somebody waits for an event of a device. */
interface Waiter {
  readonly id: string;
  readonly event: 'taken' | 'gone';
  readonly settle: (end: End) => void;
}

interface Opened {
  readonly backend: unknown;
  close(): Promise<void> | void;
}

type Kind = 'drive' | 'network';

export class HotPlug {
  readonly #devices: UserDevices;
  readonly #drives: Record<string, BlockBackend>;
  readonly #networks: Record<string, NetBackend>;
  /** What was opened, by kind and name. */
  readonly #opened = new Map<string, Opened>();
  /** Names, by device, of what is closed when the device has gone. */
  readonly #owned = new Map<string, { readonly kind: Kind; readonly name: string }>();
  readonly #closing = new Map<string, Promise<void>>();
  readonly #waiters = new Set<Waiter>();
  readonly #onDetached: ((id: string) => void) | undefined;
  readonly #machineName: string | undefined;
  /** Those that were opened, by name. */
  readonly networks: Map<string, MachineNetwork>;
  #isStopped = false;

  /** `backends`: what the machine's devices find by name; it is written here. */
  constructor(
    devices: UserDevices,
    backends: BackendsByName & { readonly drives: Record<string, BlockBackend>; readonly networks: Record<string, NetBackend> },
    first: Pick<Attachments, 'devices' | 'closeOne' | 'networks' | 'machineName'>,
    onDetached?: (id: string) => void,
  ) {
    this.#devices = devices;
    this.#drives = backends.drives;
    this.#networks = backends.networks;
    this.#onDetached = onDetached;
    this.#machineName = first.machineName;
    this.networks = new Map(first.networks);
    for (const kind of ['drive', 'network'] as const)
      for (const [name, backend] of Object.entries(this.#named(kind)))
        this.#opened.set(`${kind} ${name}`, { backend, close: () => first.closeOne(kind, name) });
    // What nobody named belongs to the device that was made for it.
    for (const { drive, netdev } of first.devices) {
      if (typeof drive === 'string') this.#own({ kind: 'drive', name: drive });
      if (typeof netdev === 'string') this.#own({ kind: 'network', name: netdev });
    }
    devices.onTaken = (id) => this.#tell(id, 'taken');
    devices.onGone = (id) => this.#gone(id);
  }

  #own(what: { readonly kind: Kind; readonly name: string }): void {
    const id = this.#devices.ownerOf(this.#named(what.kind)[what.name]);
    if (id !== undefined) this.#owned.set(id, what);
  }

  // --- Disks and networks by name ---

  #named(kind: Kind): Record<string, unknown> {
    return kind === 'drive' ? this.#drives : this.#networks;
  }

  #checkNew(kind: Kind, name: string): void {
    if (!/^[A-Za-z][\w.-]{0,63}$/.test(name))
      throw new AnilloError(
        'BAD_OPTION',
        `"${name}" is no name for a ${kind}; it begins with a letter and has letters, digits, "-", "." and "_".`,
      );
    if (Object.hasOwn(this.#named(kind), name))
      throw new AnilloError('BAD_OPTION', `There is a ${kind} "${name}" already; give this one another name.`);
  }

  /** Opens a disk for a device that will ask for it. AnilloError as for `Machine.create`. */
  async addDrive(name: string, option: DiskOption): Promise<void> {
    this.#checkNew('drive', name);
    const opened = await openDrives({ drives: { [name]: option } });
    this.#keep('drive', name, opened.drives[name], () => opened.close());
  }

  async addNetwork(name: string, option: NetworkOption): Promise<void> {
    this.#checkNew('network', name);
    const opened = await plugNetworks({ netdevs: { [name]: option }, name: this.#machineName });
    this.#keep('network', name, opened.netdevs[name], () => opened.close());
    for (const [key, network] of opened.networks) this.networks.set(key, network);
  }

  #keep(kind: Kind, name: string, backend: unknown, close: () => Promise<void> | void): void {
    // Somebody else may have been quicker, or the machine at its end, while it was opened.
    if (this.#isStopped || Object.hasOwn(this.#named(kind), name)) {
      void Promise.resolve(close()).catch(() => {});
      throw new AnilloError('STATE', `The ${kind} "${name}" came too late; the machine has stopped, or has one of that name.`);
    }
    this.#named(kind)[name] = backend;
    this.#opened.set(`${kind} ${name}`, { backend, close });
  }

  /** Closes a disk or network that no device is attached to. AnilloError STATE for one that is, BAD_OPTION for a name that is none. */
  async remove(kind: Kind, name: string): Promise<void> {
    const opened = this.#opened.get(`${kind} ${name}`);
    if (opened === undefined) throw new AnilloError('BAD_OPTION', `There is no ${kind} "${name}"; nothing is to be closed.`);
    if (this.#devices.isAttached(opened.backend))
      throw new AnilloError('STATE', `The ${kind} "${name}" is attached to a device; detach that first.`);
    this.#opened.delete(`${kind} ${name}`);
    delete this.#named(kind)[name];
    if (kind === 'network') this.networks.delete(name);
    await opened.close();
  }

  #freeName(kind: Kind): string {
    const stem = kind === 'drive' ? 'disk' : 'net';
    let count = 0;
    while (Object.hasOwn(this.#named(kind), `${stem}${count}`) || this.#devices.has(`${stem}${count}`)) count++;
    return `${stem}${count}`;
  }

  // --- Devices ---

  /** What is on the PCI buses now, as the guest has numbered them. */
  get pciTree(): PciBranch {
    return this.#devices.pciTree;
  }

  /** Asks the guest for a device and comes back at once; `onDetached` is told when it has gone. AnilloError for one that cannot leave. */
  ask(id: string): void {
    this.#devices.unplug(id);
  }

  async attach(what: Attachable, { id, properties = {}, timeoutMs = ATTACH_MS }: AttachOptions): Promise<Attached> {
    if (this.#isStopped) throw new AnilloError('STATE', 'The machine has stopped; nothing can be attached to it.');
    if ('device' in what) return this.#plug(id === undefined ? what.device : { ...what.device, id }, timeoutMs);
    const kind: Kind = 'disk' in what ? 'drive' : 'network';
    const name = this.#freeName(kind);
    if ('disk' in what) await this.addDrive(name, what.disk);
    else await this.addNetwork(name, what.network);
    const place: DeviceOptions = kind === 'drive' ? { model: 'virtio-blk-pci', drive: name } : { model: 'virtio-net-pci', netdev: name };
    try {
      return await this.#plug({ ...properties, ...place, id: id ?? name }, timeoutMs, { kind, name });
    } catch (error) {
      await this.remove(kind, name).catch(() => {});
      throw error;
    }
  }

  /** `owned`: is closed when the device has gone. */
  async #plug(options: DeviceOptions, timeoutMs: number, owned?: { readonly kind: Kind; readonly name: string }): Promise<Attached> {
    const id = this.#devices.plug(options);
    if (owned !== undefined) this.#owned.set(id, owned);
    const isTaken = this.#devices.isTaken(id) || (await this.#wait(id, 'taken', timeoutMs)) === 'happened';
    return { id, isTaken };
  }

  async detach(id: string, { timeoutMs = DETACH_MS, force = false }: DetachOptions): Promise<void> {
    if (this.#isStopped) throw new AnilloError('STATE', 'The machine has stopped; its devices are gone.');
    const isPulled = force && timeoutMs <= 0;
    if (isPulled) this.#devices.pull(id);
    else this.#devices.unplug(id);
    let end = await this.#wait(id, 'gone', isPulled ? Number.POSITIVE_INFINITY : timeoutMs);
    if (end === 'too late') {
      if (!force)
        throw new AnilloError(
          'STATE',
          `The guest has not let go of "${id}" within ${timeoutMs / 1000} s; it still may, or detach it with force.`,
        );
      if (this.#devices.has(id)) this.#devices.pull(id);
      end = await this.#wait(id, 'gone', Number.POSITIVE_INFINITY);
    }
    if (end === 'stopped')
      throw new AnilloError('STATE', `The machine stopped before the guest let go of "${id}"; it is gone with the machine.`);
    const closing = this.#closing.get(id);
    this.#closing.delete(id);
    await closing;
  }

  #wait(id: string, event: Waiter['event'], timeoutMs: number): Promise<End> {
    const { promise, resolve } = Promise.withResolvers<End>();
    const timer = timeoutMs === Number.POSITIVE_INFINITY ? undefined : setTimeout(() => waiter.settle('too late'), timeoutMs);
    const waiter: Waiter = {
      id,
      event,
      settle: (end) => {
        clearTimeout(timer);
        this.#waiters.delete(waiter);
        resolve(end);
      },
    };
    this.#waiters.add(waiter);
    return promise;
  }

  #tell(id: string, event: Waiter['event']): void {
    for (const waiter of [...this.#waiters]) {
      if (waiter.id !== id) continue;
      if (waiter.event === event) waiter.settle('happened');
      else if (event === 'gone') waiter.settle('too late');
    }
  }

  #gone(id: string): void {
    const owned = this.#owned.get(id);
    this.#owned.delete(id);
    if (owned !== undefined) {
      const closing = this.remove(owned.kind, owned.name);
      closing.catch(() => {}); // told to whoever detaches, or at the machine's end
      this.#closing.set(id, closing);
    }
    this.#tell(id, 'gone');
    this.#onDetached?.(id);
  }

  /** The machine has stopped: nobody waits any more. */
  stop(): void {
    this.#isStopped = true;
    for (const waiter of [...this.#waiters]) waiter.settle('stopped');
  }

  /** Closes all that is still open. AnilloError FILE where a disk could not be written to its end. */
  async close(): Promise<void> {
    this.stop();
    const all = [...this.#opened.values()];
    this.#opened.clear();
    const ends = await Promise.allSettled([...this.#closing.values(), ...all.map(async (one) => one.close())]);
    const failed = ends.find((end) => end.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }
}
