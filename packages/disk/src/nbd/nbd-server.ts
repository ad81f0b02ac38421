// A server of NBD: gives disks to whoever connects (https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md, fixed newstyle). One call of `serveNbd` is one connection.

import { AnilloError } from '@anillo/base/anillo-error';
import type { Disk } from '../disk.ts';
import { AlignedAccess } from '../aligned-access.ts';
import type { ByteStream } from './byte-stream.ts';
import { negotiateAsServer } from './server-handshake.ts';
import { ServerTransmission } from './server-transmission.ts';

export interface NbdExportOptions {
  /** '' is the one that clients get which name none. */
  readonly name: string;
  readonly description?: string;
  readonly disk: Disk;
  readonly isReadOnly?: boolean;
}

/** A disk as clients see it; what clients share of it. */
export class NbdExport {
  readonly name: string;
  readonly description: string | undefined;
  readonly disk: Disk;
  readonly isReadOnly: boolean;
  readonly bytes: AlignedAccess;

  constructor({ name, description, disk, isReadOnly = false }: NbdExportOptions) {
    this.name = name;
    this.description = description;
    this.disk = disk;
    this.isReadOnly = isReadOnly || disk.isReadOnly;
    this.bytes = new AlignedAccess({
      blockBytes: 512,
      read: (offset, into) => disk.read(offset, into),
      write: (offset, from) => disk.write(offset, from),
      writeZeroes: (offset, byteCount, mayUnmap) => disk.writeZeroes(offset, byteCount, mayUnmap),
    });
  }
}

export interface NbdServerOptions {
  readonly exports: readonly NbdExport[];
  /** Nothing is told to whoever does not encrypt. */
  readonly requiresTls?: boolean;
  /** The client has chosen an export. */
  readonly onChosen?: () => void;
}

/** Resolves when the connection is over and nothing of it is under way; the stream is closed then. Never rejects for what the peer does. */
export async function serveNbd(stream: ByteStream, options: NbdServerOptions): Promise<void> {
  try {
    const agreed = await negotiateAsServer(stream, options);
    if (agreed === undefined) return;
    options.onChosen?.();
    await new ServerTransmission(stream, agreed).run();
  } catch (error) {
    if (!(error instanceof AnilloError)) throw error;
  } finally {
    stream.close();
  }
}
