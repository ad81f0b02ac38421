// Debian's kernels that the default guest can be made with.

export interface GuestFlavour {
  /** Debian's package that depends on the kernel of the day. */
  readonly metaPackage: string;
  readonly architecture: 'amd64' | 'i386';
}

export const GUEST_FLAVOURS = {
  'cloud-amd64': { metaPackage: 'linux-image-cloud-amd64', architecture: 'amd64' },
  amd64: { metaPackage: 'linux-image-amd64', architecture: 'amd64' },
  '686': { metaPackage: 'linux-image-686', architecture: 'i386' },
  '686-pae': { metaPackage: 'linux-image-686-pae', architecture: 'i386' },
} as const satisfies Readonly<Record<string, GuestFlavour>>;

export type GuestFlavourName = keyof typeof GUEST_FLAVOURS;
