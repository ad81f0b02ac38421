// What the DSDT says of devices that come and go on PCI bus 0 (ACPI 6.5, 5.6.4, 6.3), over the registers of AcpiHotPlug; and who serves hot plug behind ports of
// PCI Express (PCI Firmware 3.0, 4.5.1).

import {
  type Aml,
  ARG0,
  ARG1,
  ARG3,
  and,
  buffer,
  call,
  device,
  dwordField,
  dwordFields,
  equal,
  integer,
  LOCAL0,
  method,
  name,
  not,
  notify,
  or,
  portRegion,
  reference,
  returned,
  scope,
  store,
  when,
} from './aml.ts';

export interface HotPlugSlots {
  /** The registers. */
  readonly port: number;
  readonly byteCount: number;
  /** Their general-purpose event. */
  readonly gpe: number;
  /** Device numbers. */
  readonly devices: readonly number[];
}

const REGISTERS = { changed: 'HPCH', wanted: 'HPWA', eject: 'HPEJ' } as const;
/** Values of Notify (5.6.6). */
const DEVICE_CHECK = 1;
const EJECT_REQUEST = 3;

const slot = (number: number): string => `S${number.toString(16).toUpperCase().padStart(2, '0')}`;
const bit = (number: number): Aml => integer(2 ** number);

/** Within the host bridge: its slots, and how they are told of. */
export function hotPlugTerms({ port, byteCount, devices }: HotPlugSlots): Aml[] {
  const slots = devices.map((number) =>
    device(
      slot(number),
      name('_ADR', integer(number * 0x10000)),
      name('_SUN', integer(number)),
      method('_EJ0', 1, store(bit(number), reference(REGISTERS.eject))),
    ),
  );
  const tell = devices.map((number) => when(and(ARG0, bit(number)), notify(slot(number), ARG1)));
  return [portRegion('HPRG', port, byteCount), dwordFields('HPRG', Object.values(REGISTERS)), ...slots, method('HPNT', 2, ...tell)];
}

/** Reading the registers forgets what they say. */
export function hotPlugEvent({ gpe }: HotPlugSlots): Aml {
  const tell = (register: string, value: number): Aml[] => [
    store(reference(`\\_SB.PCI0.${register}`), LOCAL0),
    call('\\_SB.PCI0.HPNT', LOCAL0, integer(value)),
  ];
  return scope(
    '\\_GPE',
    method(`_E${gpe.toString(16).padStart(2, '0')}`, 0, ...tell(REGISTERS.changed, DEVICE_CHECK), ...tell(REGISTERS.wanted, EJECT_REQUEST)),
  );
}

/** 33DB4D5B-1FF7-401C-9657-7441C03DD766, as it lies in memory. */
const EXPRESS_UUID = Uint8Array.of(0x5b, 0x4d, 0xdb, 0x33, 0xf7, 0x1f, 0x1c, 0x40, 0x96, 0x57, 0x74, 0x41, 0xc0, 0x3d, 0xd7, 0x66);
/** Native hot-plug of PCI Express, and its capability's registers. */
const GIVEN = 0x11;
const STATUS = { badUuid: 4, badRevision: 8, masked: 0x10 } as const;

/** _OSC (6.2.11): the system may serve hot plug behind ports itself, and nothing else that it might ask for. */
export function expressControl(): Aml {
  const [status, control] = ['CDW1', 'CDW3'];
  const say = (flag: number): Aml => or(reference(status), integer(flag), reference(status));
  return method(
    '_OSC',
    4,
    dwordField(ARG3, 0, status),
    when(not(equal(ARG0, buffer(EXPRESS_UUID))), say(STATUS.badUuid), returned(ARG3)),
    dwordField(ARG3, 8, control),
    when(not(equal(ARG1, integer(1))), say(STATUS.badRevision)),
    and(reference(control), integer(GIVEN), LOCAL0),
    when(not(equal(reference(control), LOCAL0)), say(STATUS.masked)),
    store(LOCAL0, reference(control)),
    returned(ARG3),
  );
}
