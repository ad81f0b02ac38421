// An IOMMU in front of memory, with the tables of a guest that knows what it does: one device, one domain, three levels.

import { IntelIommu, type IntelIommuOptions, VTD_BASE } from '../iommu/intel-iommu.ts';
import { GLOBAL, VTD } from '../iommu/vtd-registers.ts';
import { PciRig } from './pci-rig.ts';

/** Where the tables are in the rig's memory. */
export const TABLES = {
  root: 0x10000,
  contexts: 0x11000,
  levels: [0x14000, 0x13000, 0x12000],
  queue: 0x20000,
  interrupts: 0x30000,
} as const;
export const SOURCE = 0x10;
export const DOMAIN = 7;

export class VtdRig extends PciRig {
  readonly iommu: IntelIommu;

  constructor(options: Partial<IntelIommuOptions> = {}) {
    super();
    const place = this.context.iommu;
    if (place === undefined) throw new Error('The rig has no place for an IOMMU.');
    const usual = { addressBits: 39, remapsInterrupts: true, extendedInterrupts: true, cachingMode: false } as const;
    this.iommu = this.plug(new IntelIommu({ memory: this.ram, place, ...usual, ...options }));
    this.put(TABLES.root, TABLES.contexts | 1, 0, 0, 0);
    this.context3(TABLES.levels[2], 1 | (DOMAIN << 8));
  }

  /** The device's context entry: address word, and the third word. */
  context3(low: number, word2: number, flags = 1): void {
    this.put(TABLES.contexts + SOURCE * 16, low | flags, 0, word2, 0);
  }

  /** Maps a page below 2 MiB through all three levels. */
  map(address: number, entry: number): void {
    this.put(TABLES.levels[2], TABLES.levels[1] | 3, 0);
    this.put(TABLES.levels[1], TABLES.levels[0] | 3, 0);
    this.put(TABLES.levels[0] + (address / 4096) * 8, entry, 0);
  }

  get(at: number): number {
    return this.memory.read(VTD_BASE + at, 4);
  }

  set(at: number, value: number): void {
    this.memory.write(VTD_BASE + at, 4, value);
  }

  command(bit: number): void {
    const ONE_SHOT = 0x69000000;
    this.set(VTD.globalCommand, ((this.get(VTD.globalStatus) & ~ONE_SHOT) | bit) >>> 0);
  }

  translate(): void {
    this.set(VTD.rootTable, TABLES.root);
    this.command(GLOBAL.setRootTable);
    this.command(GLOBAL.translation);
  }

  remap(flags = 0, log2Size = 7): void {
    this.set(VTD.interruptTable, TABLES.interrupts | flags | log2Size);
    this.command(GLOBAL.setInterruptTable);
    this.command(GLOBAL.interruptRemapping);
  }

  /** Puts descriptors of four words into the queue, from its start on. */
  queue(...descriptors: readonly (readonly [number, number, number, number])[]): void {
    descriptors.forEach((words, i) => this.put(TABLES.queue + i * 16, ...words));
    this.set(VTD.queueAddress, TABLES.queue);
    if ((this.get(VTD.globalStatus) & GLOBAL.queuedInvalidation) === 0) this.command(GLOBAL.queuedInvalidation);
    this.set(VTD.queueTail, descriptors.length * 16);
  }

  /** Reasons of the faults recorded, and clears them. */
  takeFaults(): { readonly reason: number; readonly isRead: boolean; readonly source: number; readonly info: number }[] {
    const faults = [];
    for (let at = VTD.faultRecord; at < VTD.end; at += 16) {
      const flags = this.get(at + 12);
      if (flags < 0x80000000) continue;
      faults.push({
        reason: flags & 0xff,
        isRead: (flags & 0x40000000) !== 0,
        source: this.get(at + 8),
        info: this.get(at + 4) * 2 ** 32 + this.get(at),
      });
      this.set(at + 12, 0x80000000);
    }
    return faults;
  }
}
