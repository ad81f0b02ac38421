// The DSDT's definition block: the board's devices as an operating system enumerates them.

import type { AcpiPart } from '@anillo/devices/device';
import {
  type Aml,
  ARG0,
  and,
  byteFields,
  configRegion,
  device,
  dwordField,
  dwordWindow,
  eisaId,
  integer,
  ioPorts,
  irqNoFlags,
  memory32Fixed,
  method,
  name,
  or,
  packageOf,
  reference,
  resources,
  returned,
  scope,
  sharedInterrupts,
  store,
  string,
  WINDOW,
  when,
  wordWindow,
} from './aml.ts';
import { expressControl, type HotPlugSlots, hotPlugEvent, hotPlugTerms } from './hot-plug-aml.ts';

type AcpiNode = NonNullable<AcpiPart['node']>;

/** How PCI's interrupts reach the interrupt controllers. */
export interface PciInterrupts {
  /** Device number of the bridge that holds the routing registers. */
  readonly bridgeDevice: number;
  /** Configuration offset of each input's routing register, ascending: PIRQA, PIRQB... */
  readonly routeRegisters: readonly number[];
  /** ISA interrupts that an input may be routed to. */
  readonly isaInterrupts: readonly number[];
  /** The ISA interrupt of each input when no firmware chose one. */
  readonly firstRoutes: readonly number[];
  /** PIRQA's own interrupt at the I/O APIC, the others after it; undefined: inputs have ISA interrupts only. */
  readonly firstOwnGsi?: number;
  /** Input that a device's pin (0 is INTA) is wired to. */
  inputOf(device: number, pin: number): number;
}

export interface DsdtConfig {
  readonly cpuCount: number;
  /** Value of SLP_TYP for power-off. */
  readonly sleepTypeS5: number;
  /** Value of SLP_TYP for suspend to RAM; undefined: not offered. */
  readonly sleepTypeS3: number | undefined;
  /** The fixed-feature power button works. */
  readonly powerButton: boolean;
  readonly hpetAddress: number;
  /** Device memory below 4 GiB for PCI: [start, end). */
  readonly pciWindows: readonly { readonly start: number; readonly end: number }[];
  readonly pciInterrupts: PciInterrupts;
  /** Where PCI configuration is memory; undefined: nowhere. */
  readonly ecam: { readonly start: number; readonly byteCount: number } | undefined;
  readonly serialPorts: readonly { readonly port: number; readonly irq: number }[];
  readonly keyboard: boolean;
  readonly fwCfgPort: number;
  /** Nodes that devices bring. */
  readonly nodes: readonly AcpiNode[];
  readonly hotPlug: HotPlugSlots;
}

const hid = (id: string): Aml => name('_HID', eisaId(id));
const uid = (value: number): Aml => name('_UID', integer(value));
const crs = (...descriptors: Uint8Array[]): Aml => name('_CRS', resources(...descriptors));
/** Present, enabled, shown, functioning. */
const present = (): Aml => name('_STA', integer(0x0f));

const letter = (input: number): string => String.fromCharCode(0x41 + input);
const link = (input: number): string => `LNK${letter(input)}`;
const route = (input: number): string => `PRQ${letter(input)}`;

/** The bridge with the routing registers, by name. */
function routingBridge({ bridgeDevice, routeRegisters }: PciInterrupts): Aml {
  const first = routeRegisters[0];
  const fields = routeRegisters.map((register, input) => ({ offset: register - first, name: route(input) }));
  return device(
    'ISA',
    name('_ADR', integer(bridgeDevice * 0x10000)),
    configRegion('PIRQ', first, (routeRegisters.at(-1) ?? first) - first + 1),
    byteFields('PIRQ', fields),
  );
}

/** Interrupt links (6.2.13): what an input is routed to, read from and written to its register. */
function interruptLinks({ routeRegisters, isaInterrupts }: PciInterrupts): Aml[] {
  const OFF = 0x80;
  const DISABLED = 0x09;
  const ENABLED = 0x0b;
  const INTERRUPT_AT = 5;
  return routeRegisters.map((_, input) => {
    const register = reference(`\\_SB.PCI0.ISA.${route(input)}`);
    const field = `IRQ${letter(input)}`;
    return device(
      link(input),
      hid('PNP0C0F'),
      uid(input + 1),
      name('_PRS', resources(sharedInterrupts(isaInterrupts))),
      name('BUFF', resources(sharedInterrupts([0]))),
      dwordField(reference('BUFF'), INTERRUPT_AT, field),
      method('_STA', 0, when(and(register, integer(OFF)), returned(integer(DISABLED))), returned(integer(ENABLED))),
      method('_DIS', 0, or(register, integer(OFF), register)),
      method('_CRS', 0, and(register, integer(0x0f), reference(field)), returned(reference('BUFF'))),
      method('_SRS', 1, dwordField(ARG0, INTERRUPT_AT, 'CHSN'), store(reference('CHSN'), register)),
    );
  });
}

/** Routing table (6.2.13): every pin of every device, by link or by the I/O APIC's input. */
function routingTable({ inputOf, firstOwnGsi }: PciInterrupts, byLink: boolean): Aml {
  const entries: Aml[] = [];
  for (let slot = 0; slot < 32; slot++) {
    for (let pin = 0; pin < 4; pin++) {
      const input = inputOf(slot, pin);
      const target = byLink ? [reference(link(input)), integer(0)] : [integer(0), integer((firstOwnGsi ?? 0) + input)];
      entries.push(packageOf(integer(slot * 0x10000 + 0xffff), integer(pin), ...target));
    }
  }
  return packageOf(...entries);
}

/** Systems that use the I/O APIC say so through \_PIC, and get its own inputs where there are such. */
function routing(interrupts: PciInterrupts): Aml[] {
  if (interrupts.firstOwnGsi === undefined) return [name('_PRT', routingTable(interrupts, true))];
  return [
    name('PRTP', routingTable(interrupts, true)),
    name('PRTA', routingTable(interrupts, false)),
    method('_PRT', 0, when(reference('\\PICF'), returned(reference('PRTA'))), returned(reference('PRTP'))),
  ];
}

function hostBridge(c: DsdtConfig): Aml {
  const ids = c.ecam === undefined ? [hid('PNP0A03')] : [hid('PNP0A08'), name('_CID', eisaId('PNP0A03'))];
  return device(
    'PCI0',
    ...ids,
    uid(0),
    ...routing(c.pciInterrupts),
    routingBridge(c.pciInterrupts),
    ...hotPlugTerms(c.hotPlug),
    ...(c.ecam === undefined ? [] : [expressControl()]),
    crs(
      wordWindow(WINDOW.BUS, 0, 0xff),
      ioPorts(0xcf8, 8),
      wordWindow(WINDOW.IO, 0, 0xcf7),
      wordWindow(WINDOW.IO, 0xd00, 0xffff),
      dwordWindow(WINDOW.MEMORY, 0xa0000, 0xbffff),
      ...c.pciWindows.map((w) => dwordWindow(WINDOW.MEMORY, w.start, w.end - 1)),
    ),
  );
}

const boardDevice = ({ path, hardwareId, numbers, ports, memory = [], interrupts = [] }: AcpiNode): Aml =>
  device(
    path,
    name('_HID', string(hardwareId)),
    name('_CID', string(hardwareId)),
    present(),
    ...Object.entries(numbers).map(([key, value]) => name(key, integer(value))),
    crs(
      ...ports.map((p) => ioPorts(p.start, p.byteCount)),
      ...memory.map((m) => memory32Fixed(m.start, m.byteCount)),
      ...interrupts.map((gsi) => sharedInterrupts([gsi])),
    ),
  );

/** Systems want the configuration's addresses reserved before they use them (PCI Firmware 3.0, 4.1.2). */
function ecamReservation({ ecam }: DsdtConfig): Aml[] {
  return ecam === undefined ? [] : [device('ECAM', hid('PNP0C02'), uid(1), crs(memory32Fixed(ecam.start, ecam.byteCount)))];
}

const hotPlugReservation = ({ hotPlug }: DsdtConfig): Aml =>
  device('HPRS', hid('PNP0C02'), uid(2), crs(ioPorts(hotPlug.port, hotPlug.byteCount)));

/** The term list of the DSDT, without the table header. */
export function buildDsdt(c: DsdtConfig): Aml {
  const cpus = Array.from({ length: c.cpuCount }, (_, i) =>
    device(`C${i.toString(16).toUpperCase().padStart(3, '0')}`, name('_HID', string('ACPI0007')), uid(i)),
  );
  const serial = c.serialPorts.map((s, i) =>
    device(`COM${i + 1}`, hid('PNP0501'), uid(i + 1), present(), crs(ioPorts(s.port, 8), irqNoFlags(s.irq))),
  );
  const input = c.keyboard
    ? [
        device('KBD', hid('PNP0303'), present(), crs(ioPorts(0x60, 1), ioPorts(0x64, 1), irqNoFlags(1))),
        device('MOU', hid('PNP0F13'), present(), crs(irqNoFlags(12))),
      ]
    : [];
  const terms = [
    name('\\PICF', integer(0)),
    method('\\_PIC', 1, store(ARG0, reference('\\PICF'))),
    scope(
      '\\_SB',
      ...cpus,
      hostBridge(c),
      ...interruptLinks(c.pciInterrupts),
      ...ecamReservation(c),
      hotPlugReservation(c),
      device('RTC', hid('PNP0B00'), crs(ioPorts(0x70, 2), irqNoFlags(8))),
      ...input,
      ...serial,
      device('HPET', hid('PNP0103'), uid(0), present(), crs(memory32Fixed(c.hpetAddress, 0x400))),
      ...c.nodes.map(boardDevice),
      device('FWCF', name('_HID', string('QEMU0002')), present(), crs(ioPorts(c.fwCfgPort, 12))),
    ),
    hotPlugEvent(c.hotPlug),
    ...(c.sleepTypeS3 === undefined
      ? []
      : [name('\\_S3', packageOf(integer(c.sleepTypeS3), integer(c.sleepTypeS3), integer(0), integer(0)))]),
    name('\\_S5', packageOf(integer(c.sleepTypeS5), integer(c.sleepTypeS5), integer(0), integer(0))),
  ];
  const bytes = new Uint8Array(terms.reduce((sum, t) => sum + t.length, 0));
  let at = 0;
  for (const t of terms) {
    bytes.set(t, at);
    at += t.length;
  }
  return bytes;
}
