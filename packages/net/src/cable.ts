// Two ports that belong together: what is sent at one arrives at the other's receiver, within the call. And an adapter between two such.

import type { FramePort, FrameSink, FrameWork } from './frame-port.ts';

class CableEnd implements FramePort {
  onRoom: (() => void) | undefined;
  onUp: (() => void) | undefined;
  mac?: Uint8Array;
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

/** What arrives at one port leaves by the other; calling what it returns parts them. */
export function joinPorts(a: FramePort, b: FramePort): () => void {
  const ways = [
    [a, b],
    [b, a],
  ] as const;
  for (const [from, to] of ways) {
    from.receiver = {
      get takesWork() {
        return to.takesWork;
      },
      get takesUdpSegments() {
        return to.takesUdpSegments;
      },
      send: (frame, work) => to.send(frame, work),
    };
    to.onRoom = () => from.hasRoom();
  }
  return () => {
    for (const port of [a, b]) {
      port.receiver = undefined;
      port.onRoom = undefined;
    }
  };
}
