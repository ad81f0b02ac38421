// Rubbish for virtio devices: rings that are nearly right, rings that are noise, registers in any order, back ends that are late or fail. What must hold: nothing
// throws, nothing runs away, memory that no writable descriptor names stays as it is, and after a reset the device works.

import { gpa } from '@anillo/base/gpa';
import { createDevice } from '../catalog.ts';
import { FEATURE } from '../virtio/virtio-features.ts';
import { RIG_MEMORY_BYTES } from './pci-rig.ts';
import { type RigQueue, VirtioRig } from './virtio-rig.ts';

export interface FuzzOptions {
  readonly caseCount: number;
  readonly seed: number;
  /** Told now and then. */
  readonly onProgress?: (cases: number) => void;
}

/** Devices that have nothing in common but their core; each with a back end of the rig. */
const MODELS: readonly { readonly model: string; readonly [key: string]: string | number }[] = [
  { model: 'virtio-blk-pci', drive: 'disk', packed: 'on', 'num-queues': 2 },
  { model: 'virtio-9p-pci', fsdev: 'folder', packed: 'on' },
  { model: 'virtio-rng-pci', packed: 'on' },
  { model: 'virtio-net-pci', netdev: 'network', packed: 'on', queues: 2 },
  { model: 'virtio-balloon-pci', control: 'balloon', packed: 'on' },
  { model: 'virtio-console-pci', port0: 'console', packed: 'on' },
  { model: 'virtio-vsock-pci', sockets: 'vsock', packed: 'on' },
  { model: 'virtio-gpu-pci', display: 'display', max_hostmem: 4 << 20, packed: 'on' },
  { model: 'virtio-keyboard-pci', source: 'input', packed: 'on' },
  { model: 'virtio-tablet-pci', source: 'input', packed: 'on' },
];
/** Where nothing may ever be written: descriptors point below it, or far away. */
const CANARY = 0xf0000;
const LIVES = 20;
/** Bits of the devices' own, whichever device offers them. */
const MODEL_FEATURES = Array.from({ length: 24 }, (_, bit) => bit);

class Rubbish {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0 || 1;
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

  address(): number {
    return this.pick([0x1000 + this.below(0x60000), 0x20000, 0x70000, RIG_MEMORY_BYTES + this.below(0x1000), 0xfee00000, 0xffffffff]);
  }

  length(): number {
    return this.pick([1, 16, 16, 17, 512, 512, 528, 4096, this.below(70000), 0, 0xffffffff]);
  }
}

/** Requests that are nearly right, as words, of devices whose heads say more than a kind. */
const REQUESTS: Readonly<Record<string, (random: Rubbish) => readonly number[]>> = {
  'virtio-vsock-pci': (random) => [
    ...[3, 0, random.pick([2, 2, 2, 2, 3, 9]), 0, 1 + random.below(3), 80 + random.below(2)],
    ...[random.pick([0, 0, 8, 484, 512, 9000, 0xffffffff]), 1 | (random.pick([1, 1, 2, 3, 4, 5, 5, 6, 7, 8]) << 16), random.below(4)],
    ...[random.pick([0, 100, 0x40000, 0xffffffff]), random.pick([0, 0, 100, 0xffffffff])],
  ],
  'virtio-gpu-pci': (random) => {
    const side = (): number => random.pick([0, 1, 8, 64, 64, 100, 0xffffffff]);
    const body = [side(), side(), side(), side(), random.below(3), random.below(3), random.below(3), 0];
    const id = random.below(3);
    const command = random.pick([
      ...[[0x100], [0x101, id, random.pick([1, 2, 67, 99]), side(), side()], [0x101, 1, 1, 64, 64], [0x102, id], [0x103, ...body]],
      ...[
        [0x103, 0, 0, 64, 64, 0, 1],
        [0x104, ...body],
        [0x105, ...body],
        [0x105, 0, 0, 64, 64, 0, 0, 1, 0],
      ],
      ...[
        [0x106, id, random.pick([0, 1, 3, 20_000]), random.address(), 0, random.length(), 0],
        [0x106, 1, 1, 0x30000, 0, 0x4000, 0],
      ],
      ...[
        [0x107, id],
        [0x10a, id],
        [0x300, 0, 1, 1, 0, ...body],
        [0x301, ...body],
        [random.below(0x400), ...body],
      ],
    ]);
    return [command[0], random.below(4), 7, 0, 0, 0, ...command.slice(1)];
  },
};

/** Ring contents: mostly a chain or several of the form that the device expects, with some of it spoilt. */
function fillRing(rig: VirtioRig, { ring }: RigQueue, random: Rubbish, isPacked: boolean, model: string): void {
  const { size } = ring;
  const request = REQUESTS[model];
  const isGood = random.below(3) < (request === undefined ? 1 : 2);
  const spoilt = request === undefined ? 8 : 200;
  for (let i = 0; i < size; i++) {
    const isWritable = isGood ? i % 3 === 2 : random.below(2) === 0;
    const flags = (isWritable ? 2 : 0) | (isGood ? (i % 3 === 2 ? 0 : 1) : random.below(2)) | (random.below(spoilt) === 0 ? 4 : 0);
    const address = isGood ? 0x20000 + i * 0x2000 : random.address();
    const byteCount = isGood ? (isWritable ? 513 : i % 3 === 0 ? 16 : 512) : random.length();
    const next = isGood ? (i + 1) % size : random.pick([(i + 1) % size, random.below(size), random.below(0x10000)]);
    const wrap = isPacked ? (request !== undefined && isGood ? 0x80 : random.pick([0x80, 0x80, 0x8000, 0x8080, 0])) : 0;
    rig.put(ring.descriptors + i * 16, address, random.below(2 * spoilt) === 0 ? random.below(4) : 0, byteCount);
    rig.put(ring.descriptors + i * 16 + 12, isPacked ? random.below(0x10000) | ((flags | wrap) << 16) : flags | (next << 16));
    // What devices take for heads of requests.
    rig.put(
      0x20000 + i * 0x2000,
      random.pick([0, 1, 4, 8, 11, 13, random.below(20)]),
      0,
      random.below(3000),
      random.below(50) === 0 ? 1 : 0,
    );
    // Tables.
    rig.put(0x70000 + i * 16, random.address(), 0, random.length(), random.below(8) | (random.below(size) << 16));
  }
  // Their first 16 bytes, and what follows in the buffer behind.
  for (let i = 0; request !== undefined && isGood && i < size; i += 3) {
    const words = request(random);
    rig.put(0x20000 + i * 0x2000, ...words.slice(0, 4));
    rig.put(0x20000 + (i + 1) * 0x2000, ...words.slice(4));
  }
  if (isPacked) {
    rig.put(ring.driver, random.below(0x10000) | (random.below(4) << 16));
    return;
  }
  // Behind what the device has taken, so that it goes on there.
  const base = isGood ? rig.ram.read16(gpa(ring.driver + 2)) : 0;
  for (let i = 0; i < size; i++)
    rig.ram.write16(gpa(ring.driver + 4 + ((base + i) % size) * 2), isGood ? (i * 3) % size : random.below(size + 1));
  const available = isGood ? base + 1 + random.below(Math.ceil(size / 3)) : random.pick([1, 2, size, size + 1, random.below(0x10000)]);
  rig.put(ring.driver, random.below(2) | ((available & 0xffff) << 16));
}

function pokeRegisters(rig: VirtioRig, random: Rubbish): void {
  const byteCount = random.pick([1, 2, 4] as const);
  const value = random.pick([0, 1, 2, 0xf, 0xffff, random.below(2 ** 31)]);
  const at = random.below(64);
  if (random.below(4) === 0) rig.setDeviceConfig(at, byteCount, value);
  else if (at !== 20 || random.below(4) === 0) rig.setCommon(at & -byteCount, byteCount, value);
  rig.common(random.below(64) & -byteCount, byteCount);
  rig.deviceConfig(random.below(80), byteCount);
  rig.readIsr();
}

/** Peers connect, read, write and go, or do nothing of that. */
function pokeSockets({ sockets }: VirtioRig, random: Rubbish): void {
  if (random.below(4) === 0) sockets.ask(1 + random.below(3));
  for (const socket of sockets.sockets) {
    const deed = random.below(8);
    if (deed === 0) socket.events?.onConnected();
    else if (deed === 1) socket.take();
    else if (deed === 2) socket.take(Math.min(socket.untakenBytes, random.below(100)));
    else if (deed === 3) socket.put(new Uint8Array(random.pick([1, 100, 9000])));
    else if (deed === 4) socket.endInput();
    else if (deed === 5 && random.below(4) === 0) socket.close(random.below(2) === 0);
    if (socket.untakenBytes > 256 * 1024) throw new Error('a socket holds more than its window');
    socket.written.length = 0;
  }
  sockets.sockets = sockets.sockets.filter(({ isDestroyed }) => !isDestroyed);
}

function pokeScreen({ display, input }: VirtioRig, random: Rubbish): void {
  if (random.below(8) === 0) {
    display.size = random.below(2) === 0 ? undefined : { width: random.below(5000), height: random.below(5000) };
    display.onResize?.();
  }
  for (let n = random.below(4); n > 0; n--) input.sink?.([{ type: random.below(4), code: random.below(500), value: random.below(9) - 4 }]);
  display.updates.length = 0;
  input.lights.length = 0;
}

/** Frames and bytes arrive, and there is room or not. */
function pokeBackends(rig: VirtioRig, random: Rubbish): void {
  pokeSockets(rig, random);
  pokeScreen(rig, random);
  const { network, console: terminal } = rig;
  network.hasSpace = random.below(3) !== 0;
  terminal.room = random.pick([0, 5, Infinity]);
  if (network.hasSpace) network.onRoom?.();
  if (terminal.room > 0) terminal.onDrain?.();
  if (random.below(8) === 0) network.plug(random.below(2) === 0);
  const frame = new Uint8Array(random.pick([14, 60, 1514, 9000])).fill(random.below(256));
  network.receiver?.send(frame, random.below(2) === 0 ? undefined : { checksum: { start: 4, offset: 2 } });
  terminal.type('x'.repeat(random.below(100)));
  network.sent.length = 0;
  terminal.sent.length = 0;
}

/** Lets promises run. */
async function settle(): Promise<void> {
  for (let i = 0; i < 8; i++) await Promise.resolve();
}

async function life(rig: VirtioRig, random: Rubbish, model: string): Promise<{ broken: number; served: number }> {
  const isPacked = random.below(2) === 0;
  const optional = [FEATURE.indirectDescriptors, FEATURE.eventIndex, ...MODEL_FEATURES];
  const features = [...(isPacked ? [FEATURE.packedRing] : []), ...optional.filter((bit) => random.below(2) === 0 && rig.offers(bit))];
  const size = random.pick(isPacked ? [1, 3, 8, 16, 64] : [1, 2, 8, 16, 64]);
  const queueCount = rig.common(18, 2);
  const queues = rig.start(features, size, queueCount);
  rig.disk.isHeld = random.below(3) === 0;
  rig.disk.failure = random.below(5) === 0 ? new Error('out of order') : undefined;
  const before = queues.map(({ ring }) => rig.ram.read16(gpa(ring.device + 2)));
  // Longer where one request builds on another.
  for (let step = 1 + random.below(REQUESTS[model] === undefined ? 4 : 24); step > 0; step--) {
    const queue = random.pick(queues);
    fillRing(rig, queue, random, isPacked, model);
    rig.notify(queue);
    if (random.below(3) === 0) pokeRegisters(rig, random);
    if (random.below(2) === 0) rig.disk.release();
    pokeBackends(rig, random);
    if (random.below(2) === 0) await settle();
    rig.advance(1000);
  }
  const broken = rig.needsReset ? 1 : 0;
  const served = queues.some(({ ring }, i) => rig.ram.read16(gpa(ring.device + 2)) !== before[i]) ? 1 : 0;
  rig.disk.isHeld = false;
  if (random.below(2) === 0) {
    rig.disk.release();
    await settle();
  }
  rig.status = 0;
  rig.disk.release();
  for (let n = 0; n < 100 && (n === 0 || rig.status !== 0); n++) await settle();
  if (rig.status !== 0) throw new Error(`${model}: it does not reset`);
  return { broken, served };
}

/** Throws where something does not hold. */
export async function fuzzVirtio({
  caseCount,
  seed,
  onProgress,
}: FuzzOptions): Promise<{ readonly broken: number; readonly served: number }> {
  const random = new Rubbish(seed);
  let broken = 0;
  let served = 0;
  for (let cases = 0; cases < caseCount; ) {
    const rig = new VirtioRig();
    const options = random.pick(MODELS);
    createDevice(options, rig.context);
    rig.find();
    rig.ram.write(gpa(CANARY), new Uint8Array(RIG_MEMORY_BYTES - CANARY).fill(0x5a));
    for (let n = 0; n < LIVES && cases < caseCount; n++, cases++) {
      const one = await life(rig, random, options.model);
      broken += one.broken;
      served += one.served;
    }
    if (rig.ram.read(gpa(CANARY), RIG_MEMORY_BYTES - CANARY).some((byte) => byte !== 0x5a))
      throw new Error('memory was written that nobody named');
    rig.messages.length = 0;
    onProgress?.(cases);
  }
  return { broken, served };
}
