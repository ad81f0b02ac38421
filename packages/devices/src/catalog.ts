// Devices that a user may add to a board by name; one line each. Chips that every board has are made by the board.

import { AnilloError } from '@anillo/base/anillo-error';
import type { Device, DeviceContext } from './device.ts';
import { type DeviceDeclaration, type DeviceOptions, parseProperties } from './device-declaration.ts';
import { intelIommu } from './iommu/intel-iommu.ts';
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
  const { model: _, ...given } = options;
  parseProperties(declarationOf(options), given);
}

/** Makes what a user asked for. */
export function createDevice(options: DeviceOptions, context: DeviceContext): Device {
  const { model: _, ...given } = options;
  const declaration = declarationOf(options);
  return declaration.create(context, parseProperties(declaration, given));
}
