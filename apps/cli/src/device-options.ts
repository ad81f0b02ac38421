// `--device NAME[,KEY=VALUE...]` (and QEMU's `-device`): what the catalog of devices declares, as options of the library and as text for people.

import { AnilloError } from '@anillo/base/anillo-error';
import { type DeviceDeclaration, type DeviceOptions, type DeviceProperty, describeRange } from '@anillo/devices/device-declaration';
import { DEVICES } from 'anillo/registry';
import { nearest } from './option-table.ts';

function declarationOf(name: string): DeviceDeclaration {
  const declaration = DEVICES.find((d) => d.name === name);
  if (declaration !== undefined) return declaration;
  const names = DEVICES.map((d) => d.name);
  const close = nearest(name, names);
  const hint = close === undefined ? `the devices are ${names.join(', ')}.` : `did you mean ${close}?`;
  throw new AnilloError('BAD_OPTION', `There is no device "${name}"; ${hint}`);
}

/** AnilloError BAD_OPTION for a device that there is not, or text that is no property; the library checks the properties. */
export function parseDevice(text: string): DeviceOptions {
  const [name, ...settings] = text.split(',');
  const declaration = declarationOf(name);
  const given = settings.map((setting): readonly [string, string] => {
    const equals = setting.indexOf('=');
    const key = equals < 0 ? setting : setting.slice(0, equals);
    if (key === '' || (equals < 0 && declaration.properties[key]?.kind !== 'switch'))
      throw new AnilloError('BAD_OPTION', `${name} does not take "${setting}"; write its properties as KEY=VALUE.`);
    return [key, equals < 0 ? 'on' : setting.slice(equals + 1)];
  });
  return { ...Object.fromEntries(given), model: name };
}

/** In QEMU's own form, which scripts search with grep. */
export function deviceList(): string {
  const lines = DEVICES.map(({ name, bus, summary }) => `name "${name}", bus ${bus}, desc "${summary}"\n`);
  return `Devices:\n${lines.join('')}`;
}

function defaultText({ default: value }: DeviceProperty): string {
  if (value === undefined) return '';
  if (typeof value === 'boolean') return ` (default: ${value ? 'on' : 'off'})`;
  return ` (default: ${typeof value === 'number' && value > 9 ? `0x${value.toString(16)}` : value})`;
}

function propertyList(name: string): string {
  const properties = Object.entries(declarationOf(name).properties);
  const lines = properties.map(
    ([key, property]) => `  ${key}=<${describeRange(property)}> - ${property.summary}${defaultText(property)}\n`,
  );
  return lines.length === 0 ? `${name} has no properties.\n` : `${name} options:\n${lines.join('')}`;
}

/** The answer to `help`, `?` or `NAME,help` among what was given; undefined: nobody asked. */
export function deviceHelp(texts: readonly string[]): string | undefined {
  for (const text of texts) {
    const [name, ...settings] = text.split(',');
    if (name === 'help' || name === '?') return deviceList();
    if (settings.some((setting) => setting === 'help' || setting === '?')) return propertyList(name);
  }
  return undefined;
}
