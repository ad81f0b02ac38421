// A kind of virtio device becomes two devices that a user may add: NAME-pci and, over MMIO, NAME-device, as QEMU calls them.

import type { DeviceContext } from '../device.ts';
import { type DeviceDeclaration, type DeviceProperties, declareDevice, PCI_ADDRESS, type PropertyValues } from '../device-declaration.ts';
import type { VirtioKind, VirtioOptions } from './virtio-device.ts';
import { VirtioMmio } from './virtio-mmio.ts';
import { VirtioPci, type VirtioPciOptions } from './virtio-pci.ts';

const COMMON = {
  packed: { kind: 'switch', summary: 'Offers packed queues', default: false },
  indirect_desc: { kind: 'switch', summary: 'Offers indirect descriptors', default: true },
  event_idx: { kind: 'switch', summary: 'Offers the event index', default: true },
  iommu_platform: {
    kind: 'choice',
    summary: 'Its memory accesses go through the IOMMU; auto: where there is one',
    default: 'auto',
    choices: ['auto', 'on', 'off'],
  },
} as const satisfies DeviceProperties;

export interface VirtioDeclaration<S extends DeviceProperties> {
  readonly name: string;
  readonly summary: string;
  /** What kind of device PCI takes it for. */
  readonly classCode: number;
  readonly properties: S;
  create(context: DeviceContext, properties: PropertyValues<S>): VirtioKind;
}

export function declareVirtio<const S extends DeviceProperties>(declaration: VirtioDeclaration<S>): readonly DeviceDeclaration[] {
  const { name, summary, classCode, properties, create } = declaration;
  return [
    declareDevice({
      name: `${name}-pci`,
      bus: 'PCI',
      summary: `${summary} (virtio)`,
      properties: { ...properties, ...COMMON, addr: PCI_ADDRESS },
      create: (context, values) => {
        const kind = create(context, values as unknown as PropertyValues<S>);
        return new VirtioPci(kind, classCode, values as unknown as VirtioPciOptions, context);
      },
    }),
    declareDevice({
      name: `${name}-device`,
      bus: 'System',
      summary: `${summary} (virtio over MMIO)`,
      properties: { ...properties, ...COMMON },
      create: (context, values) => {
        const kind = create(context, values as unknown as PropertyValues<S>);
        return new VirtioMmio(kind, values as unknown as VirtioOptions, context);
      },
    }),
  ];
}
