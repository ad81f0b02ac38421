// What tests of PCI devices stand on: a bus with memory behind it, interrupt messages that are remembered, and configuration within reach.

import { gpa } from '@anillo/base/gpa';
import { RegionMemory } from '@anillo/memory/region-memory';
import type { AccessBytes, DeviceContext } from '../device.ts';
import type { ApicMessage, InterruptRemapper } from '../irqchip/apic-message.ts';
import type { DeviceParts } from '../catalog.ts';
import { CONFIG } from '../pci/config-space.ts';
import { RootBus } from '../pci/root-bus.ts';
import { BalloonControl } from '../virtio/balloon-control.ts';
import { Backends } from '../backends.ts';
import { BufferedBackend, DeviceRig } from './device-rig.ts';
import { EmptyTree } from './empty-tree.ts';
import { MemoryDisk } from './memory-disk.ts';
import { MemorySockets } from './memory-sockets.ts';
import { RecordedDisplay, RecordedInput } from './recorded-display.ts';
import { RecordedNetwork } from './recorded-network.ts';

export const RIG_MEMORY_BYTES = 0x100000;

export class PciRig extends DeviceRig {
  readonly ram = new RegionMemory(new ArrayBuffer(RIG_MEMORY_BYTES), [
    { start: gpa(0), byteCount: RIG_MEMORY_BYTES, offset: 0, kind: 'ram' },
  ]);
  readonly disk = new MemoryDisk(1024 * 512);
  readonly network = new RecordedNetwork();
  readonly balloon = new BalloonControl();
  readonly console = new BufferedBackend();
  readonly sockets = new MemorySockets();
  readonly display = new RecordedDisplay();
  readonly input = new RecordedInput();
  /** Messages of PCI functions, before anybody remaps them. */
  readonly messages: { readonly address: number; readonly data: number; readonly source: number | undefined }[] = [];
  /** Interrupts that the IOMMU sent itself. */
  readonly sent: ApicMessage[] = [];
  interruptRemapper: InterruptRemapper | undefined = undefined;
  /** Levels of PIRQA.., as a bit map. */
  pirqs = 0;
  readonly bus = new RootBus({
    ports: this.io,
    mmio: this.memory,
    firstFreeDevice: 2,
    kind: 'root-complex',
    messages: {
      sendMessage: (address, data, source) => {
        this.messages.push({ address, data, source });
        return true;
      },
    },
  });
  readonly context: DeviceContext & DeviceParts = {
    clock: this.clock,
    memory: this.ram,
    control: this.control,
    irq: this.irq,
    pci: this.bus,
    pciPlace: () => this.bus,
    iommu: {
      ioApicId: 0,
      plug: (memory, interrupts) => {
        this.bus.remapper = memory;
        this.interruptRemapper = interrupts;
      },
      send: (message) => this.sent.push(message) > 0,
    },
    backends: new Backends({
      drives: { disk: this.disk },
      networks: { network: this.network },
      balloons: { balloon: this.balloon },
      folders: { folder: new EmptyTree() },
      consoles: { console: this.console },
      vsocks: { vsock: this.sockets },
      displays: { display: this.display },
      inputs: { input: this.input },
      fillRandom: (bytes) => void bytes.fill(0xa5),
    }),
    expectHost: () => {},
    placeMmio: () => ({ start: 0xfec20000, gsi: 20, index: 0 }),
  };

  constructor() {
    super();
    this.bus.memory = this.ram;
    this.bus.onInterrupts = (levels) => {
      this.pirqs = levels;
    };
  }

  config(number: number, offset: number, byteCount: AccessBytes = 4): number {
    return this.bus.readConfig(number, offset, byteCount);
  }

  configure(number: number, offset: number, value: number, byteCount: AccessBytes = 4): void {
    this.bus.writeConfig(number, offset, byteCount, value);
  }

  /** Places a function's first window there and lets it decode and master the bus. */
  enable(number: number, address: number): void {
    this.configure(number, CONFIG.bar, address);
    this.configure(number, CONFIG.command, 7, 2);
  }

  /** Little-endian words into memory. */
  put(address: number, ...words: number[]): void {
    words.forEach((word, i) => {
      this.ram.write32(gpa(address + i * 4), word);
    });
  }
}
