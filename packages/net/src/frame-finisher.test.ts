import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FrameFinisher } from './frame-finisher.ts';
import type { FrameWork } from './frame-port.ts';
import { read16, read32, write16 } from './network-order.ts';
import { ethernet, ip, MAC_A, MAC_B, tcp, transportChecksum, udp } from './testing/frames.ts';
import { createRandom } from './testing/random.ts';

function finished(frame: Uint8Array, work: FrameWork): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  new FrameFinisher().finish(frame, work, (piece) => {
    pieces.push(piece.slice());
    return true;
  });
  return pieces;
}

const random = createRandom(5);
const payload = Uint8Array.from({ length: 5000 }, () => random(256));

for (const [family, from, to] of [
  [4, '10.0.2.15', '10.0.2.2'],
  [6, 'fec0::15', 'fec0::2'],
] as const) {
  const headerBytes = family === 4 ? 20 : 40;
  const etherType = family === 4 ? 0x800 : 0x86dd;

  test(`TCP over IPv${family} is cut into segments with headers of their own`, () => {
    const whole = ip({ from, to, protocol: 6, payload: tcp({ fromPort: 1, toPort: 2, sequence: 0xffff_ff00, flags: 0x99, payload }) });
    const work: FrameWork = {
      checksum: { start: 14 + headerBytes, offset: 16 },
      segments: { kind: family === 4 ? 'tcp4' : 'tcp6', segmentBytes: 1460, headerBytes: 54, hasEcn: false },
    };
    const pieces = finished(ethernet(MAC_B, MAC_A, etherType, whole), work);
    assert.equal(pieces.length, 4);
    const got: number[] = [];
    for (const [i, piece] of pieces.entries()) {
      const packet = piece.subarray(14);
      assert.equal(family === 4 ? read16(packet, 2) : read16(packet, 4) + 40, packet.length);
      assert.equal(transportChecksum(packet, headerBytes, 6), 0);
      assert.equal(read32(packet, headerBytes + 4), (0xffff_ff00 + 1460 * i) >>> 0);
      // FIN and PSH on the last only, CWR on the first only.
      assert.equal(packet[headerBytes + 13], i === 0 ? 0x90 : i === 3 ? 0x19 : 0x10);
      got.push(...packet.subarray(headerBytes + 20));
    }
    assert.deepEqual(Uint8Array.from(got), payload);
  });

  test(`UDP over IPv${family} becomes datagrams`, () => {
    const whole = ip({ from, to, protocol: 17, payload: udp(7, 8, payload) });
    const pieces = finished(ethernet(MAC_B, MAC_A, etherType, whole), {
      segments: { kind: 'udp', segmentBytes: 2000, headerBytes: 42, hasEcn: false },
    });
    assert.deepEqual(
      pieces.map((piece) => read16(piece, 14 + headerBytes + 4)),
      [2008, 2008, 1008],
    );
    for (const piece of pieces) assert.equal(transportChecksum(piece.subarray(14), headerBytes, 17), 0);
  });
}

test('a checksum that was left is filled in', () => {
  const frame = ethernet(
    MAC_B,
    MAC_A,
    0x800,
    ip({ from: '10.0.2.15', to: '10.0.2.2', protocol: 17, payload: udp(7, 8, payload.subarray(0, 33)) }),
  );
  const expected = read16(frame, 40);
  // The pseudo header's sum in its place.
  const pseudo = ip({ from: '10.0.2.15', to: '10.0.2.2', protocol: 17, payload: new Uint8Array(0) });
  let sum = 17 + 41;
  for (let i = 12; i < 20; i += 2) sum += read16(pseudo, i);
  write16(frame, 40, (sum & 0xffff) + (sum >>> 16));
  assert.equal(read16(finished(frame, { checksum: { start: 34, offset: 6 } })[0], 40), expected);
});

test('work that makes no sense sends nothing', () => {
  const frame = ethernet(MAC_B, MAC_A, 0x800, ip({ from: '10.0.2.15', to: '10.0.2.2', protocol: 17, payload: udp(7, 8, payload) }));
  for (const checksum of [
    { start: 60_000, offset: 6 },
    { start: 0, offset: 0 },
    { start: 34, offset: 60_000 },
    { start: Number.NaN, offset: 0 },
  ]) {
    assert.deepEqual(finished(frame, { checksum }), []);
  }
  for (const segmentBytes of [0, 1, -5, Number.NaN]) {
    assert.deepEqual(finished(frame, { segments: { kind: 'udp', segmentBytes, headerBytes: 42, hasEcn: false } }), []);
  }
  assert.deepEqual(finished(frame, { segments: { kind: 'tcp4', segmentBytes: 1000, headerBytes: 42, hasEcn: false } }), []);
});
