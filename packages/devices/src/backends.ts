// What devices of a machine are attached to, by name: a device asks for its drive, its network, its console. Each belongs to one device.

import { AnilloError } from '@anillo/base/anillo-error';
import type { CharBackend } from './device.ts';
import type { BalloonControl } from './virtio/balloon-control.ts';
import type { FileTree } from './virtio/9p/file-tree.ts';
import type { BlockBackend } from './virtio/block-backend.ts';
import type { DisplayTarget } from './virtio/gpu/display-target.ts';
import type { InputSource } from './virtio/input/input-source.ts';
import type { NetBackend } from './virtio/net-backend.ts';
import type { VsockBackend } from './virtio/vsock/vsock-backend.ts';

export interface BackendsByName {
  readonly drives?: Readonly<Record<string, BlockBackend>>;
  readonly networks?: Readonly<Record<string, NetBackend>>;
  readonly consoles?: Readonly<Record<string, CharBackend>>;
  readonly balloons?: Readonly<Record<string, BalloonControl>>;
  readonly folders?: Readonly<Record<string, FileTree>>;
  readonly vsocks?: Readonly<Record<string, VsockBackend>>;
  readonly displays?: Readonly<Record<string, DisplayTarget>>;
  readonly inputs?: Readonly<Record<string, InputSource>>;
  /** From a cryptographic generator. */
  readonly fillRandom?: (bytes: Uint8Array<ArrayBuffer>) => void;
}

/** What devices of the machine have taken; shared between the views that they have. */
interface Taken {
  readonly backends: Set<unknown>;
  /** Numbers of network cards. */
  readonly cards: Set<number>;
}

export class Backends {
  readonly #named: BackendsByName;
  readonly #taken: Taken;
  readonly #own: unknown[] = [];
  #card: number | undefined;

  constructor(named: BackendsByName, taken: Taken = { backends: new Set(), cards: new Set() }) {
    this.#named = named;
    this.#taken = taken;
  }

  /** For one device, which may give back later what it takes. */
  forDevice(): Backends {
    return new Backends(this.#named, this.#taken);
  }

  /** Was it taken here? */
  owns(backend: unknown): boolean {
    return this.#own.includes(backend);
  }

  isTaken(backend: unknown): boolean {
    return this.#taken.backends.has(backend);
  }

  /** What was taken here may be taken by another device. */
  release(): void {
    for (const backend of this.#own.splice(0)) this.#taken.backends.delete(backend);
    if (this.#card !== undefined) this.#taken.cards.delete(this.#card);
    this.#card = undefined;
  }

  /** AnilloError BAD_OPTION for a name that is not there, or that another device has. `what`: the device that asks. */
  drive(name: string | undefined, what: string): BlockBackend {
    return this.#take('drive', this.#named.drives, name, what, 'drive');
  }

  network(name: string | undefined, what: string): NetBackend {
    const found = this.#take('network', this.#named.networks, name, what, 'netdev');
    this.#card = this.freeCard;
    this.#taken.cards.add(this.#card);
    return found;
  }

  /** The lowest number that no network card has yet. */
  get freeCard(): number {
    let card = 0;
    while (this.#taken.cards.has(card)) card++;
    return card;
  }

  /** `property`: by which the device is told. */
  console(name: string | undefined, what: string, property: string): CharBackend {
    return this.#take('console', this.#named.consoles, name, what, property);
  }

  balloon(name: string | undefined, what: string): BalloonControl {
    return this.#take('balloon', this.#named.balloons, name, what, 'control');
  }

  folder(name: string | undefined, what: string): FileTree {
    return this.#take('folder', this.#named.folders, name, what, 'fsdev');
  }

  vsock(name: string | undefined, what: string): VsockBackend {
    return this.#take('vsock', this.#named.vsocks, name, what, 'sockets');
  }

  display(name: string | undefined, what: string, property: string): DisplayTarget {
    return this.#take('display', this.#named.displays, name, what, property);
  }

  input(name: string | undefined, what: string): InputSource {
    return this.#take('input', this.#named.inputs, name, what, 'source');
  }

  fillRandom(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#named.fillRandom === undefined)
      throw new AnilloError('UNSUPPORTED', 'This host gives no random numbers; leave the device out.');
    this.#named.fillRandom(bytes);
  }

  #take<B>(kind: string, all: Readonly<Record<string, B>> | undefined, name: string | undefined, what: string, property: string): B {
    const known = Object.keys(all ?? {});
    const hint = known.length === 0 ? `the machine has no ${kind}s` : `the ${kind}s are ${known.join(', ')}`;
    if (name === undefined)
      throw new AnilloError('BAD_OPTION', `Device ${what} needs a ${kind}; give it one by name with ${property}=NAME (${hint}).`);
    const found = all !== undefined && Object.hasOwn(all, name) ? all[name] : undefined;
    if (found === undefined) throw new AnilloError('BAD_OPTION', `There is no ${kind} "${name}"; ${hint}.`);
    if (this.#taken.backends.has(found))
      throw new AnilloError('BAD_OPTION', `Two devices share the ${kind} "${name}"; give each one of its own.`);
    this.#taken.backends.add(found);
    this.#own.push(found);
    return found;
  }
}
