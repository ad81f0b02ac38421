// Ethernet addresses of the machines on the link, and packets that wait for one to become known. Bounded in both.

const NEIGHBOUR_LIMIT = 1024;
const WAITING_LIMIT = 64;
const WAITING_EACH = 4;
/** Larger frames do not wait: their senders send again. */
const WAITING_FRAME_BYTES = 2048;
const ASK_EVERY_MS = 1000;

interface Waiting {
  askedMs: number;
  readonly frames: Uint8Array[];
}

export class NeighbourTable {
  readonly #macs = new Map<string, number>();
  readonly #waiting = new Map<string, Waiting>();

  get size(): number {
    return this.#macs.size;
  }

  macOf(address: string): number | undefined {
    return this.#macs.get(address);
  }

  /** Returns the frames that waited for it; their destination is still to be written. */
  learn(address: string, mac: number): readonly Uint8Array[] {
    if (this.#macs.get(address) !== mac) {
      this.#macs.delete(address);
      if (this.#macs.size >= NEIGHBOUR_LIMIT) {
        const [oldest] = this.#macs.keys();
        this.#macs.delete(oldest);
      }
      this.#macs.set(address, mac);
    }
    const waiting = this.#waiting.get(address);
    this.#waiting.delete(address);
    return waiting?.frames ?? [];
  }

  /** Keeps a copy of a frame. True: it is time to ask for the address. */
  wait(address: string, frame: Uint8Array, nowMs: number): boolean {
    let waiting = this.#waiting.get(address);
    if (waiting === undefined) {
      if (this.#waiting.size >= WAITING_LIMIT) {
        const [oldest] = this.#waiting.keys();
        this.#waiting.delete(oldest);
      }
      waiting = { askedMs: Number.NEGATIVE_INFINITY, frames: [] };
      this.#waiting.set(address, waiting);
    }
    if (frame.length <= WAITING_FRAME_BYTES) {
      if (waiting.frames.length >= WAITING_EACH) waiting.frames.shift();
      waiting.frames.push(frame.slice());
    }
    if (nowMs - waiting.askedMs < ASK_EVERY_MS) return false;
    waiting.askedMs = nowMs;
    return true;
  }
}
