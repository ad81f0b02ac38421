// Devices that a user may add to a board by name; one line each. Chips that every board has are made by the board.

import { AnilloError } from '@anillo/base/anillo-error';
import type { Device, DeviceContext } from './device.ts';
import { type DeviceDeclaration, type DeviceOptions, type GivenProperty, parseProperties } from './device-declaration.ts';
import { intelIommu } from './iommu/intel-iommu.ts';
import { pciBridge } from './pci/pci-bridge-device.ts';
import { pcieRootPort } from './pci/root-port.ts';
import type { PciPlace } from './pci/pci-bus.ts';
import { uart16550 } from './serial/uart16550.ts';
import { debugConsole } from './system/debug-console.ts';
import { edu } from './system/edu.ts';
import { i6300esb } from './system/i6300esb.ts';
import { isaDebugExit } from './system/isa-debug-exit.ts';
import { pcTestdev } from './system/pc-testdev.ts';
import { pvPanic } from './system/pvpanic.ts';
import { virtioBalloon } from './virtio/balloon.ts';
import { virtio9p } from './virtio/9p.ts';
import { virtioBlk } from './virtio/blk.ts';
import { virtioConsole } from './virtio/console.ts';
import { virtioGpu } from './virtio/gpu.ts';
import { virtioInputs } from './virtio/input.ts';
import { virtioNet } from './virtio/net.ts';
import { virtioRng } from './virtio/rng.ts';
import { virtioVsock } from './virtio/vsock.ts';

export const CATALOG: readonly DeviceDeclaration[] = [
  debugConsole,
  edu,
  i6300esb,
  intelIommu,
  isaDebugExit,
  pcTestdev,
  pciBridge,
  pcieRootPort,
  pvPanic,
  uart16550,
  ...virtioBalloon,
  ...virtio9p,
  ...virtioBlk,
  ...virtioConsole,
  ...virtioGpu,
  ...virtioInputs,
  ...virtioNet,
  ...virtioRng,
  ...virtioVsock,
];

/** The declaration of that name, if any. */
export function findDevice(name: string): DeviceDeclaration | undefined {
  return CATALOG.find((declaration) => declaration.name === name);
}

function declarationOf({ model }: DeviceOptions): DeviceDeclaration {
  const declaration = findDevice(model);
  if (declaration !== undefined) return declaration;
  throw new AnilloError('BAD_OPTION', `There is no device "${model}"; the devices are ${CATALOG.map((d) => d.name).join(', ')}.`);
}

/** AnilloError BAD_OPTION for a model, property or value that there is not. */
export function checkDevice(options: DeviceOptions): void {
  parseProperties(declarationOf(options), propertiesOf(options));
  deviceId(options);
}

function propertiesOf({ model: _, id: __, ...given }: DeviceOptions): Record<string, GivenProperty> {
  return given;
}

/** Its id, if the user gave it one. AnilloError BAD_OPTION for what is none. */
export function deviceId({ id }: DeviceOptions): string | undefined {
  if (id === undefined || (typeof id === 'string' && /^[A-Za-z][\w.-]{0,63}$/.test(id))) return id as string | undefined;
  throw new AnilloError('BAD_OPTION', `"${id}" is no id of a device; it begins with a letter and has letters, digits, "-", "." and "_".`);
}

/** The name of what it is attached to, if the user has said so. */
export function backendName(options: DeviceOptions): string | undefined {
  const { properties } = declarationOf(options);
  const key = Object.keys(properties).find((name) => properties[name].kind === 'backend');
  const given = key === undefined ? undefined : options[key];
  return typeof given === 'string' && given !== '' ? given : undefined;
}

export interface DeviceParts extends Omit<DeviceContext, 'pci'> {
  /** The bus of that name, where a PCI device goes; undefined: the board's own. AnilloError for a name that is none. */
  pciPlace(busName: string | undefined): PciPlace;
}

/** Makes what a user asked for. */
export function createDevice(options: DeviceOptions, parts: DeviceParts): Device {
  const declaration = declarationOf(options);
  const properties = parseProperties(declaration, propertiesOf(options));
  const { bus } = properties;
  const pci = parts.pciPlace(declaration.bus === 'PCI' && typeof bus === 'string' && bus !== '' ? bus : undefined);
  return declaration.create({ ...parts, pci, id: deviceId(options) }, properties);
}
