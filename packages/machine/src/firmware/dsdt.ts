// The DSDT's definition block: the board's devices as an operating system enumerates them.

import {
  type Aml,
  device,
  dwordWindow,
  eisaId,
  integer,
  ioPorts,
  irqNoFlags,
  memory32Fixed,
  name,
  packageOf,
  resources,
  scope,
  string,
  WINDOW,
  wordWindow,
} from './aml.ts';

export interface DsdtConfig {
  readonly cpuCount: number;
  /** Value of SLP_TYP for power-off. */
  readonly sleepTypeS5: number;
  /** Value of SLP_TYP for suspend to RAM; undefined: not offered. */
  readonly sleepTypeS3: number | undefined;
  /** The fixed-feature power button works. */
  readonly powerButton: boolean;
  readonly hpetAddress: number;
  /** Device memory below 4 GiB: [start, end). */
  readonly mmioHole: { readonly start: number; readonly end: number };
  readonly serialPorts: readonly { readonly port: number; readonly irq: number }[];
  readonly keyboard: boolean;
  readonly panicPort: number;
  readonly fwCfgPort: number;
}

const hid = (id: string): Aml => name('_HID', eisaId(id));
const uid = (value: number): Aml => name('_UID', integer(value));
const crs = (...descriptors: Uint8Array[]): Aml => name('_CRS', resources(...descriptors));
/** Present, enabled, shown, functioning. */
const present = (): Aml => name('_STA', integer(0x0f));

function hostBridge(c: DsdtConfig): Aml {
  return device(
    'PCI0',
    hid('PNP0A03'),
    uid(0),
    crs(
      wordWindow(WINDOW.BUS, 0, 0xff),
      ioPorts(0xcf8, 8),
      wordWindow(WINDOW.IO, 0, 0xcf7),
      wordWindow(WINDOW.IO, 0xd00, 0xffff),
      dwordWindow(WINDOW.MEMORY, 0xa0000, 0xbffff),
      dwordWindow(WINDOW.MEMORY, c.mmioHole.start, c.mmioHole.end - 1),
    ),
  );
}

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
    scope(
      '\\_SB',
      ...cpus,
      hostBridge(c),
      device('RTC', hid('PNP0B00'), crs(ioPorts(0x70, 2), irqNoFlags(8))),
      ...input,
      ...serial,
      device('HPET', hid('PNP0103'), uid(0), present(), crs(memory32Fixed(c.hpetAddress, 0x400))),
      device(
        'PEVT',
        name('_HID', string('QEMU0001')),
        name('_CID', string('QEMU0001')),
        present(),
        name('PEST', integer(c.panicPort)),
        crs(ioPorts(c.panicPort, 1)),
      ),
      device('FWCF', name('_HID', string('QEMU0002')), present(), crs(ioPorts(c.fwCfgPort, 12))),
    ),
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
