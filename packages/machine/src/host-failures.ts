// What the host failed at for devices: told to whoever made the machine, and kept where the machine is to wait until somebody has mended it.

export class HostFailures {
  readonly #tell: ((sentence: string, isPaused: boolean) => void) | undefined;
  readonly #pause: () => void;
  #waiting: (() => void)[] = [];

  constructor(tell: ((sentence: string, isPaused: boolean) => void) | undefined, pause: () => void) {
    this.#tell = tell;
    this.#pause = pause;
  }

  /** `tryAgain`: the machine pauses, and calls it when it goes on. */
  add(sentence: string, tryAgain: (() => void) | undefined): void {
    if (tryAgain !== undefined) {
      this.#waiting.push(tryAgain);
      this.#pause();
    }
    this.#tell?.(sentence, tryAgain !== undefined);
  }

  get isWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  tryAgain(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const again of waiting) again();
  }
}
