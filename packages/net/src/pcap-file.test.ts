import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { PcapFile } from './pcap-file.ts';
import { ethernet, ip, MAC_A, MAC_B, udp } from './testing/frames.ts';

function capture(): Uint8Array {
  const parts: Uint8Array[] = [];
  let now = 1_700_000_000_123_456_789n;
  const file = new PcapFile({ write: (bytes) => parts.push(bytes), nowNs: () => (now += 1000n) });
  const writer = file.addInterface('net0');
  const frame = ethernet(
    MAC_B,
    MAC_A,
    0x800,
    ip({ from: '10.0.2.15', to: '10.0.2.2', protocol: 17, payload: udp(1000, 2000, Buffer.from('hello')) }),
  );
  writer.see(frame, undefined, 'in');
  // A checksum that the machine left: the pseudo header's sum.
  const unfinished = frame.slice();
  unfinished.set([0x18 + 0x00, 0x31], 40);
  writer.see(unfinished, { checksum: { start: 34, offset: 6 } }, 'out');
  file.addInterface('second').see(frame, undefined, 'in');
  return Buffer.concat(parts);
}

test('blocks of pcapng', () => {
  const view = new DataView(Uint8Array.from(capture()).buffer);
  const types: number[] = [];
  for (let at = 0; at < view.byteLength; at += view.getUint32(at + 4, true)) {
    types.push(view.getUint32(at, true));
    const length = view.getUint32(at + 4, true);
    assert.equal(length % 4, 0);
    assert.equal(view.getUint32(at + length - 4, true), length);
  }
  assert.deepEqual(types, [0x0a0d0d0a, 1, 6, 6, 1, 6]);
});

const tshark = spawnSync('tshark', ['--version']).status === 0;

test('tshark reads it', { skip: tshark ? false : 'tshark is not there' }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'anillo-pcap-'));
  try {
    const file = join(folder, 'a.pcapng');
    writeFileSync(file, capture());
    const { stdout, status } = spawnSync(
      'tshark',
      [
        '-r',
        file,
        '-T',
        'fields',
        '-e',
        'frame.time_epoch',
        '-e',
        'ip.src',
        '-e',
        'udp.dstport',
        '-e',
        'frame.interface_name',
        '-e',
        'data',
      ],
      { encoding: 'utf8' },
    );
    assert.equal(status, 0);
    const rows = stdout
      .trim()
      .split('\n')
      .map((line) => line.split('\t'));
    assert.deepEqual(
      rows.map((row) => row[3]),
      ['net0', 'net0', 'second'],
    );
    assert.deepEqual(rows[0].slice(1), ['10.0.2.15', '2000', 'net0', '68656c6c6f']);
    assert.ok(rows[0][0].includes('.123457789'));
  } finally {
    rmSync(folder, { recursive: true });
  }
});
