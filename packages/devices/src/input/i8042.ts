// Keyboard controller 8042 with PS/2 keyboard and mouse (IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device Controller").
// Ports 0x60 (data) and 0x64 (command, status). The output buffer is filled in the order controller, keyboard, mouse; a full one holds IRQ 1 or 12.
// A20 is a bit that reads back; memory behaves as if it were always on. After reset the controller is as firmware leaves it: translation on, mouse off.

import { struct } from '@anillo/base/struct';
import type { BoardControl, Device, IoRange, IrqLine } from '../device.ts';
import { DeviceState } from '../device-state.ts';
import { ByteQueue } from '../byte-queue.ts';
import { Ps2Keyboard } from './ps2-keyboard.ts';
import { Ps2Mouse } from './ps2-mouse.ts';
import { toSet1 } from './scancode-translation.ts';

const STATUS = { outputFull: 0x01, system: 0x04, lastWasCommand: 0x08, unlocked: 0x10, mouseData: 0x20 } as const;
const MODE = { keyboardInterrupt: 0x01, mouseInterrupt: 0x02, system: 0x04, keyboardOff: 0x10, mouseOff: 0x20, translate: 0x40 } as const;
const MODE_AFTER_RESET = MODE.keyboardInterrupt | MODE.system | MODE.mouseOff | MODE.translate;
const OUTPUT_PORT = { notReset: 0x01, a20: 0x02, keyboardFull: 0x10, mouseFull: 0x20 } as const;
const INPUT_PORT = 0x80;
const SELF_TEST_PASSED = 0x55;
const BREAK = 0xf0;
const COMMAND = {
  readMode: 0x20,
  writeMode: 0x60,
  mouseOff: 0xa7,
  mouseOn: 0xa8,
  mouseTest: 0xa9,
  selfTest: 0xaa,
  keyboardTest: 0xab,
  keyboardOff: 0xad,
  keyboardOn: 0xae,
  readInputPort: 0xc0,
  readOutputPort: 0xd0,
  writeOutputPort: 0xd1,
  writeKeyboardBuffer: 0xd2,
  writeMouseBuffer: 0xd3,
  writeMouse: 0xd4,
  a20Off: 0xdd,
  a20On: 0xdf,
  pulse: 0xf0,
} as const;
const FROM = { nobody: 0, keyboard: 1, mouse: 2 } as const;

const STATE = struct({
  /** Controller answers as pairs of source and byte. */
  queue: ['u8', 32],
  queueHead: 'u8',
  queueCount: 'u8',
  ram: ['u8', 32],
  outputPort: 'u8',
  status: 'u8',
  output: 'u8',
  outputFrom: 'u8',
  expects: 'u8',
  breakSeen: 'u8',
});

export interface I8042Options {
  readonly control: BoardControl;
  /** IRQ 1. */
  readonly keyboardIrq: IrqLine;
  /** IRQ 12. */
  readonly mouseIrq: IrqLine;
  readonly onA20?: (enabled: boolean) => void;
  readonly stateBuffer?: ArrayBufferLike;
}

export class I8042 implements Device {
  readonly name = 'i8042';
  readonly ports: readonly IoRange[];
  readonly keyboard = new Ps2Keyboard();
  readonly mouse = new Ps2Mouse();
  readonly #options: I8042Options;
  readonly #state: DeviceState<(typeof STATE)['spec']>;
  readonly #answers: ByteQueue;

  constructor(options: I8042Options) {
    this.#options = options;
    this.#state = new DeviceState(STATE, options.stateBuffer);
    this.#answers = new ByteQueue(this.#state.view);
    this.keyboard.onData = () => this.#update();
    this.mouse.onData = () => this.#update();
    this.ports = [
      {
        start: 0x60,
        byteCount: 1,
        widestBytes: 1,
        read: () => this.#readData(),
        write: (_offset, _bytes, value) => this.#writeData(value),
      },
      {
        start: 0x64,
        byteCount: 1,
        widestBytes: 1,
        read: () => this.#readStatus(),
        write: (_offset, _bytes, value) => this.#command(value),
      },
    ];
    this.reset();
  }

  reset(): void {
    const s = this.#state.view;
    this.#state.clear();
    s.ram[0] = MODE_AFTER_RESET;
    s.outputPort = OUTPUT_PORT.notReset | OUTPUT_PORT.a20;
    this.keyboard.reset();
    this.mouse.reset();
    this.#update();
  }

  /** Controller, keyboard and mouse one after the other. */
  save(): Uint8Array {
    const parts = [this.#state.save(), this.keyboard.save(), this.mouse.save()];
    const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }

  restore(state: Uint8Array): void {
    const mouseAt = state.length - this.mouse.save().length;
    this.#state.restore(state.subarray(0, STATE.bytes));
    this.keyboard.restore(state.subarray(STATE.bytes, mouseAt));
    this.mouse.restore(state.subarray(mouseAt));
    this.#update();
  }

  /** Fills the output buffer if it is empty, and drives the interrupts. */
  #update(): void {
    const s = this.#state.view;
    if (s.outputFrom === FROM.nobody) this.#fill();
    const mode = s.ram[0];
    if (s.outputFrom === FROM.keyboard && (mode & MODE.keyboardInterrupt) !== 0) this.#options.keyboardIrq.raise();
    else this.#options.keyboardIrq.lower();
    if (s.outputFrom === FROM.mouse && (mode & MODE.mouseInterrupt) !== 0) this.#options.mouseIrq.raise();
    else this.#options.mouseIrq.lower();
  }

  #fill(): void {
    const s = this.#state.view;
    if (this.#answers.count >= 2) {
      s.outputFrom = this.#answers.shift() === FROM.mouse ? FROM.mouse : FROM.keyboard;
      s.output = this.#answers.shift();
      return;
    }
    while ((s.ram[0] & MODE.keyboardOff) === 0 && this.keyboard.available > 0) {
      const byte = this.keyboard.read();
      if ((s.ram[0] & MODE.translate) === 0) s.output = byte;
      else if (byte === BREAK) {
        s.breakSeen = 0x80;
        continue;
      } else {
        s.output = toSet1(byte) | s.breakSeen;
        s.breakSeen = 0;
      }
      s.outputFrom = FROM.keyboard;
      return;
    }
    if ((s.ram[0] & MODE.mouseOff) === 0 && this.mouse.available > 0) {
      s.output = this.mouse.read();
      s.outputFrom = FROM.mouse;
    }
  }

  #answer(byte: number, from: number = FROM.keyboard): void {
    // Two cells an answer: both or none.
    if (this.#answers.count + 2 > this.#state.view.queue.length) return;
    this.#answers.push(from);
    this.#answers.push(byte);
  }

  #readStatus(): number {
    const s = this.#state.view;
    const full = s.outputFrom === FROM.nobody ? 0 : s.outputFrom === FROM.mouse ? STATUS.outputFull | STATUS.mouseData : STATUS.outputFull;
    return s.status | full | STATUS.unlocked | ((s.ram[0] & MODE.system) !== 0 ? STATUS.system : 0);
  }

  #readData(): number {
    const s = this.#state.view;
    const { output } = s;
    s.outputFrom = FROM.nobody;
    // An interrupt is an edge for each byte.
    this.#options.keyboardIrq.lower();
    this.#options.mouseIrq.lower();
    this.#update();
    return output;
  }

  #writeOutputPort(value: number): void {
    const s = this.#state.view;
    s.outputPort = value & (OUTPUT_PORT.notReset | OUTPUT_PORT.a20);
    this.#options.onA20?.((value & OUTPUT_PORT.a20) !== 0);
    if ((value & OUTPUT_PORT.notReset) === 0) this.#options.control.reset();
  }

  #writeData(value: number): void {
    const s = this.#state.view;
    const { expects } = s;
    s.status &= ~STATUS.lastWasCommand;
    s.expects = 0;
    if (expects >= COMMAND.writeMode && expects < COMMAND.writeMode + 32) s.ram[expects - COMMAND.writeMode] = value;
    else if (expects === COMMAND.writeOutputPort) this.#writeOutputPort(value);
    else if (expects === COMMAND.writeKeyboardBuffer) this.#answer(value);
    else if (expects === COMMAND.writeMouseBuffer) this.#answer(value, FROM.mouse);
    else if (expects === COMMAND.writeMouse) this.mouse.write(value);
    else {
      // A byte for the keyboard switches its interface on.
      s.ram[0] &= ~MODE.keyboardOff;
      this.keyboard.write(value);
    }
    this.#update();
  }

  #command(command: number): void {
    const s = this.#state.view;
    s.status |= STATUS.lastWasCommand;
    s.expects = 0;
    if (command >= COMMAND.readMode && command < COMMAND.readMode + 32) this.#answer(s.ram[command - COMMAND.readMode]);
    else if (command >= COMMAND.writeMode && command < COMMAND.writeMode + 32) s.expects = command;
    else if (command >= COMMAND.pulse) {
      // The low bits name the output port's bits to pulse low: bit 0 is the reset line.
      if ((command & OUTPUT_PORT.notReset) === 0) this.#options.control.reset();
    } else this.#namedCommand(command);
    this.#update();
  }

  #namedCommand(command: number): void {
    const s = this.#state.view;
    const full = s.outputFrom === FROM.keyboard ? OUTPUT_PORT.keyboardFull : s.outputFrom === FROM.mouse ? OUTPUT_PORT.mouseFull : 0;
    switch (command) {
      case COMMAND.mouseOff:
        s.ram[0] |= MODE.mouseOff;
        return;
      case COMMAND.mouseOn:
        s.ram[0] &= ~MODE.mouseOff;
        return;
      case COMMAND.keyboardOff:
        s.ram[0] |= MODE.keyboardOff;
        return;
      case COMMAND.keyboardOn:
        s.ram[0] &= ~MODE.keyboardOff;
        return;
      case COMMAND.selfTest:
        s.ram[0] |= MODE.system;
        this.#answer(SELF_TEST_PASSED);
        return;
      case COMMAND.mouseTest:
      case COMMAND.keyboardTest:
        this.#answer(0);
        return;
      case COMMAND.readInputPort:
        this.#answer(INPUT_PORT);
        return;
      case COMMAND.readOutputPort:
        this.#answer(s.outputPort | full);
        return;
      case COMMAND.a20Off:
      case COMMAND.a20On:
        this.#writeOutputPort(command === COMMAND.a20On ? s.outputPort | OUTPUT_PORT.a20 : s.outputPort & ~OUTPUT_PORT.a20);
        return;
      case COMMAND.writeOutputPort:
      case COMMAND.writeKeyboardBuffer:
      case COMMAND.writeMouseBuffer:
      case COMMAND.writeMouse:
        s.expects = command;
        return;
    }
  }
}
