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

/** Ring contents: mostly a chain or several of the form that the device expects, with some of it spoilt. */
function fillRing(rig: VirtioRig, { ring }: RigQueue, random: Rubbish, isPacked: boolean): void {
  const { size } = ring;
  const isGood = random.below(3) === 0;
  for (let i = 0; i < size; i++) {
    const isWritable = isGood ? i % 3 === 2 : random.below(2) === 0;
    const flags = (isWritable ? 2 : 0) | (isGood ? (i % 3 === 2 ? 0 : 1) : random.below(2)) | (random.below(8) === 0 ? 4 : 0);
    const address = isGood ? 0x20000 + i * 0x2000 : random.address();
    const byteCount = isGood ? (isWritable ? 513 : i % 3 === 0 ? 16 : 512) : random.length();
    const next = isGood ? (i + 1) % size : random.pick([(i + 1) % size, random.below(size), random.below(0x10000)]);
    const wrap = isPacked ? random.pick([0x80, 0x80, 0x8000, 0x8080, 0]) : 0;
    rig.put(ring.descriptors + i * 16, address, random.below(20) === 0 ? random.below(4) : 0, byteCount);
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
  if (isPacked) {
    rig.put(ring.driver, random.below(0x10000) | (random.below(4) << 16));
    return;
  }
  for (let i = 0; i < size; i++) rig.ram.write16(gpa(ring.driver + 4 + i * 2), isGood ? (i * 3) % size : random.below(size + 1));
  const available = isGood ? 1 + random.below(Math.ceil(size / 3)) : random.pick([1, 2, size, size + 1, random.below(0x10000)]);
  rig.put(ring.driver, random.below(2) | (available << 16));
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

/** Frames and bytes arrive, and there is room or not. */
function pokeBackends({ network, console: terminal }: VirtioRig, random: Rubbish): void {
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

async function life(rig: VirtioRig, random: Rubbish): Promise<{ broken: number; served: number }> {
  const isPacked = random.below(2) === 0;
  const optional = [FEATURE.indirectDescriptors, FEATURE.eventIndex, ...MODEL_FEATURES];
  const features = [...(isPacked ? [FEATURE.packedRing] : []), ...optional.filter((bit) => random.below(2) === 0 && rig.offers(bit))];
  const size = random.pick(isPacked ? [1, 3, 8, 16, 64] : [1, 2, 8, 16, 64]);
  const queueCount = rig.common(18, 2);
  const queues = rig.start(features, size, queueCount);
  rig.disk.isHeld = random.below(3) === 0;
  rig.disk.failure = random.below(5) === 0 ? new Error('out of order') : undefined;
  const before = queues.map(({ ring }) => rig.ram.read16(gpa(ring.device + 2)));
  for (let step = 1 + random.below(4); step > 0; step--) {
    const queue = random.pick(queues);
    fillRing(rig, queue, random, isPacked);
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
  await settle();
  if (rig.status !== 0) throw new Error('the device does not reset');
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
    createDevice(random.pick(MODELS), rig.context);
    rig.find();
    rig.ram.write(gpa(CANARY), new Uint8Array(RIG_MEMORY_BYTES - CANARY).fill(0x5a));
    for (let n = 0; n < LIVES && cases < caseCount; n++, cases++) {
      const one = await life(rig, random);
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
