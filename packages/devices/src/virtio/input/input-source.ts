// What an input device needs of whoever has its keys under his fingers: events in Linux's numbers (linux/input-event-codes.h), which Virtio takes over (1.2, 5.8).

export interface InputEvent {
  readonly type: number;
  readonly code: number;
  readonly value: number;
}

export const EVENT = { sync: 0, key: 1, relative: 2, absolute: 3, light: 0x11, repeat: 0x14 } as const;
export const RELATIVE = { x: 0, y: 1, horizontalWheel: 6, wheel: 8 } as const;
export const ABSOLUTE = { x: 0, y: 1 } as const;
export const BUTTON = { left: 0x110, right: 0x111, middle: 0x112, side: 0x113, extra: 0x114 } as const;
export const LIGHT = { numLock: 0, capsLock: 1, scrollLock: 2 } as const;
/** Absolute positions go from 0 to this. */
export const MOST_ABSOLUTE = 0x7fff;

export interface InputSource {
  /** The device's: takes what happened at one moment. False: it is lost, for the guest does not take it. Undefined: no device is there. */
  sink: ((events: readonly InputEvent[]) => boolean) | undefined;
  /** The guest turns a light on or off. */
  onLight?(light: number, isOn: boolean): void;
}
