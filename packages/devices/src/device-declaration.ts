// What a user may plug in by name (`--device NAME,key=value`, or `{ model: NAME, key: value }` from code): a device's name, its properties with types,
// ranges and defaults, and how to make one. Parsing, help and error texts derive from it. A declaration is one line of catalog.ts.

import { AnilloError } from '@anillo/base/anillo-error';
import type { Device, DeviceContext } from './device.ts';

export interface NumberProperty {
  readonly kind: 'number';
  readonly summary: string;
  readonly default: number;
  readonly minimum: number;
  readonly maximum: number;
}

export interface SwitchProperty {
  readonly kind: 'switch';
  readonly summary: string;
  readonly default: boolean;
}

export interface ChoiceProperty {
  readonly kind: 'choice';
  readonly summary: string;
  readonly default: string;
  readonly choices: readonly string[];
}

export interface TextProperty {
  readonly kind: 'text';
  readonly summary: string;
  readonly default: string;
  /** Characters. */
  readonly longest: number;
}

/** The name of what the device is attached to. */
export interface BackendProperty {
  readonly kind: 'backend';
  readonly of: 'drive' | 'network' | 'console' | 'balloon' | 'folder' | 'vsock' | 'display' | 'input';
  readonly summary: string;
  readonly default: undefined;
}

/** Device and function on the PCI bus, as in 0x5 or 5.1; undefined: the first free device. */
export interface PciAddressProperty {
  readonly kind: 'pci-address';
  readonly summary: string;
  readonly default: undefined;
}

/** Properties that every PCI device has. */
export const PCI_ADDRESS: PciAddressProperty = { kind: 'pci-address', summary: 'Device[.function] on the PCI bus', default: undefined };
const PCI_BUS = {
  ...{ kind: 'text', default: '', longest: 64 },
  summary: "The bus: the id of a bridge or root port; without: the board's",
} as const satisfies TextProperty;

export type DeviceProperty = NumberProperty | SwitchProperty | ChoiceProperty | TextProperty | BackendProperty | PciAddressProperty;
export type DeviceProperties = Readonly<Record<string, DeviceProperty>>;

type ValueOf<P extends DeviceProperty> = P extends NumberProperty
  ? number
  : P extends SwitchProperty
    ? boolean
    : P extends PciAddressProperty
      ? number | undefined
      : P extends TextProperty
        ? string
        : P extends BackendProperty
          ? string | undefined
          : P extends { readonly choices: readonly (infer C)[] }
            ? C
            : never;
export type PropertyValues<S extends DeviceProperties> = { readonly [K in keyof S]: ValueOf<S[K]> };

export interface DeviceDeclaration<S extends DeviceProperties = DeviceProperties> {
  readonly name: string;
  /** Where it is plugged in. */
  readonly bus: 'ISA' | 'PCI' | 'System';
  readonly summary: string;
  readonly properties: S;
  /** AnilloError for what does not fit the board or the other devices. */
  create(context: DeviceContext, properties: PropertyValues<S>): Device;
}

/** Ties the property names and types of `create` to those of `properties`. */
export function declareDevice<const S extends DeviceProperties>(declaration: DeviceDeclaration<S>): DeviceDeclaration {
  const { bus, properties } = declaration;
  const all = bus === 'PCI' ? { ...properties, bus: PCI_BUS } : properties;
  return { ...declaration, properties: all } as unknown as DeviceDeclaration;
}

/** As a user writes it: text, or the value itself. */
export type GivenProperty = string | number | boolean;

/** What a user asks for: a declaration's name and properties. `id`: by which others refer to the device. */
export interface DeviceOptions {
  readonly model: string;
  readonly [property: string]: GivenProperty;
}

/** A number in text: decimal or 0x. */
function parseNumber(given: GivenProperty): number {
  if (typeof given === 'number') return Number.isInteger(given) ? given : Number.NaN;
  return typeof given === 'string' && /^(0x[0-9a-f]{1,13}|\d{1,15})$/i.test(given) ? Number(given) : Number.NaN;
}

function parseSwitch(given: GivenProperty): boolean | undefined {
  if (typeof given === 'boolean') return given;
  return given === 'on' ? true : given === 'off' ? false : undefined;
}

/** Hexadecimal, as QEMU takes it; device << 3 | function. */
function parsePciAddress(given: GivenProperty): number | undefined {
  const match = /^(?:0x)?([0-9a-f]{1,2})(?:\.([0-7]))?$/i.exec(typeof given === 'number' ? given.toString(16) : String(given));
  const device = match === null ? 32 : Number.parseInt(match[1], 16);
  return device > 31 ? undefined : (device << 3) | Number(match?.[2] ?? 0);
}

/** The values that a property takes, for people. */
export function describeRange(property: DeviceProperty): string {
  if (property.kind === 'switch') return 'on or off';
  if (property.kind === 'pci-address') return 'an address from 0x0 to 0x1f.7';
  if (property.kind === 'text') return `text of up to ${property.longest} characters`;
  if (property.kind === 'backend') return `the name of a ${property.of}`;
  if (property.kind === 'choice') return `one of ${property.choices.join(', ')}`;
  const text = (value: number): string => (value > 9 ? `0x${value.toString(16)}` : `${value}`);
  return `a number from ${text(property.minimum)} to ${text(property.maximum)}`;
}

function parseProperty(property: DeviceProperty, given: GivenProperty): GivenProperty | undefined {
  if (property.kind === 'switch') return parseSwitch(given);
  if (property.kind === 'pci-address') return parsePciAddress(given);
  if (property.kind === 'text') return String(given).length <= property.longest ? String(given) : undefined;
  if (property.kind === 'backend') return typeof given === 'string' && given !== '' ? given : undefined;
  if (property.kind === 'choice') return property.choices.includes(String(given)) ? String(given) : undefined;
  const value = parseNumber(given);
  return value >= property.minimum && value <= property.maximum ? value : undefined;
}

/** The properties with their values; what is not given takes its default. AnilloError BAD_OPTION names what does not fit. */
export function parseProperties(
  declaration: DeviceDeclaration,
  given: Readonly<Record<string, GivenProperty>>,
): PropertyValues<DeviceProperties> {
  const { name, properties } = declaration;
  for (const key of Object.keys(given)) {
    if (Object.hasOwn(properties, key)) continue;
    const known = Object.keys(properties);
    throw new AnilloError(
      'BAD_OPTION',
      `Device ${name} has no property "${key}"; ${known.length === 0 ? 'it has none' : `it has ${known.join(', ')}`}.`,
    );
  }
  const values: Record<string, GivenProperty | undefined> = {};
  for (const [key, property] of Object.entries(properties)) {
    values[key] = given[key] === undefined ? property.default : parseProperty(property, given[key]);
    if (given[key] !== undefined && values[key] === undefined)
      throw new AnilloError('BAD_OPTION', `Property ${key} of device ${name} takes ${describeRange(property)}, not "${given[key]}".`);
  }
  return values as PropertyValues<DeviceProperties>;
}
