// A client and a server of NBD in one process, for tests and fuzzers.

import { bytePipe } from '@anillo/disk/nbd/byte-pipe';
import type { ByteStream } from '@anillo/disk/nbd/byte-stream';
import { NbdExport, serveNbd } from '@anillo/disk/nbd/nbd-server';
import { NbdStore, type NbdHost } from '@anillo/disk/nbd/nbd-store';
import type { Disk } from '@anillo/disk/disk';

export const pause = (timeoutMs: number): Promise<void> =>
  new Promise((done) => {
    setTimeout(done, timeoutMs).unref();
  });

/** A host whose connections are all to one server. `wrap`: stands between them. */
export function pipeHost(
  disk: Disk,
  wrap: (stream: ByteStream) => ByteStream = (stream) => stream,
  isReadOnly = false,
): NbdHost & { connections: number } {
  const exports = [new NbdExport({ name: 'disk', description: 'A disk', disk, isReadOnly })];
  return {
    connections: 0,
    async connect() {
      this.connections++;
      const [here, there] = bytePipe();
      void serveNbd(there, { exports });
      return wrap(here);
    },
    sleep: (timeoutMs) => pause(Math.min(timeoutMs, 1000)),
  };
}

export function connectToDisk(host: NbdHost, isReadOnly = false): Promise<NbdStore> {
  return NbdStore.connect(host, { name: 'nbd:test', exportName: 'disk', isReadOnly });
}
