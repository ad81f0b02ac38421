// One port of a switch: its cable, its rules, its limits and its counts.

import { createCable } from './cable.ts';
import { FrameFilter, type FrameFilterOptions } from './frame-filter.ts';
import { canTake, type FrameFinisher } from './frame-finisher.ts';
import type { FramePort, FrameSink, FrameWork } from './frame-port.ts';
import type { FrameTap } from './frame-tap.ts';
import { TokenBucket } from './token-bucket.ts';

export interface SwitchPortOptions {
  readonly name?: string;
  /** Private ports reach only ports that are not. */
  readonly isPrivate?: boolean;
  /** Frames for this port's cable are refused where the receiver has no room, and not dropped: for the NAT, which remembers who waits. */
  readonly waitsForRoom?: boolean;
  readonly filter?: FrameFilterOptions;
  /** Limits in bytes a second: from the machine, and to it. */
  readonly inLimit?: number;
  readonly outLimit?: number;
  /** The cable is plugged in; true when absent. */
  readonly isConnected?: boolean;
}

export interface SwitchPortCounts {
  framesIn: number;
  bytesIn: number;
  framesOut: number;
  bytesOut: number;
  /** By rules. */
  refused: number;
  /** For want of room or by a limit. */
  dropped: number;
}

export class SwitchPort {
  readonly name: string;
  readonly isPrivate: boolean;
  readonly waitsForRoom: boolean;
  /** The end for whoever is connected. */
  readonly outer: FramePort;
  /** The switch's own end. */
  readonly inner: FramePort;
  readonly counts: SwitchPortCounts = { framesIn: 0, bytesIn: 0, framesOut: 0, bytesOut: 0, refused: 0, dropped: 0 };
  readonly taps = new Set<FrameTap>();
  readonly inBucket: TokenBucket;
  readonly outBucket: TokenBucket;
  /** A send of this port's was refused, and it has not been told yet that there is room. */
  isWaiting = false;
  #filter: FrameFilter | undefined;
  #sink: FrameSink | undefined;
  #isConnected: boolean;

  constructor(options: SwitchPortOptions) {
    this.name = options.name ?? '';
    this.isPrivate = options.isPrivate ?? false;
    this.waitsForRoom = options.waitsForRoom ?? false;
    [this.outer, this.inner] = createCable();
    this.inBucket = new TokenBucket(options.inLimit);
    this.outBucket = new TokenBucket(options.outLimit);
    this.#isConnected = options.isConnected ?? true;
    this.setFilter(options.filter);
  }

  /** Of the switch: what takes the frames that come in here; undefined: it has no such port any more. */
  attach(sink: FrameSink | undefined): void {
    this.#sink = sink;
    this.inner.receiver = this.#isConnected ? sink : undefined;
  }

  /** Is the cable plugged in? Without it nothing passes, and the machine sees that. */
  get isConnected(): boolean {
    return this.#isConnected;
  }

  set isConnected(isConnected: boolean) {
    this.#isConnected = isConnected;
    this.attach(this.#sink);
    // What waited for room goes now, if only into nothing.
    this.isWaiting = false;
    this.inner.hasRoom();
  }

  setFilter(filter: FrameFilterOptions | undefined): void {
    this.#filter = filter === undefined ? undefined : new FrameFilter(filter);
  }

  allows(frame: Uint8Array, direction: 'in' | 'out'): boolean {
    return this.#filter?.allows(frame, direction) ?? true;
  }

  see(frame: Uint8Array, work: FrameWork | undefined, direction: 'in' | 'out'): void {
    for (const tap of this.taps) tap.see(frame, work, direction);
  }

  /** To the machine. False: no room, nothing has been sent. */
  deliver(frame: Uint8Array, work: FrameWork | undefined, finisher: FrameFinisher): boolean {
    const { inner, counts } = this;
    if (inner.receiver === undefined || !inner.isUp) return true;
    const isTaken = canTake(inner, work) ? inner.send(frame, work) : finisher.finish(frame, work!, (piece) => inner.send(piece, undefined));
    if (!isTaken) return false;
    counts.framesOut++;
    counts.bytesOut += frame.length;
    if (this.taps.size > 0) this.see(frame, work, 'out');
    return true;
  }
}
