// Rubbish for the 9P server over a folder of the host: requests with names that lead out, links to a canary outside, fids in any state, messages cut and spoilt,
// several under way. What must hold: each is answered in its form, nothing throws or hangs, and outside nothing has changed and nothing has been read.

import { lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MessageWriter } from '@anillo/devices/virtio/9p/message';
import { NinePServer } from '@anillo/devices/virtio/9p/server';
import { HostFolder } from '../host-folder.ts';

export interface FuzzOptions {
  /** An empty folder. */
  readonly place: string;
  readonly caseCount: number;
  readonly seed: number;
}

const SECRET = 'canary: 4b1d0c9e';
const CASES_OF_A_LIFE = 500;
const REPLY_BYTES = 16_384;
const TYPES = [
  8, 12, 12, 14, 16, 18, 20, 22, 24, 26, 30, 32, 40, 50, 52, 54, 70, 72, 74, 76, 100, 104, 108, 110, 110, 110, 116, 118, 120, 122,
];
/** Fields of each type in their order: numbers of that many bytes, fids, names, data. */
const FIELDS: Readonly<Record<number, string>> = {
  ...{
    8: 'f',
    12: 'fo',
    14: 'fnoml',
    16: 'fntl',
    18: 'fnmlll',
    20: 'ffn',
    22: 'f',
    24: 'fq',
    26: 'fvmllzqqqq',
    30: 'ffa',
    32: 'faqo',
    40: 'fzl',
  },
  ...{ 50: 'fl', 52: 'fblqqln', 54: 'fbqqln', 70: 'ffn', 72: 'fnml', 74: 'fnfn', 76: 'fnd', 100: 'lr', 104: 'fxnnl', 108: 's', 110: 'ffw' },
  ...{ 116: 'fzl', 118: 'fzp', 120: 'f', 122: 'f' },
};

class Rubbish {
  #state: number;

  constructor(seed: number) {
    this.#state = (Math.imul(seed, 0x9e3779b1) ^ 0x5bd1e995) >>> 0 || 1;
  }

  below(limit: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % limit;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)];
  }

  name(outside: string): string {
    if (this.below(8) !== 0) return this.pick(['a', 'b', 'c', 'out', 'leaf', 'd', 'canary']);
    return this.pick([
      '..',
      '.',
      '',
      '../canary',
      '/',
      outside,
      `${outside}/canary`,
      'a/b',
      'a\0b',
      '\xff\xfe',
      'x'.repeat(this.below(300)),
    ]);
  }
}

function writeField(to: MessageWriter, field: string, random: Rubbish, outside: string): void {
  const number = (): number => random.pick([0, 1, 2, 7, 64, 4096, random.below(0x10000), 0xffffffff]);
  if (field === 'f') to.u32(random.below(20) === 0 ? number() : random.below(12));
  else if (field === 'o') to.u32(random.pick([0, 1, 2, 0o1002, 0o102, 0o302, 0o2001, number()]));
  else if (field === 'm') to.u32(random.pick([0o644, 0o755, 0o4777, 0o010666, 0o020666, 0o060666, 0o140666, number()]));
  else if (field === 'n') to.text(random.name(outside));
  else if (field === 'a') to.text(random.pick(['', 'user.x', 'user.anillo.owner', 'security.capability', random.name(outside)]));
  else if (field === 't') to.text(random.pick(['..', '../canary', outside, `${outside}/canary`, '/', 'a', '/proc/self/root']));
  else if (field === 'r') to.text(random.pick(['9P2000.L', '9P2000.L', '9P2000.u', 'x']));
  else if (field === 'v') to.u32(random.below(0x200));
  else if (field === 'x') to.u32(random.pick([0xffffffff, 0xffffffff, 3]));
  else if (field === 'd') to.u32(random.pick([0, 0x200, number()]));
  else if (field === 's') to.u16(random.below(4));
  else if (field === 'b') to.u8(random.below(256));
  else if (field === 'l') to.u32(number());
  else if (field === 'q') to.u32(number()).u32(random.pick([0, 0, number()]));
  else if (field === 'z') to.u32(random.below(100_000)).u32(random.pick([0, 0, 0, 0, 0, 0, 0xffffffff]));
  else if (field === 'w') {
    const count = random.below(4);
    to.u16(count);
    for (let i = 0; i < count; i++) to.text(random.name(outside));
  } else {
    const count = random.below(600);
    to.u32(random.below(20) === 0 ? number() : count);
    for (let i = 0; i < count; i++) to.u8(random.below(256));
  }
}

function rubbish(random: Rubbish, outside: string): Uint8Array {
  const type = random.below(50) === 0 ? random.below(256) : random.pick(TYPES);
  const to = new MessageWriter(4096);
  for (const field of FIELDS[type] ?? 'll') writeField(to, field, random, outside);
  const tag = type === 100 && random.below(4) !== 0 ? 0xffff : random.below(4);
  const bytes = to.head(type, tag).bytes.slice(0, to.length);
  if (random.below(12) === 0) bytes[random.below(bytes.length)] = random.below(256);
  return random.below(20) === 0 ? bytes.slice(0, random.below(bytes.length + 1)) : bytes;
}

function hello(): Uint8Array[] {
  const version = new MessageWriter(64).u32(8192).text('9P2000.L').head(100, 0xffff);
  const attach = new MessageWriter(64).u32(0).u32(0xffffffff).text('').text('').u32(0).head(104, 1);
  for (const message of [version, attach]) message.head(message.bytes[4], message === version ? 0xffff : 1);
  return [version, attach].map((message) => message.bytes.slice(0, message.length));
}

/** What is outside: names, times of change and contents. */
function look(outside: string): string {
  const { mtimeNs, mode, nlink } = lstatSync(join(outside, 'canary'), { bigint: true });
  return [readdirSync(outside).sort().join(), readFileSync(join(outside, 'canary'), 'latin1'), mtimeNs, mode, nlink].join(' ');
}

/** Throws an Error for what must not be. */
export async function fuzzNineP({ place, caseCount, seed }: FuzzOptions): Promise<{ answered: number; refused: number }> {
  const random = new Rubbish(seed);
  let [answered, refused] = [0, 0];
  writeFileSync(join(place, 'canary'), SECRET, { mode: 0o600 });
  for (let done = 0, life = 0; done < caseCount; life++) {
    const path = join(place, 'share');
    mkdirSync(join(path, 'd', 'a'), { recursive: true });
    const before = look(place);
    using folder = new HostFolder({
      path,
      usesOpenat2: life % 2 === 0,
      ownership: life % 3 === 0 ? 'none' : 'mapped',
      isReadOnly: life % 7 === 6,
    });
    const server = new NinePServer(folder);
    const ask = async (message: Uint8Array): Promise<void> => {
      const reply = new Uint8Array(random.below(30) === 0 ? random.below(40) : REPLY_BYTES);
      const count = await server.serve([message.subarray(0, 9), message.subarray(9)], [reply]);
      const size = count === 0 ? 0 : new DataView(reply.buffer).getUint32(0, true);
      if (size !== count || (count > 0 && count < 7)) throw new Error(`an answer of ${count} bytes says that it has ${size}`);
      if (Buffer.from(reply.buffer).includes(SECRET)) throw new Error('a file outside was read');
      if (reply[4] === 7) refused++;
      else answered++;
    };
    for (const message of hello()) await ask(message);
    for (let i = 0; i < CASES_OF_A_LIFE && done < caseCount; i++, done++) {
      const asked = Array.from({ length: random.below(3) + 1 }, () => ask(rubbish(random, place)));
      await Promise.all(asked);
      if (random.below(12) === 0) for (const message of hello()) await ask(message);
    }
    await server.reset();
    if (look(place) !== before) throw new Error(`something outside has changed: ${before} is now ${look(place)}`);
    rmSync(path, { recursive: true });
  }
  return { answered, refused };
}
