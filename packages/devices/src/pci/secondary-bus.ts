// The PCI bus behind a bridge. Its functions' windows are decoded as far as the bridge forwards their addresses, and its functions reach memory while the bridge
// masters the bus before it: under their own number from behind a port of PCI Express, else under the bridge's (PCI-to-PCI Bridge Architecture 1.2).

import { BridgeWindows } from './bridge-windows.ts';
import { PciBus, type PciBusOptions } from './pci-bus.ts';

/** The bridge as the bus behind it sees it. */
export interface BridgeUpstream {
  /** The bus before it; undefined: it is not plugged in. */
  readonly bus: PciBus | undefined;
  /** Its own number there. */
  readonly number: number;
  /** What the guest has numbered the bus behind it. */
  readonly busNumber: number;
  readonly canMaster: boolean;
}

export class SecondaryBus extends PciBus {
  readonly ports: BridgeWindows;
  readonly mmio: BridgeWindows;
  readonly #bridge: BridgeUpstream;

  constructor(options: PciBusOptions, bridge: BridgeUpstream) {
    super(options);
    this.#bridge = bridge;
    this.ports = new BridgeWindows(() => bridge.bus?.ports);
    this.mmio = new BridgeWindows(() => bridge.bus?.mmio);
  }

  get isRemapped(): boolean {
    return this.#bridge.bus?.isRemapped === true;
  }

  updateInterrupts(): void {
    this.#bridge.bus?.updateInterrupts();
  }

  /** Pins of the bridge that devices here drive: turned by one from slot to slot (9.1). */
  get assertedPins(): number {
    let pins = 0;
    this.eachPin((device, pin) => {
      pins |= 1 << ((device + pin) & 3);
    });
    return pins;
  }

  /** The bus before, while functions here get that far. */
  get #before(): PciBus | undefined {
    return this.#bridge.canMaster ? this.#bridge.bus : undefined;
  }

  #sourceOf(number: number): number {
    return this.kind === 'link' ? (this.#bridge.busNumber << 8) | number : this.#bridge.number;
  }

  readMemory(source: number, address: number, bytes: Uint8Array): boolean {
    const before = this.#before;
    if (before !== undefined) return before.readMemory(this.#sourceOf(source), address, bytes);
    bytes.fill(0xff);
    return false;
  }

  writeMemory(source: number, address: number, bytes: Uint8Array): boolean {
    return this.#before?.writeMemory(this.#sourceOf(source), address, bytes) ?? false;
  }

  offsetOf(source: number, address: number, byteCount: number, isWrite: boolean, isRemapped: boolean): number {
    return this.#before?.offsetOf(this.#sourceOf(source), address, byteCount, isWrite, isRemapped) ?? -1;
  }
}
