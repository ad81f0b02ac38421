// The host's end of a balloon: how much memory the guest is to have, and what it tells of its own. Made by whoever makes the machine, and given to the device by name.

/** What a guest tells of its memory, in bytes or counts since its start (Virtio 1.2, 5.5.6.4); absent: it has not told. */
export interface BalloonStatistics {
  readonly swappedIn?: number;
  readonly swappedOut?: number;
  readonly majorFaults?: number;
  readonly minorFaults?: number;
  readonly freeBytes?: number;
  readonly totalBytes?: number;
  readonly availableBytes?: number;
  readonly cacheBytes?: number;
  readonly hugePages?: number;
  readonly hugePageFailures?: number;
}

/** What a balloon device does for its host. */
export interface BalloonDevice {
  /** Asks the guest to give so many bytes. */
  setTarget(byteCount: number): void;
  readonly heldBytes: number;
  /** Asks for statistics; `then` gets them, when the guest gives them. */
  askStatistics(then: (statistics: BalloonStatistics) => void): boolean;
}

export class BalloonControl {
  /** Told when the guest has given or taken memory back, with what it has given in all. */
  onChange: ((heldBytes: number) => void) | undefined = undefined;
  #device: BalloonDevice | undefined;
  #target = 0;

  /** The device's: it is there now, or no more. */
  connect(device: BalloonDevice | undefined): void {
    this.#device = device;
    device?.setTarget(this.#target);
  }

  /** Bytes that the guest is to give back to the host; it does so when it can. */
  get targetBytes(): number {
    return this.#target;
  }

  set targetBytes(byteCount: number) {
    this.#target = Math.max(0, byteCount);
    this.#device?.setTarget(this.#target);
  }

  /** Bytes that the guest has given. */
  get heldBytes(): number {
    return this.#device?.heldBytes ?? 0;
  }

  /** What the guest tells of its memory; undefined: it has no driver that does. */
  statistics(): Promise<BalloonStatistics | undefined> {
    return new Promise((resolve) => {
      if (this.#device?.askStatistics(resolve) !== true) resolve(undefined);
    });
  }
}
