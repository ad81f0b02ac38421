// PS/2 keyboard (IBM PS/2 Hardware Interface Technical Reference, "Keyboard"): commands, scan code sets 1 and 2. Set 3 is refused with a resend.

import { struct } from '@anillo/base/struct';
import { DeviceState } from '../device-state.ts';
import { ByteQueue } from '../byte-queue.ts';
import { toSet1 } from './scancode-translation.ts';

const ACK = 0xfa;
const RESEND = 0xfe;
const SELF_TEST_PASSED = 0xaa;
const BREAK = 0xf0;
const EXTENDED = 0xe0;
const COMMAND = {
  leds: 0xed,
  echo: 0xee,
  scanCodeSet: 0xf0,
  identify: 0xf2,
  typematic: 0xf3,
  enable: 0xf4,
  disable: 0xf5,
  defaults: 0xf6,
  resend: 0xfe,
  reset: 0xff,
} as const;
const IDENTITY = [0xab, 0x83] as const;
const DEFAULT_SET = 2;
/** Room kept free for answers to commands. */
const ANSWER_ROOM = 8;

const STATE = struct({
  queue: ['u8', 64],
  queueHead: 'u8',
  queueCount: 'u8',
  scanning: 'u8',
  set: 'u8',
  leds: 'u8',
  typematic: 'u8',
  expects: 'u8',
  last: 'u8',
});

export class Ps2Keyboard {
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
    s.scanning = 1;
    s.set = DEFAULT_SET;
    s.leds = s.expects = 0;
    s.typematic = 0x2b;
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

  /** Scroll, num and caps lock lights: bits 0..2. */
  get leds(): number {
    return this.#state.view.leds;
  }

  read(): number {
    this.#state.view.last = this.#queue.shift();
    return this.#state.view.last;
  }

  /** Key down: set 2 make code, 0xe0xx for extended keys. */
  press(scancode: number): void {
    this.#key(scancode, false);
  }

  release(scancode: number): void {
    this.#key(scancode, true);
  }

  #key(scancode: number, isBreak: boolean): void {
    const s = this.#state.view;
    if (s.scanning === 0 || this.#queue.count + 3 + ANSWER_ROOM > s.queue.length) return;
    if (scancode >> 8 === EXTENDED) this.#queue.push(EXTENDED);
    if (s.set === 1) this.#queue.push(toSet1(scancode & 0xff) | (isBreak ? 0x80 : 0));
    else {
      if (isBreak) this.#queue.push(BREAK);
      this.#queue.push(scancode & 0xff);
    }
    this.onData?.();
  }

  /** A byte from the controller. */
  write(byte: number): void {
    const { expects } = this.#state.view;
    this.#state.view.expects = 0;
    if (expects !== 0 && byte < COMMAND.leds) this.#argument(expects, byte);
    else this.#command(byte);
    this.onData?.();
  }

  #answer(...bytes: readonly number[]): void {
    for (const byte of bytes) this.#queue.push(byte);
  }

  #argument(command: number, byte: number): void {
    const s = this.#state.view;
    if (command === COMMAND.leds) s.leds = byte & 7;
    else if (command === COMMAND.typematic) s.typematic = byte & 0x7f;
    else if (byte === 0) {
      this.#answer(ACK, s.set);
      return;
    } else if (byte > 2) {
      this.#answer(RESEND);
      return;
    } else s.set = byte;
    this.#answer(ACK);
  }

  #command(byte: number): void {
    const s = this.#state.view;
    switch (byte) {
      case COMMAND.leds:
      case COMMAND.scanCodeSet:
      case COMMAND.typematic:
        s.expects = byte;
        this.#answer(ACK);
        return;
      case COMMAND.echo:
        this.#answer(COMMAND.echo);
        return;
      case COMMAND.identify:
        this.#answer(ACK, ...IDENTITY);
        return;
      case COMMAND.enable:
        this.#queue.clear();
        s.scanning = 1;
        this.#answer(ACK);
        return;
      case COMMAND.disable:
      case COMMAND.defaults:
        this.#queue.clear();
        this.#defaults();
        s.scanning = byte === COMMAND.defaults ? 1 : 0;
        this.#answer(ACK);
        return;
      case COMMAND.resend:
        this.#answer(s.last);
        return;
      case COMMAND.reset:
        this.#queue.clear();
        this.#defaults();
        this.#answer(ACK, SELF_TEST_PASSED);
        return;
      default:
        // 0xf7..0xfd set key types of set 3, which nobody can see.
        this.#answer(byte >= 0xf7 && byte <= 0xfa ? ACK : RESEND);
    }
  }
}
