// An Ethernet switch (IEEE 802.1D's forwarding): a network is one of these, and machines in different networks do not meet.
// A frame for a known address goes to one port, others to all. A port without room loses frames, as with hardware, unless the sender's port waits.

import type { Clock } from './clock.ts';
import { FrameFinisher } from './frame-finisher.ts';
import type { FrameWork } from './frame-port.ts';
import type { FrameTap } from './frame-tap.ts';
import { isGroupMac, readMac } from './mac-address.ts';
import { MacTable } from './mac-table.ts';
import { ETHERNET_BYTES } from './protocol-numbers.ts';
import { SwitchPort, type SwitchPortOptions } from './switch-port.ts';

const DEFAULT_MAC_LIMIT = 4096;
const DEFAULT_MAC_AGE_MS = 300_000;
/** A frame of TCP segments not cut yet, with VLAN tags. */
const LARGEST_FRAME_BYTES = 0x10000 + 64;

export interface SwitchOptions {
  readonly clock: Clock;
  readonly macLimit?: number;
  readonly macAgeMs?: number;
}

export class Switch {
  readonly #clock: Clock;
  readonly #ports = new Set<SwitchPort>();
  readonly #macs: MacTable<SwitchPort>;
  readonly #finisher = new FrameFinisher();
  /** Frames of the whole switch, each once, where they come in. */
  readonly taps = new Set<FrameTap>();

  constructor(options: SwitchOptions) {
    this.#clock = options.clock;
    this.#macs = new MacTable(options.macLimit ?? DEFAULT_MAC_LIMIT, options.macAgeMs ?? DEFAULT_MAC_AGE_MS);
  }

  get ports(): ReadonlySet<SwitchPort> {
    return this.#ports;
  }

  /** How many addresses it has learnt. */
  get macCount(): number {
    return this.#macs.size;
  }

  addPort(options: SwitchPortOptions = {}): SwitchPort {
    const port = new SwitchPort(options);
    this.#ports.add(port);
    port.inner.onRoom = () => this.#tellRoom();
    port.attach({
      takesWork: true,
      takesUdpSegments: true,
      send: (frame, work) => this.#receive(port, frame, work),
    });
    return port;
  }

  removePort(port: SwitchPort): void {
    if (!this.#ports.delete(port)) return;
    this.#macs.forget(port);
    port.attach(undefined);
    port.inner.onRoom = undefined;
  }

  #receive(from: SwitchPort, frame: Uint8Array, work: FrameWork | undefined): boolean {
    if (frame.length < ETHERNET_BYTES || frame.length > LARGEST_FRAME_BYTES) return true;
    const nowMs = this.#clock.nowMs();
    if (from.inBucket.isLimited && !this.#mayCome(from, frame.length, nowMs)) return false;
    const source = readMac(frame, 6);
    if (isGroupMac(source) || !from.allows(frame, 'in')) {
      from.counts.refused++;
      return true;
    }
    const destination = readMac(frame, 0);
    this.#macs.learn(source, from, nowMs);
    const isGroup = isGroupMac(destination);
    const to = isGroup ? undefined : this.#macs.find(destination, nowMs);
    if (to === from) return true;
    if (to !== undefined && !this.#forward(from, to, frame, work, nowMs) && from.waitsForRoom) {
      from.isWaiting = true;
      return false;
    }
    from.counts.framesIn++;
    from.counts.bytesIn += frame.length;
    if (from.taps.size > 0) from.see(frame, work, 'in');
    for (const tap of this.taps) tap.see(frame, work, 'in');
    if (to === undefined) for (const port of this.#ports) if (port !== from) this.#forward(from, port, frame, work, nowMs);
    return true;
  }

  /** False: no room there. */
  #forward(from: SwitchPort, to: SwitchPort, frame: Uint8Array, work: FrameWork | undefined, nowMs: number): boolean {
    if ((from.isPrivate && to.isPrivate) || !to.allows(frame, 'out')) {
      to.counts.refused++;
      return true;
    }
    const waitMs = to.outBucket.waitMs(nowMs);
    if (waitMs > 0) this.#tellRoomIn(waitMs);
    if (waitMs === 0 && to.deliver(frame, work, this.#finisher)) {
      to.outBucket.take(frame.length, nowMs);
      return true;
    }
    if (!from.waitsForRoom) to.counts.dropped++;
    return false;
  }

  /** A machine over its own limit waits: nobody else is held up by that. */
  #mayCome(from: SwitchPort, byteCount: number, nowMs: number): boolean {
    const waitMs = from.inBucket.waitMs(nowMs);
    if (waitMs > 0) {
      from.isWaiting = true;
      this.#tellRoomIn(waitMs);
      return false;
    }
    from.inBucket.take(byteCount, nowMs);
    return true;
  }

  #roomTimerDueMs = Number.POSITIVE_INFINITY;

  #tellRoomIn(waitMs: number): void {
    const dueMs = this.#clock.nowMs() + waitMs;
    if (dueMs >= this.#roomTimerDueMs) return;
    this.#roomTimerDueMs = dueMs;
    this.#clock.after(waitMs, () => {
      if (this.#roomTimerDueMs === dueMs) this.#roomTimerDueMs = Number.POSITIVE_INFINITY;
      this.#tellRoom();
    });
  }

  /** Who waits tries again; who still finds none waits on. */
  #tellRoom(): void {
    for (const port of this.#ports) {
      if (!port.isWaiting) continue;
      port.isWaiting = false;
      port.inner.hasRoom();
    }
  }
}
