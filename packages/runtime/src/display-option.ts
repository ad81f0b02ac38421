// Displays and sources of input as the library's user gives them, and the devices for the one that nobody named.

import type { DeviceOptions } from '@anillo/devices/device-declaration';
import type { DisplayTarget, Size } from '@anillo/devices/virtio/gpu/display-target';
import type { InputSource } from '@anillo/devices/virtio/input/input-source';
import { Display } from './display.ts';

export interface DisplayOptions {
  readonly display?: boolean | Size;
  readonly displays?: Readonly<Record<string, DisplayTarget>>;
  readonly inputs?: Readonly<Record<string, InputSource>>;
}

const USUAL: Size = { width: 1280, height: 800 };

export function makeDisplay({ display: wanted = false, displays = {}, inputs = {} }: DisplayOptions): {
  readonly display: Display | undefined;
  readonly displays: Readonly<Record<string, DisplayTarget>>;
  readonly inputs: Readonly<Record<string, InputSource>>;
  readonly devices: readonly DeviceOptions[];
} {
  if (wanted === false) return { display: undefined, displays, inputs, devices: [] };
  const display = new Display(wanted === true ? USUAL : wanted);
  return {
    display,
    displays: { ...displays, 'the display': display },
    inputs: { ...inputs, 'the keyboard': display.keyboard, 'the pointer': display.pointer },
    devices: [
      { model: 'virtio-gpu-pci', display: 'the display' },
      { model: 'virtio-keyboard-pci', source: 'the keyboard' },
      { model: 'virtio-tablet-pci', source: 'the pointer' },
    ],
  };
}
