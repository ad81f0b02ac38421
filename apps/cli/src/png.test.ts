import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32, inflateSync } from 'node:zlib';
import { encodePng } from './png.ts';

test('a picture comes back from its chunks', () => {
  const [width, height] = [5, 4];
  const rgba = Uint8Array.from({ length: width * height * 4 }, (_, i) => (i * 37) % 256);
  const png = Buffer.from(encodePng(width, height, rgba));
  assert.equal(png.subarray(1, 4).toString(), 'PNG');
  const chunks = new Map<string, Buffer>();
  for (let at = 8; at < png.length; ) {
    const byteCount = png.readUInt32BE(at);
    const data = png.subarray(at + 8, at + 8 + byteCount);
    assert.equal(png.readUInt32BE(at + 8 + byteCount), crc32(png.subarray(at + 4, at + 8 + byteCount)));
    chunks.set(png.subarray(at + 4, at + 8).toString(), data);
    at += 12 + byteCount;
  }
  assert.deepEqual([...chunks.keys()], ['IHDR', 'IDAT', 'IEND']);
  assert.deepEqual([chunks.get('IHDR')?.readUInt32BE(0), chunks.get('IHDR')?.readUInt32BE(4)], [width, height]);
  const rows = inflateSync(chunks.get('IDAT') as Buffer);
  const back = new Uint8Array(rgba.length);
  for (let y = 0; y < height; y++) {
    const from = y * (1 + width * 4);
    assert.equal(rows[from], 2);
    for (let i = 0; i < width * 4; i++) back[y * width * 4 + i] = rows[from + 1 + i] + (y === 0 ? 0 : back[(y - 1) * width * 4 + i]);
  }
  assert.deepEqual(back, rgba);
});
