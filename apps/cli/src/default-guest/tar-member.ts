// Takes one file out of a tar stream (POSIX ustar) and stops reading there.

const BLOCK_BYTES = 512;

const text = (block: Uint8Array, at: number, byteCount: number): string => {
  const end = block.subarray(at, at + byteCount).indexOf(0);
  return Buffer.from(block.buffer, block.byteOffset + at, end < 0 ? byteCount : end).toString('latin1');
};

/** First regular file whose name fits `wanted`; undefined when the stream ends or is not a tar before that. */
export async function tarMember(
  stream: AsyncIterable<Uint8Array>,
  wanted: RegExp,
): Promise<{ readonly name: string; readonly content: Uint8Array } | undefined> {
  let chunks: Uint8Array[] = [];
  let buffered = 0;
  let neededBytes = BLOCK_BYTES;
  let skipBytes = 0;
  let found: { readonly name: string; readonly byteCount: number } | undefined;
  for await (const chunk of stream) {
    let rest = chunk;
    while (rest.length > 0) {
      if (skipBytes > 0) {
        const skipped = Math.min(skipBytes, rest.length);
        skipBytes -= skipped;
        rest = rest.subarray(skipped);
        continue;
      }
      const taken = rest.subarray(0, neededBytes - buffered);
      chunks.push(taken);
      buffered += taken.length;
      rest = rest.subarray(taken.length);
      if (buffered < neededBytes) continue;
      const whole = Buffer.concat(chunks);
      chunks = [];
      buffered = 0;
      if (found !== undefined) return { name: found.name, content: whole };
      const byteCount = Number.parseInt(text(whole, 124, 12), 8);
      if (text(whole, 257, 5) !== 'ustar' || !(byteCount >= 0)) return undefined;
      const name = text(whole, 0, 100);
      const isFile = whole[156] === 0x30 || whole[156] === 0;
      if (isFile && byteCount > 0 && wanted.test(name)) {
        found = { name, byteCount };
        neededBytes = byteCount;
      } else skipBytes = Math.ceil(byteCount / BLOCK_BYTES) * BLOCK_BYTES;
    }
  }
  return undefined;
}
