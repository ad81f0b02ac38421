// Registers by which the guest's ACPI methods learn which devices of PCI bus 0 have come or are to leave, and let go of them: the board's way of hot plug
// (ACPI 6.5, 5.6.4 and 6.3). Their shape is that of QEMU's docs/specs/acpi_pci_hotplug: a bit for each device number.

import { struct } from '@anillo/base/struct';
import type { AccessBytes, Device, IoRange } from '../device.ts';
import { DeviceState } from '../device-state.ts';
import type { HotPlugController } from './pci-bus.ts';

export const ACPI_HOT_PLUG = {
  port: 0xae00,
  byteCount: 0x10,
  /** Devices that have come or gone; reading forgets them. */
  changed: 0,
  /** Devices that the guest is to let go of; reading forgets them. */
  wanted: 4,
  /** Written: the guest has let go of these. */
  eject: 8,
  /** The general-purpose event that says that one of the first two is not 0. */
  gpe: 1,
} as const;

const STATE = struct({ changed: 'u32', wanted: 'u32' });

export interface AcpiHotPlugOptions {
  readonly raise: () => void;
  /** The guest has let go of a device. */
  readonly onEject: (device: number) => void;
}

export class AcpiHotPlug implements Device, HotPlugController {
  readonly name = 'acpi-hot-plug';
  readonly ports: readonly IoRange[];
  readonly #options: AcpiHotPlugOptions;
  readonly #state = new DeviceState(STATE);

  constructor(options: AcpiHotPlugOptions) {
    this.#options = options;
    this.ports = [
      {
        start: ACPI_HOT_PLUG.port,
        byteCount: ACPI_HOT_PLUG.byteCount,
        read: (offset, byteCount) => this.#read(offset, byteCount),
        write: (offset, byteCount, value) => this.#write(offset, byteCount, value),
      },
    ];
  }

  reset(): void {
    this.#state.clear();
  }

  save(): Uint8Array {
    return this.#state.save();
  }

  restore(state: Uint8Array): void {
    this.#state.restore(state);
  }

  plugged(device: number): void {
    this.#state.view.changed |= 1 << device;
    this.#options.raise();
  }

  unplug(device: number): void {
    this.#state.view.wanted |= 1 << device;
    this.#options.raise();
  }

  /** A guest that was not asked is asked to let go of what is there no more: told to look at the slot, Linux would see nothing new in it. */
  removed(device: number, isEjected: boolean): void {
    if (!isEjected) this.unplug(device);
  }

  /** The registers are double words. */
  #read(offset: number, byteCount: AccessBytes): number {
    if (byteCount !== 4) return 0;
    const { view } = this.#state;
    if (offset === ACPI_HOT_PLUG.changed) {
      const { changed } = view;
      view.changed = 0;
      return changed;
    }
    if (offset !== ACPI_HOT_PLUG.wanted) return 0;
    const { wanted } = view;
    view.wanted = 0;
    return wanted;
  }

  #write(offset: number, byteCount: AccessBytes, value: number): void {
    if (offset !== ACPI_HOT_PLUG.eject || byteCount !== 4) return;
    for (let device = 0; device < 32; device++) if ((value & (1 << device)) !== 0) this.#options.onEject(device);
  }
}
