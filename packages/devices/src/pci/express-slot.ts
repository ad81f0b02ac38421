// The hot-plug slot of a port of PCI Express (PCI Express Base 3.0, 6.7, 7.8.9 to 7.8.11): an attention button that the host presses, indicators, a power controller,
// presence detection, and the interrupt that tells of them. Commands complete at once, and the slot says so (No Command Completed Support).
//
//   empty --plugged: presence, button--> occupied, off --guest: power on--> link up
//     ^                                       ^                               |  host wants it out: button
//     +------- asked for: taken away ---------+---- guest: power, indicator off --+
//
// Presence and the button come together, so that a guest that waits for a second press of the button (Linux: 5 s) need not.

import { struct } from '@anillo/base/struct';
import { DeviceState } from '../device-state.ts';
import { EXPRESS, LINK } from './express-capability.ts';
import type { PciFunction } from './pci-function.ts';

const CAN = {
  attentionButton: 1 << 0,
  powerController: 1 << 1,
  attentionIndicator: 1 << 3,
  powerIndicator: 1 << 4,
  surprise: 1 << 5,
  hotPlug: 1 << 6,
  noCommandCompleted: 1 << 18,
  numberShift: 19,
} as const;
export const SLOT_STATUS = {
  button: 1 << 0,
  powerFault: 1 << 1,
  latch: 1 << 2,
  presence: 1 << 3,
  completed: 1 << 4,
  isPresent: 1 << 6,
  link: 1 << 8,
} as const;
export const SLOT_CONTROL = {
  /** Enables of the events at the same bits of the status. */
  events: 0x1f,
  interrupt: 1 << 5,
  powerIndicator: 3 << 8,
  powerIndicatorOn: 1 << 8,
  powerIndicatorBlinks: 2 << 8,
  powerIndicatorOff: 3 << 8,
  attentionOff: 3 << 6,
  powerOff: 1 << 10,
  linkEvent: 1 << 12,
  writable: 0x17ff,
} as const;
const CLEARABLE =
  SLOT_STATUS.button | SLOT_STATUS.powerFault | SLOT_STATUS.latch | SLOT_STATUS.presence | SLOT_STATUS.completed | SLOT_STATUS.link;
const STATE = struct({ isWanted: 'u8', isLinked: 'u8', isSignalled: 'u8' });

export interface ExpressSlotOptions {
  readonly fn: PciFunction;
  /** The capability's place. */
  readonly at: number;
  /** Its number, for people. */
  readonly number: number;
  readonly isOccupied: () => boolean;
  /** The link went down: who is behind it loses power. */
  readonly onLinkDown: () => void;
  /** The guest has let go of the device, as it was asked to. */
  readonly onEject: () => void;
}

export class ExpressSlot {
  readonly #o: ExpressSlotOptions;
  readonly #state = new DeviceState(STATE);

  constructor(options: ExpressSlotOptions) {
    this.#o = options;
    const { fn, at, number } = options;
    const can = CAN.attentionButton | CAN.powerController | CAN.attentionIndicator | CAN.powerIndicator | CAN.surprise | CAN.hotPlug;
    fn.config.define(at + EXPRESS.slotCapabilities, can | CAN.noCommandCompleted | (number << CAN.numberShift), 4);
    fn.config.allow(at + EXPRESS.slotControl, SLOT_CONTROL.writable, 2);
    fn.config.allowClear(at + EXPRESS.slotStatus, CLEARABLE, 2);
  }

  save(): Uint8Array {
    return this.#state.save();
  }

  restore(state: Uint8Array): void {
    this.#state.restore(state);
    this.update();
  }

  // --- Registers ---

  get #control(): number {
    return this.#o.fn.readConfig(this.#o.at + EXPRESS.slotControl, 2);
  }

  get #status(): number {
    return this.#o.fn.readConfig(this.#o.at + EXPRESS.slotStatus, 2);
  }

  #set(register: number, value: number): void {
    this.#o.fn.config.put(this.#o.at + register, value, 2);
  }

  #raise(events: number): void {
    this.#set(EXPRESS.slotStatus, this.#status | events);
  }

  get #isOff(): boolean {
    const { powerOff, powerIndicator, powerIndicatorOff } = SLOT_CONTROL;
    return (this.#control & (powerOff | powerIndicator)) === (powerOff | powerIndicatorOff);
  }

  /** What is behind the port can be reached. */
  get isLinked(): boolean {
    return this.#state.view.isLinked !== 0;
  }

  /** Is the guest to let go of what is there? */
  get isWanted(): boolean {
    return this.#state.view.isWanted !== 0;
  }

  /** Power-on state: a slot with a device has power. */
  reset(): void {
    const { powerOff, powerIndicatorOn, powerIndicatorOff, attentionOff } = SLOT_CONTROL;
    const isOccupied = this.#o.isOccupied();
    this.#state.clear();
    this.#set(EXPRESS.slotControl, attentionOff | (isOccupied ? powerIndicatorOn : powerOff | powerIndicatorOff));
    this.#set(EXPRESS.slotStatus, isOccupied ? SLOT_STATUS.isPresent : 0);
    this.#follow(false);
    this.#signal();
  }

  // --- The host's side ---

  plugged(): void {
    this.#raise(SLOT_STATUS.isPresent | SLOT_STATUS.presence | SLOT_STATUS.button);
    this.update();
  }

  /** Asks for the device: presses the button, unless the guest has switched it off already, or is about to (a second press would call it off). */
  unplug(): void {
    this.#state.view.isWanted = 1;
    if (!this.#isOff && (this.#control & SLOT_CONTROL.powerIndicator) !== SLOT_CONTROL.powerIndicatorBlinks)
      this.#raise(SLOT_STATUS.button);
    this.update();
  }

  /** The device is there no more. */
  emptied(): void {
    this.#state.view.isWanted = 0;
    this.#set(EXPRESS.slotStatus, this.#status & ~SLOT_STATUS.isPresent);
    this.#raise(SLOT_STATUS.presence);
    this.update();
  }

  // --- The guest's side ---

  /** After any change of the registers or of who is in the slot. */
  update(): void {
    this.#follow(true);
    this.#signal();
    if (this.isWanted && this.#isOff && this.#o.isOccupied()) this.#o.onEject();
  }

  /** The link is up while a device is there, has power, and nobody has disabled it. */
  #follow(tells: boolean): void {
    const { fn, at, isOccupied, onLinkDown } = this.#o;
    const isDisabled = (fn.readConfig(at + EXPRESS.linkControl, 2) & LINK.disable) !== 0;
    const isLinked = isOccupied() && (this.#control & SLOT_CONTROL.powerOff) === 0 && !isDisabled;
    this.#set(EXPRESS.linkStatus, LINK.oneLane | (isLinked ? LINK.active : 0));
    if (isLinked === this.isLinked) return;
    this.#state.view.isLinked = isLinked ? 1 : 0;
    if (tells) this.#raise(SLOT_STATUS.link);
    if (!isLinked) onLinkDown();
  }

  /** 6.7.3.4: a message when the first of the events that are enabled comes, a level while any is there. */
  #signal(): void {
    const control = this.#control;
    const status = this.#status;
    const isEnabled = (control & SLOT_CONTROL.interrupt) !== 0;
    const events =
      (status & control & SLOT_CONTROL.events) !== 0 || ((status & SLOT_STATUS.link) !== 0 && (control & SLOT_CONTROL.linkEvent) !== 0);
    const isSignalled = isEnabled && events;
    const wasSignalled = this.#state.view.isSignalled !== 0;
    this.#state.view.isSignalled = isSignalled ? 1 : 0;
    if (isSignalled === wasSignalled) return;
    this.#o.fn.setPin(isSignalled);
    if (isSignalled) this.#o.fn.sendMessage(0);
  }
}
