// A fid that is opened and given up at the same time.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NinePClient } from '../../testing/nine-p-client.ts';
import { type FileStat, type FileTree, FileTreeError, type OpenFile } from './file-tree.ts';

const STAT: FileStat = {
  ...{ id: 1n, mode: 0o100644, uid: 0, gid: 0, linkCount: 1, rdev: 0, byteCount: 0, blockBytes: 4096, blocks: 0 },
  ...{ accessedNs: 0n, modifiedNs: 0n, changedNs: 0n },
};

/** Counts what a file of the host would be harmed by. */
function tree(counts: { opened: number; closed: number; late: number }): FileTree {
  const missing = async (): Promise<never> => {
    throw new FileTreeError('EOPNOTSUPP');
  };
  const open = async (): Promise<OpenFile> => {
    counts.opened++;
    let isOpen = true;
    const stat = async (): Promise<FileStat> => {
      if (!isOpen) counts.late++;
      return STAT;
    };
    const close = async (): Promise<void> => {
      counts.closed++;
      isOpen = false;
    };
    return { isFolder: false, stat, close, change: missing, read: missing, write: missing, sync: missing, list: missing };
  };
  return {
    ...{ isReadOnly: false, stat: async () => STAT, open, create: open, change: missing, makeFolder: missing, makeNode: missing },
    ...{ makeLink: missing, readLink: missing, link: missing, rename: missing, unlink: missing, removeFolder: missing, space: missing },
    ...{ getAttribute: missing, listAttributes: missing, setAttribute: missing },
  };
}

test('a fid that is given up while it is opened is closed once, and not used afterwards', async () => {
  for (let turns = 0; turns < 24; turns++) {
    const counts = { opened: 0, closed: 0, late: 0 };
    const client = new NinePClient(tree(counts));
    await client.mount();
    const fid = await client.walk(0, ['file']);
    const opening = client.open(fid, 0).catch(() => {});
    for (let i = 0; i < turns; i++) await undefined;
    await client.request(120, (to) => to.u32(fid), 2);
    await opening;
    await client.end();
    assert.deepEqual(counts, { opened: counts.opened, closed: counts.opened, late: 0 }, `after ${turns} turns`);
  }
});
