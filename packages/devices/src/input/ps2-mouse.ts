// PS/2 mouse (IBM PS/2 Hardware Interface Technical Reference, "Auxiliary Device"), with the IntelliMouse wheel (identity 3 after sample rates 200, 100, 80).

import { struct } from '@anillo/base/struct';
import { DeviceState } from '../device-state.ts';
import { ByteQueue } from '../byte-queue.ts';

const ACK = 0xfa;
const RESEND = 0xfe;
const SELF_TEST_PASSED = 0xaa;
const WHEEL_ID = 3;
const COMMAND = {
  scaling1: 0xe6,
  scaling2: 0xe7,
  resolution: 0xe8,
  status: 0xe9,
  stream: 0xea,
  readData: 0xeb,
  endWrap: 0xec,
  wrap: 0xee,
  remote: 0xf0,
  identify: 0xf2,
  sampleRate: 0xf3,
  enable: 0xf4,
  disable: 0xf5,
  defaults: 0xf6,
  reset: 0xff,
} as const;
const STATUS = { scaling: 0x10, enabled: 0x20, remote: 0x40 } as const;
const WHEEL_KNOCK = (200 << 16) | (100 << 8) | 80;
const ANSWER_ROOM = 8;

const STATE = struct({
  queue: ['u8', 64],
  queueHead: 'u8',
  queueCount: 'u8',
  enabled: 'u8',
  remote: 'u8',
  wrap: 'u8',
  scaling: 'u8',
  resolution: 'u8',
  sampleRate: 'u8',
  expects: 'u8',
  identity: 'u8',
  buttons: 'u8',
  rates: 'u32',
  dx: 'i32',
  dy: 'i32',
  dz: 'i32',
});

const clamp = (value: number, limit: number) => Math.max(-limit, Math.min(limit, value));

export class Ps2Mouse {
  /** Bytes wait for the controller. */
  onData: (() => void) | undefined = undefined;
  readonly #state: DeviceState<(typeof STATE)['spec']>;
  readonly #queue: ByteQueue;

  constructor(stateBuffer?: ArrayBufferLike) {
    this.#state = new DeviceState(STATE, stateBuffer);
    this.#queue = new ByteQueue(this.#state.view);
    this.reset();
  }

  reset(): void {
    this.#state.clear();
    this.#defaults();
  }

  #defaults(): void {
    const s = this.#state.view;
    s.enabled = s.remote = s.wrap = s.scaling = s.expects = 0;
    s.resolution = 2;
    s.sampleRate = 100;
    s.dx = s.dy = s.dz = 0;
  }

  save(): Uint8Array {
    return this.#state.save();
  }

  restore(state: Uint8Array): void {
    this.#state.restore(state);
  }

  get available(): number {
    return this.#queue.count;
  }

  read(): number {
    return this.#queue.shift();
  }

  /** Movement in counts (right, up, wheel towards the user) and buttons (left 1, right 2, middle 4). */
  move(dx: number, dy: number, dz: number, buttons: number): void {
    const s = this.#state.view;
    s.dx += dx;
    s.dy += dy;
    s.dz += dz;
    s.buttons = buttons & 7;
    if (s.enabled !== 0 && s.remote === 0) this.#report();
    this.onData?.();
  }

  #report(): void {
    const s = this.#state.view;
    if (this.#queue.count + 4 + ANSWER_ROOM > s.queue.length) return;
    const dx = clamp(s.dx, 255);
    const dy = clamp(s.dy, 255);
    const dz = clamp(s.dz, 7);
    s.dx -= dx;
    s.dy -= dy;
    s.dz -= dz;
    this.#answer(s.buttons | 8 | (dx < 0 ? 0x10 : 0) | (dy < 0 ? 0x20 : 0), dx & 0xff, dy & 0xff);
    if (s.identity === WHEEL_ID) this.#answer(dz & 0xff);
  }

  #answer(...bytes: readonly number[]): void {
    for (const byte of bytes) this.#queue.push(byte);
  }

  /** A byte from the controller. */
  write(byte: number): void {
    const s = this.#state.view;
    const { expects } = s;
    s.expects = 0;
    if (s.wrap !== 0 && byte !== COMMAND.endWrap && byte !== COMMAND.reset) this.#answer(byte);
    else if (expects === COMMAND.sampleRate) this.#setSampleRate(byte);
    else if (expects === COMMAND.resolution) {
      s.resolution = byte & 3;
      this.#answer(ACK);
    } else this.#command(byte);
    this.onData?.();
  }

  #setSampleRate(rate: number): void {
    const s = this.#state.view;
    s.sampleRate = rate;
    s.rates = (s.rates << 8) | rate;
    if ((s.rates & 0xffffff) === WHEEL_KNOCK) s.identity = WHEEL_ID;
    this.#answer(ACK);
  }

  #command(byte: number): void {
    const s = this.#state.view;
    this.#answer(byte >= COMMAND.scaling1 ? ACK : RESEND);
    switch (byte) {
      case COMMAND.scaling1:
      case COMMAND.scaling2:
        s.scaling = byte - COMMAND.scaling1;
        return;
      case COMMAND.resolution:
      case COMMAND.sampleRate:
        s.expects = byte;
        return;
      case COMMAND.status:
        this.#answer(
          (s.scaling !== 0 ? STATUS.scaling : 0) |
            (s.enabled !== 0 ? STATUS.enabled : 0) |
            (s.remote !== 0 ? STATUS.remote : 0) |
            s.buttons,
          s.resolution,
          s.sampleRate,
        );
        return;
      case COMMAND.stream:
        s.remote = 0;
        return;
      case COMMAND.remote:
        s.remote = 1;
        return;
      case COMMAND.readData:
        this.#report();
        return;
      case COMMAND.wrap:
        s.wrap = 1;
        return;
      case COMMAND.endWrap:
        s.wrap = 0;
        return;
      case COMMAND.identify:
        this.#answer(s.identity);
        return;
      case COMMAND.enable:
        s.enabled = 1;
        return;
      case COMMAND.disable:
        s.enabled = 0;
        return;
      case COMMAND.defaults:
        this.#defaults();
        return;
      case COMMAND.reset:
        this.#defaults();
        s.identity = 0;
        this.#answer(SELF_TEST_PASSED, 0);
        return;
    }
  }
}
