// Intel VT-d remapping hardware (specification order number D51397) in legacy mode, as QEMU's `intel-iommu`: second-level translation of DMA, interrupt
// remapping, invalidation by registers and queue, fault log. One unit for all PCI devices and the I/O APIC, at 0xfed90000.
// Not offered: scalable mode, first-level translation, device TLBs, posted interrupts, protected memory regions, page requests.

import { AnilloError } from '@anillo/base/anillo-error';
import type { GuestMemory } from '@anillo/memory/guest-memory';
import type { AccessBytes, AcpiPart, Device, IommuPlace, IoRange } from '../device.ts';
import { declareDevice } from '../device-declaration.ts';
import { type ApicMessage, type InterruptRemapper, MESSAGE_WINDOW } from '../irqchip/apic-message.ts';
import type { DmaRemapper } from '../pci/root-bus.ts';
import { VtdCache } from './vtd-cache.ts';
import { VtdEvent } from './vtd-event.ts';
import { FAULT, VtdFaultLog } from './vtd-fault-log.ts';
import { isInterruptFault, remapMessage } from './vtd-interrupts.ts';
import { LARGEST_ADDRESS_MASK, VtdInvalidation } from './vtd-invalidation.ts';
import { EXTENDED_INTERRUPTS, FAULT_RECORDS, GLOBAL, VTD, VtdRegisters } from './vtd-registers.ts';
import { type Context, type Page, type TableFault, VtdTables } from './vtd-tables.ts';

export const VTD_BASE = 0xfed90000;
const WINDOW_BYTES = 0x1000;
const PAGE_BYTES = 4096;
const VERSION = 0x10;
/** Capability register (11.4.2): 64 Ki domains; fault records; large pages; page-selective invalidation; draining of writes and reads. */
const CAP = { domains: 6, cachingMode: 1 << 7, width39: 1 << 9, width48: 1 << 10, widthShift: 16, recordShift: 24 } as const;
const CAP_HIGH = { largePages: 3 << 2, pageSelective: 1 << 7, recordCountShift: 8, maskShift: 16, drains: 3 << 22 } as const;
/** Extended capability register (11.4.3): coherent walks, queue, pass-through, snoop control; with interrupt remapping whole handles as masks. */
const ECAP = { coherent: 1, queue: 1 << 1, remapping: 1 << 3, extended: 1 << 4, passThrough: 1 << 6, snoop: 1 << 7 } as const;
const ECAP_OFFSET_SHIFT = 8;
const ECAP_HANDLE_MASK = 15 << 20;
const SWITCHES = GLOBAL.translation | GLOBAL.queuedInvalidation;
const INTERRUPT_SWITCHES = GLOBAL.interruptRemapping | GLOBAL.compatibilityInterrupts;
/** The I/O APIC's requester id, as the DMAR table tells it: bus 0xff, function 0. */
const IO_APIC_SOURCE = 0xff00;

export interface IntelIommuOptions {
  readonly memory: GuestMemory;
  readonly place: IommuPlace;
  readonly addressBits: 39 | 48;
  readonly remapsInterrupts: boolean;
  /** Interrupts may have destinations of 32 bits (x2APIC). */
  readonly extendedInterrupts: boolean;
  /** Software is to invalidate also what was not there before. */
  readonly cachingMode: boolean;
}

export class IntelIommu implements Device, DmaRemapper, InterruptRemapper {
  readonly name = 'intel-iommu';
  readonly mmio: readonly IoRange[];
  readonly acpi: AcpiPart;
  readonly #options: IntelIommuOptions;
  readonly #registers = new VtdRegisters();
  readonly #cache = new VtdCache();
  readonly #tables: VtdTables;
  readonly #faultEvent: VtdEvent;
  readonly #completionEvent: VtdEvent;
  readonly #faults: VtdFaultLog;
  readonly #invalidation: VtdInvalidation;

  constructor(options: IntelIommuOptions) {
    const { memory, place } = options;
    this.#options = options;
    this.#tables = new VtdTables(memory, options.addressBits);
    const send = (message: ApicMessage): void => void place.send(message);
    this.#faultEvent = new VtdEvent(this.#registers, VTD.faultEvent, send);
    this.#completionEvent = new VtdEvent(this.#registers, VTD.completionEvent, send);
    this.#faults = new VtdFaultLog(this.#registers, this.#faultEvent);
    this.#invalidation = new VtdInvalidation({
      registers: this.#registers,
      memory,
      cache: this.#cache,
      faults: this.#faults,
      completion: this.#completionEvent,
    });
    this.mmio = [
      {
        start: VTD_BASE,
        byteCount: WINDOW_BYTES,
        read: (offset, byteCount) => this.#read(offset, byteCount),
        write: (offset, byteCount, value) => this.#write(offset, byteCount, value),
      },
    ];
    this.acpi = { table: { signature: 'DMAR', revision: 1, body: this.#dmarTable() } };
    this.reset();
    place.plug(this, options.remapsInterrupts ? this : undefined);
  }

  reset(): void {
    this.#registers.state.clear();
    this.#faultEvent.reset();
    this.#completionEvent.reset();
    this.#dropCaches();
    this.#declareCapabilities();
  }

  save(): Uint8Array {
    return this.#registers.state.save();
  }

  restore(state: Uint8Array): void {
    this.#registers.state.restore(state);
    this.#dropCaches();
  }

  #dropCaches(): void {
    this.#cache.dropContexts();
    this.#cache.dropPages();
  }

  #declareCapabilities(): void {
    const { addressBits, remapsInterrupts, extendedInterrupts, cachingMode } = this.#options;
    const r = this.#registers;
    r.setWord(VTD.version, VERSION);
    r.setWord(
      VTD.capability,
      CAP.domains |
        (cachingMode ? CAP.cachingMode : 0) |
        CAP.width39 |
        (addressBits === 48 ? CAP.width48 : 0) |
        ((addressBits - 1) << CAP.widthShift) |
        ((VTD.faultRecord / 16) << CAP.recordShift),
    );
    r.setWord(
      VTD.capability + 4,
      CAP_HIGH.largePages |
        CAP_HIGH.pageSelective |
        ((FAULT_RECORDS - 1) << CAP_HIGH.recordCountShift) |
        (LARGEST_ADDRESS_MASK << CAP_HIGH.maskShift) |
        CAP_HIGH.drains,
    );
    const remapping = remapsInterrupts ? ECAP.remapping | ECAP_HANDLE_MASK | (extendedInterrupts ? ECAP.extended : 0) : 0;
    const offset = (VTD.invalidateAddress / 16) << ECAP_OFFSET_SHIFT;
    r.setWord(VTD.extendedCapability, ECAP.coherent | ECAP.queue | ECAP.passThrough | ECAP.snoop | offset | remapping);
  }

  /** DMA remapping table (8.1 to 8.3): one unit for every PCI device, and the I/O APIC. */
  #dmarTable(): Uint8Array {
    const { addressBits, remapsInterrupts, place } = this.#options;
    const IO_APIC_SCOPE = 3;
    const body = new Uint8Array(12 + 16 + 8);
    const data = new DataView(body.buffer);
    body[0] = addressBits - 1;
    body[1] = remapsInterrupts ? 1 : 0;
    data.setUint16(12 + 2, 16 + 8, true);
    body[12 + 4] = 1; // all PCI devices
    data.setUint32(12 + 8, VTD_BASE, true);
    body.set([IO_APIC_SCOPE, 8, 0, 0, place.ioApicId, IO_APIC_SOURCE >> 8, 0, 0], 28);
    return body;
  }

  // --- Requests ---

  translateDma(source: number, address: number, isWrite: boolean): number | undefined {
    if (!this.#registers.hasStatus(GLOBAL.translation)) return address;
    if (address >= MESSAGE_WINDOW.start && address < MESSAGE_WINDOW.end) return undefined;
    const context = this.#findContext(source);
    const page = 'reason' in context ? context : this.#findPage(context, address, isWrite);
    if (!('reason' in page)) return page.physical + (address % PAGE_BYTES);
    if (!page.isSilent) {
      const infoHigh = Math.floor(address / 2 ** 32) % 2 ** 32;
      this.#faults.record({ reason: page.reason, source, isRead: !isWrite, infoLow: address % 2 ** 32, infoHigh });
    }
    return undefined;
  }

  #findContext(source: number): Context | TableFault {
    const known = this.#cache.context(source);
    if (known !== undefined) return known;
    const context = this.#tables.findContext(this.#registers.rootTable, source);
    if (!('reason' in context)) this.#cache.addContext(source, context);
    return context;
  }

  #findPage(context: Context, address: number, isWrite: boolean): Page | TableFault {
    const pageNumber = Math.floor(address / PAGE_BYTES);
    const limitBits = context.levels === 0 ? this.#options.addressBits : context.widthBits;
    if (address >= 2 ** limitBits) return { reason: FAULT.beyondAddressWidth, isSilent: context.areFaultsOff };
    if (context.levels === 0) return { physical: pageNumber * PAGE_BYTES, canRead: true, canWrite: true };
    const known = this.#cache.page(context.domain, pageNumber);
    if (known !== undefined && (isWrite ? known.canWrite : known.canRead)) return known;
    const page = this.#tables.walk(context, address, isWrite);
    if (!('reason' in page)) this.#cache.addPage(context.domain, pageNumber, page);
    return page;
  }

  remapInterrupt(address: number, data: number, source: number | undefined): ApicMessage | undefined {
    const result = remapMessage(this.#registers, this.#options.memory, { address, data, source });
    if (!isInterruptFault(result)) return result;
    const { reason, index, isSilent } = result;
    if (!isSilent) this.#faults.record({ reason, source: source ?? IO_APIC_SOURCE, isRead: false, infoLow: 0, infoHigh: index << 16 });
    return undefined;
  }

  // --- Registers ---

  #read(offset: number, byteCount: AccessBytes): number {
    return (this.#registers.word(offset & ~3) >>> ((offset & 3) * 8)) & (byteCount === 4 ? -1 : (1 << (byteCount * 8)) - 1);
  }

  /** Registers are written as words; of a 64-bit write the low word comes first. */
  #write(offset: number, byteCount: AccessBytes, value: number): void {
    if (byteCount !== 4 || (offset & 3) !== 0 || offset >= VTD.end) return;
    const r = this.#registers;
    if (offset >= VTD.faultRecord) this.#faults.writeRecord(offset, value);
    else if (offset >= VTD.faultEvent && offset < VTD.faultEvent + 16) this.#faultEvent.write(offset, value);
    else if (offset >= VTD.completionEvent && offset < VTD.completionEvent + 16) this.#completionEvent.write(offset, value);
    else this.#writeOther(offset, value, r);
  }

  #writeOther(offset: number, value: number, r: VtdRegisters): void {
    switch (offset) {
      case VTD.globalCommand:
        this.#command(value);
        break;
      case VTD.faultStatus:
        this.#faults.writeStatus(value);
        this.#invalidation.run();
        break;
      case VTD.completionStatus:
        this.#invalidation.writeCompletionStatus(value);
        break;
      case VTD.contextCommand + 4:
        r.setWord(offset, value);
        this.#invalidation.contextCommand();
        break;
      case VTD.iotlbInvalidate + 4:
        r.setWord(offset, value);
        this.#invalidation.iotlbCommand();
        break;
      case VTD.queueTail:
        r.setWord(offset, value & 0x7fff0);
        this.#invalidation.run();
        break;
      case VTD.queueAddress:
        r.setWord(offset, value & 0xfffff007);
        break;
      case VTD.interruptTable:
        r.setWord(offset, value & (this.#options.extendedInterrupts ? 0xfffff00f | EXTENDED_INTERRUPTS : 0xfffff00f));
        break;
      case VTD.rootTable:
        r.setWord(offset, value & 0xfffff000);
        break;
      case VTD.rootTable + 4:
      case VTD.contextCommand:
      case VTD.queueAddress + 4:
      case VTD.interruptTable + 4:
      case VTD.invalidateAddress:
      case VTD.invalidateAddress + 4:
      case VTD.iotlbInvalidate:
        r.setWord(offset, value);
        break;
    }
  }

  /** Global command register: switches follow what is written; the set-pointer commands act once (11.4.4). */
  #command(value: number): void {
    const r = this.#registers;
    const { rootTable, interruptTable } = r.state.view;
    const { remapsInterrupts } = this.#options;
    const switches = SWITCHES | (remapsInterrupts ? INTERRUPT_SWITCHES : 0);
    const before = r.word(VTD.globalStatus);
    let status = (before & ~switches) | (value & switches);
    if ((value & GLOBAL.setRootTable) !== 0) {
      rootTable.set([r.word(VTD.rootTable), r.word(VTD.rootTable + 4)]);
      status |= GLOBAL.setRootTable;
      this.#dropCaches();
    }
    if (remapsInterrupts && (value & GLOBAL.setInterruptTable) !== 0) {
      interruptTable.set([r.word(VTD.interruptTable), r.word(VTD.interruptTable + 4)]);
      status |= GLOBAL.setInterruptTable;
    }
    r.setWord(VTD.globalStatus, status);
    if (((before ^ status) & GLOBAL.translation) !== 0) this.#dropCaches();
    if (((before ^ status) & GLOBAL.queuedInvalidation) === 0) return;
    r.setWord(VTD.queueHead, 0);
    this.#invalidation.run();
  }
}

export const intelIommu = declareDevice({
  name: 'intel-iommu',
  bus: 'System',
  summary: 'IOMMU (Intel VT-d); needs the machine q35',
  properties: {
    intremap: { kind: 'switch', summary: 'Interrupt remapping', default: true },
    eim: { kind: 'choice', summary: 'Interrupt destinations of 32 bits, for x2APIC', default: 'auto', choices: ['auto', 'on', 'off'] },
    'caching-mode': { kind: 'switch', summary: 'Software invalidates new mappings too', default: false },
    'aw-bits': { kind: 'choice', summary: 'Width of DMA addresses', default: '39', choices: ['39', '48'] },
  },
  create: ({ memory, iommu }, { intremap, eim, 'caching-mode': cachingMode, 'aw-bits': bits }) => {
    if (iommu === undefined)
      throw new AnilloError('BAD_OPTION', 'Device intel-iommu has no place on this machine; choose the machine q35.');
    if (eim === 'on' && !intremap)
      throw new AnilloError('BAD_OPTION', 'Device intel-iommu has eim=on without interrupt remapping; add intremap=on, or leave eim out.');
    return new IntelIommu({
      memory,
      place: iommu,
      addressBits: bits === '48' ? 48 : 39,
      remapsInterrupts: intremap,
      extendedInterrupts: intremap && eim !== 'off',
      cachingMode,
    });
  },
});
