// Two ports that belong together: what is sent at one arrives at the other's receiver, within the call.

import type { FramePort, FrameSink, FrameWork } from './frame-port.ts';

class CableEnd implements FramePort {
  onRoom: (() => void) | undefined;
  onUp: (() => void) | undefined;
  #receiver: FrameSink | undefined;
  #other: CableEnd | undefined;

  join(other: CableEnd): void {
    this.#other = other;
  }

  get receiver(): FrameSink | undefined {
    return this.#receiver;
  }

  set receiver(receiver: FrameSink | undefined) {
    const was = this.#receiver !== undefined;
    this.#receiver = receiver;
    if (was !== (receiver !== undefined)) this.#other?.onUp?.();
  }

  get isUp(): boolean {
    return this.#other?.receiver !== undefined;
  }

  get takesWork(): boolean {
    return this.#other?.receiver?.takesWork ?? true;
  }

  get takesUdpSegments(): boolean {
    return this.#other?.receiver === undefined || this.#other.receiver.takesUdpSegments === true;
  }

  /** Where nobody listens a frame is lost, as on any cable. */
  send(frame: Uint8Array, work: FrameWork | undefined): boolean {
    return this.#other?.receiver?.send(frame, work) ?? true;
  }

  hasRoom(): void {
    this.#other?.onRoom?.();
  }
}

/** Both ends of a new cable. */
export function createCable(): readonly [FramePort, FramePort] {
  const a = new CableEnd();
  const b = new CableEnd();
  a.join(b);
  b.join(a);
  return [a, b];
}
