// Vsocks as the library's user gives them, and what becomes of them: back ends by name, and a device for the one that nobody named.

import { host } from '#host';
import { AnilloError } from '@anillo/base/anillo-error';
import type { DeviceOptions } from '@anillo/devices/device-declaration';
import type { VsockBackend } from '@anillo/devices/virtio/vsock/vsock-backend';

/** A path around which there are Unix sockets, or a back end of one's own. */
export type VsockPlace = string | VsockBackend;

export interface VsockOption {
  /** The guest's number, from 3 (default) on. */
  readonly cid?: number;
  readonly sockets: VsockPlace;
}

export interface VsockOptions {
  readonly vsock?: VsockOption;
  readonly vsocks?: Readonly<Record<string, VsockPlace>>;
}

export interface Vsocks {
  readonly vsocks: Readonly<Record<string, VsockBackend>>;
  readonly devices: readonly DeviceOptions[];
  close(): void;
}

const UNNAMED = 'the vsock';

/** AnilloError FILE or UNSUPPORTED; then nothing stays open. */
export async function openVsocks({ vsock, vsocks = {} }: VsockOptions): Promise<Vsocks> {
  const found: Record<string, VsockBackend> = {};
  const opened: Disposable[] = [];
  const close = (): void => {
    for (const one of opened.splice(0)) one[Symbol.dispose]();
  };
  const places = { ...vsocks, ...(vsock === undefined ? {} : { [UNNAMED]: vsock.sockets }) };
  try {
    for (const [name, place] of Object.entries(places)) {
      if (typeof place !== 'string') found[name] = place;
      else {
        if (host.openVsock === undefined)
          throw new AnilloError('UNSUPPORTED', 'This host has no Unix sockets for a vsock; give a back end of your own.');
        const sockets = await host.openVsock(place);
        opened.push(sockets);
        found[name] = sockets;
      }
    }
  } catch (error) {
    close();
    throw error;
  }
  const devices = vsock === undefined ? [] : [{ model: 'virtio-vsock-pci', sockets: UNNAMED, 'guest-cid': vsock.cid ?? 3 }];
  return { vsocks: found, devices, close };
}
