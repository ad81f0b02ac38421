// ACPI fixed hardware (ACPI 6.5, 4.8): PM1a event and control blocks, 32-bit PM timer at 3.579545 MHz, GPE0, SCI; the SMI command port that switches
// ACPI mode, and the reset register (port 0xcf9, 4.8.3.6). Sleep type 0 is S5: the guest switches itself off.
// Sleep type 1 is S3: the board stops the CPU until the power button or an enabled wake event (16.1.2), and the registers here outlive it.

import { struct } from '@anillo/base/struct';
import type { AccessBytes, BoardControl, Clock, Device, IoRange, IrqLine, Timer } from '../device.ts';
import { DeviceState } from '../device-state.ts';

/** What the FADT and DSDT tell. */
export const ACPI_PM = {
  /** First port of the block, whose registers follow as here wherever the south bridge puts it. */
  eventPort: 0x600,
  eventBytes: 4,
  controlPort: 0x604,
  controlBytes: 2,
  timerPort: 0x608,
  timerBytes: 4,
  gpe0Port: 0x620,
  gpe0Bytes: 4,
  sciGsi: 9,
  smiCommandPort: 0xb2,
  acpiEnable: 0xf1,
  acpiDisable: 0xf0,
  resetPort: 0xcf9,
  resetValue: 6,
  /** The PIIX4's soft-off: firmware writes it without asking the DSDT. */
  sleepTypeS5: 0,
  sleepTypeS3: 1,
} as const;
export const PM_TIMER_HZ = 3579545;

const TICK_NS = 1e9 / PM_TIMER_HZ;
/** TMR_STS is set when the counter's top bit toggles (32-bit timer). */
const TOGGLE_TICKS = 2 ** 31;
const PM1 = { timer: 1 << 0, global: 1 << 5, powerButton: 1 << 8, sleepButton: 1 << 9, rtc: 1 << 10, wake: 1 << 15 } as const;
const PM1_ENABLES = PM1.timer | PM1.global | PM1.powerButton | PM1.sleepButton | PM1.rtc;
const PM1_STATUSES = PM1_ENABLES | PM1.wake;
const WAKE_EVENTS = PM1.powerButton | PM1.sleepButton | PM1.rtc;
const SCI_ENABLED = 1;
const SLEEP_ENABLE = 1 << 13;
const CONTROL_WRITABLE = 0x1c02;
const RESET_CPU = 4;
/** GBL_SMI_EN and APMC_EN. */
const SMI_SET_UP = 0x21;

const STATE = struct({
  status: 'u16',
  enable: 'u16',
  control: 'u16',
  gpeStatus: 'u16',
  gpeEnable: 'u16',
  asleep: 'u8',
  resetControl: 'u8',
  apmControl: 'u8',
  apmStatus: 'u8',
  toggles: 'f64',
});

export interface AcpiPmOptions {
  readonly clock: Clock;
  readonly control: BoardControl;
  /** ISA IRQ 9, level. */
  readonly sci: IrqLine;
  /** A sleep type other than S5's was entered. */
  readonly onSleep?: (type: number) => void;
  /** A wake event ended the sleep. */
  readonly onWake?: () => void;
  /** SMI_EN (ICH9, 316972, 13.8.3.11) can be read. There is no system management mode: it says that firmware has set all up. */
  readonly hasSmiEnable?: boolean;
  readonly stateBuffer?: ArrayBufferLike;
}

export class AcpiPm implements Device {
  readonly name = 'acpi-pm';
  readonly ports: readonly IoRange[];
  /** The registers that the south bridge can move; one of `ports`. */
  readonly block: IoRange;
  readonly #options: AcpiPmOptions;
  readonly #timer: Timer;
  readonly #state: DeviceState<(typeof STATE)['spec']>;

  constructor(options: AcpiPmOptions) {
    this.#options = options;
    this.#state = new DeviceState(STATE, options.stateBuffer);
    this.#timer = options.clock.createTimer(() => this.#update());
    const s = this.#state.view;
    this.block = {
      start: ACPI_PM.eventPort,
      byteCount: 0x40,
      read: (offset, byteCount) => this.#read(offset, byteCount),
      write: (offset, byteCount, value) => this.#write(offset, byteCount, value),
    };
    this.ports = [
      this.block,
      {
        start: ACPI_PM.smiCommandPort,
        byteCount: 2,
        widestBytes: 1,
        read: (offset) => (offset === 0 ? s.apmControl : s.apmStatus),
        write: (offset, _, value) => this.#writeApm(offset, value),
      },
      {
        start: ACPI_PM.resetPort,
        byteCount: 1,
        widestBytes: 1,
        overlay: true,
        read: () => s.resetControl,
        write: (_offset, _bytes, value) => {
          s.resetControl = value & 0x0e;
          if ((value & RESET_CPU) !== 0) options.control.reset();
        },
      },
    ];
    this.reset();
  }

  reset(): void {
    this.#state.clear();
    this.#state.view.toggles = Math.floor(this.#ticks() / TOGGLE_TICKS);
    this.#update();
  }

  save(): Uint8Array {
    return this.#state.save();
  }

  restore(state: Uint8Array): void {
    this.#state.restore(state);
    this.#update();
  }

  /** ACPI mode is on (SCI_EN). */
  get acpiMode(): boolean {
    return (this.#state.view.control & SCI_ENABLED) !== 0;
  }

  pressPowerButton(): void {
    this.#state.view.status |= PM1.powerButton;
    this.#update();
  }

  /** The RTC's alarm, as a wake event. */
  raiseRtcAlarm(): void {
    this.#state.view.status |= PM1.rtc;
    this.#update();
  }

  /** General-purpose event 0..15. */
  raiseGpe(bit: number): void {
    this.#state.view.gpeStatus |= 1 << bit;
    this.#update();
  }

  #ticks(): number {
    return Math.floor(this.#options.clock.nowNs() / TICK_NS);
  }

  /** Brings TMR_STS up to now, drives the SCI and times the next toggle if somebody waits for it. */
  #update(): void {
    const s = this.#state.view;
    const toggles = Math.floor(this.#ticks() / TOGGLE_TICKS);
    if (toggles !== s.toggles) s.status |= PM1.timer;
    s.toggles = toggles;
    const asserted = (s.status & s.enable & PM1_ENABLES) !== 0 || (s.gpeStatus & s.gpeEnable) !== 0;
    if (s.asleep !== 0 && (s.status & (s.enable | PM1.powerButton) & WAKE_EVENTS) !== 0) {
      s.asleep = 0;
      s.status |= PM1.wake;
      this.#options.onWake?.();
    }
    if (asserted && this.acpiMode) this.#options.sci.raise();
    else this.#options.sci.lower();
    if ((s.enable & PM1.timer) !== 0 && (s.status & PM1.timer) === 0) this.#timer.arm(Math.ceil((toggles + 1) * TOGGLE_TICKS * TICK_NS));
    else this.#timer.disarm();
  }

  #readDword(at: number): number {
    const s = this.#state.view;
    switch (at) {
      case 0:
        this.#update();
        return s.status | (s.enable << 16);
      case 4:
        return s.control;
      case 8:
        return this.#ticks() % 4294967296;
      case 0x20:
        return s.gpeStatus | (s.gpeEnable << 16);
      case 0x30:
        return this.#options.hasSmiEnable === true ? SMI_SET_UP : 0;
      default:
        return 0;
    }
  }

  #read(offset: number, byteCount: AccessBytes): number {
    const shift = (offset & 3) * 8;
    // An access across a dword is not one that ACPI's register blocks need.
    return (this.#readDword(offset & ~3) >>> shift) & (byteCount === 4 ? -1 : (1 << (byteCount * 8)) - 1);
  }

  #write(offset: number, byteCount: AccessBytes, value: number): void {
    const s = this.#state.view;
    const shift = (offset & 3) * 8;
    const mask = (byteCount === 4 ? -1 : (1 << (byteCount * 8)) - 1) << shift;
    const bits = (value << shift) & mask;
    switch (offset & ~3) {
      case 0:
        this.#update();
        s.status &= ~(bits & PM1_STATUSES);
        s.enable = ((s.enable & ~(mask >>> 16)) | (bits >>> 16)) & PM1_ENABLES;
        break;
      case 4:
        s.control = (s.control & ~(mask & CONTROL_WRITABLE)) | (bits & CONTROL_WRITABLE);
        if ((bits & SLEEP_ENABLE) !== 0) this.#sleep((s.control >> 10) & 7);
        break;
      case 0x20:
        s.gpeStatus &= ~(bits & 0xffff);
        s.gpeEnable = (s.gpeEnable & ~(mask >>> 16)) | (bits >>> 16);
        break;
    }
    this.#update();
  }

  #sleep(type: number): void {
    if (type === ACPI_PM.sleepTypeS5) this.#options.control.powerOff(0);
    else {
      this.#state.view.asleep = 1;
      this.#options.onSleep?.(type);
    }
  }

  #writeApm(offset: number, value: number): void {
    const s = this.#state.view;
    if (offset === 1) {
      s.apmStatus = value;
      return;
    }
    s.apmControl = value;
    if (value === ACPI_PM.acpiEnable) s.control |= SCI_ENABLED;
    else if (value === ACPI_PM.acpiDisable) s.control &= ~SCI_ENABLED;
    this.#update();
  }
}
