// Watchdog of Intel's 6300ESB (its datasheet, chapter 16): two stages that count down one after the other; the first may interrupt, the end of the second resets the
// machine. Registers are written after a sequence that unlocks them once. That it was the watchdog is remembered over the reset that it made.

import { struct } from '@anillo/base/struct';
import type { AccessBytes, BoardControl, Clock, Device, Timer } from '../device.ts';
import { declareDevice, PCI_ADDRESS } from '../device-declaration.ts';
import { DeviceState } from '../device-state.ts';
import type { PciPlace } from '../pci/pci-bus.ts';
import { PciFunction } from '../pci/pci-function.ts';
import { StateList } from '../state-list.ts';

const IDENTITY = { vendor: 0x8086, device: 0x25ab, revision: 0, classCode: 0x088000 } as const;
const WINDOW_BYTES = 16;
const AT = { timer1: 0x00, timer2: 0x04, interruptStatus: 0x08, reload: 0x0c } as const;
const CONFIG_AT = { control: 0x60, lock: 0x68 } as const;
const CONTROL = { interruptType: 3, fast: 1 << 2, outputOff: 1 << 5, writable: 0x27 } as const;
const LOCK = { locked: 1, enabled: 2, freeRunning: 4 } as const;
const RELOAD = { reload: 1 << 8, timedOut: 1 << 9 } as const;
const PRELOAD_MASK = 0xfffff;
const UNLOCK = [0x80, 0x86] as const;
/** Ticks of the PCI clock, by prescaler. */
const TICK_NS = 1e9 / 33_000_000;
const SLOW_SHIFT = 15;
const FAST_SHIFT = 5;
const POWER_OFF_STATUS = 1;

const STATE = struct({ preload: ['u32', 2], interruptStatus: 'u32', unlockStep: 'u32', timedOut: 'u32', stage: 'u32', endNs: 'f64' });

export type WatchdogAction = 'reset' | 'poweroff' | 'none';

export interface WatchdogOptions {
  readonly clock: Clock;
  readonly bus: PciPlace;
  readonly address: number | undefined;
  readonly control: BoardControl;
  readonly action: WatchdogAction;
}

export class I6300esb implements Device {
  readonly name = 'i6300esb';
  readonly #o: WatchdogOptions;
  readonly #fn: PciFunction;
  readonly #timer: Timer;
  readonly #state = new DeviceState(STATE);
  readonly #parts: StateList;
  /** It was the watchdog that resets the machine now. */
  #isResetting = false;

  constructor(options: WatchdogOptions) {
    this.#o = options;
    this.#timer = options.clock.createTimer(() => this.#expired());
    this.#fn = new PciFunction({
      identity: IDENTITY,
      hasPin: true,
      windows: [
        {
          bar: 0,
          kind: 'memory32',
          byteCount: WINDOW_BYTES,
          read: (offset, byteCount) => this.#read(offset, byteCount),
          write: (offset, byteCount, value) => this.#write(offset, byteCount, value),
        },
      ],
    });
    const { config } = this.#fn;
    config.allow(CONFIG_AT.control, CONTROL.writable, 2);
    config.allow(CONFIG_AT.lock, LOCK.locked | LOCK.enabled | LOCK.freeRunning, 1);
    this.#parts = new StateList(this.#fn, this.#state);
    this.#fn.onConfigWrite = () => this.#configured();
    this.reset();
    options.bus.attach(this.#fn, options.address);
  }

  reset(): void {
    const timedOut = this.#isResetting || this.#state.view.timedOut !== 0;
    this.#isResetting = false;
    this.#timer.disarm();
    this.#fn.reset();
    this.#state.clear();
    this.#state.view.preload.fill(PRELOAD_MASK);
    this.#state.view.timedOut = timedOut ? 1 : 0;
    this.#wasEnabled = false;
  }

  save(): Uint8Array {
    return this.#parts.save();
  }

  restore(state: Uint8Array): void {
    this.#parts.restore(state);
    this.#keepLock();
    this.#wasEnabled = this.#isEnabled;
    if (this.#state.view.stage === 0) this.#timer.disarm();
    else this.#timer.arm(this.#state.view.endNs);
  }

  // --- Counting ---

  #wasEnabled = false;

  get #lock(): number {
    return this.#fn.readConfig(CONFIG_AT.lock, 1);
  }

  get #isEnabled(): boolean {
    return (this.#lock & LOCK.enabled) !== 0;
  }

  /** Once locked, what is enabled stays so until the machine is reset. */
  #keepLock(): void {
    if ((this.#lock & LOCK.locked) !== 0) this.#fn.config.forbid(CONFIG_AT.lock, 0xff, 1);
  }

  #configured(): void {
    this.#keepLock();
    const isEnabled = this.#isEnabled;
    if (isEnabled === this.#wasEnabled) return;
    this.#wasEnabled = isEnabled;
    if (isEnabled) this.#begin(1);
    else this.#end();
  }

  #begin(stage: 1 | 2): void {
    const s = this.#state.view;
    const isFast = (this.#fn.readConfig(CONFIG_AT.control, 2) & CONTROL.fast) !== 0;
    s.stage = stage;
    s.endNs = this.#o.clock.nowNs() + s.preload[stage - 1] * 2 ** (isFast ? FAST_SHIFT : SLOW_SHIFT) * TICK_NS;
    this.#timer.arm(s.endNs);
  }

  #end(): void {
    this.#state.view.stage = 0;
    this.#timer.disarm();
  }

  #expired(): void {
    const s = this.#state.view;
    if (s.stage === 1) {
      const control = this.#fn.readConfig(CONFIG_AT.control, 2);
      s.interruptStatus = 1;
      if ((control & CONTROL.interruptType) === 0) this.#fn.setPin(true);
      this.#begin(2);
      return;
    }
    const isFree = (this.#lock & LOCK.freeRunning) !== 0;
    if (isFree) this.#begin(1);
    else this.#timeOut();
  }

  #timeOut(): void {
    const { control, action } = this.#o;
    this.#end();
    this.#state.view.timedOut = 1;
    if ((this.#fn.readConfig(CONFIG_AT.control, 2) & CONTROL.outputOff) !== 0) return;
    if (action === 'reset') {
      this.#isResetting = true;
      control.reset();
    } else if (action === 'poweroff') control.powerOff(POWER_OFF_STATUS);
  }

  // --- Registers ---

  #read(offset: number, _byteCount: AccessBytes): number {
    const s = this.#state.view;
    if (offset === AT.interruptStatus) return s.interruptStatus;
    return offset === AT.reload && s.timedOut !== 0 ? RELOAD.timedOut : 0;
  }

  #write(offset: number, _byteCount: AccessBytes, value: number): void {
    const s = this.#state.view;
    if (offset === AT.interruptStatus) {
      if ((value & 1) === 0) return;
      s.interruptStatus = 0;
      this.#fn.setPin(false);
      return;
    }
    if (offset === AT.reload && value === UNLOCK[s.unlockStep]) {
      s.unlockStep++;
      return;
    }
    const isOpen = s.unlockStep === UNLOCK.length;
    s.unlockStep = 0;
    if (!isOpen) return;
    if (offset === AT.timer1) s.preload[0] = value & PRELOAD_MASK;
    else if (offset === AT.timer2) s.preload[1] = value & PRELOAD_MASK;
    else if (offset === AT.reload) this.#reload(value);
  }

  #reload(value: number): void {
    if ((value & RELOAD.timedOut) !== 0) this.#state.view.timedOut = 0;
    if ((value & RELOAD.reload) !== 0 && this.#isEnabled) this.#begin(1);
  }
}

export const i6300esb = declareDevice({
  name: 'i6300esb',
  bus: 'PCI',
  summary: 'Watchdog (Intel 6300ESB)',
  properties: {
    addr: PCI_ADDRESS,
    action: { kind: 'choice', summary: 'When it is not fed', default: 'reset', choices: ['reset', 'poweroff', 'none'] },
  },
  create: ({ clock, pci, control }, { addr, action }) => new I6300esb({ clock, bus: pci, address: addr, control, action }),
});
