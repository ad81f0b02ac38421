// A keyboard whose keys a program presses, by the names that browsers have for them ("KeyA", "Enter", "ShiftLeft": UI Events KeyboardEvent code Values).

import { AnilloError } from '@anillo/base/anillo-error';
import { EVENT, type InputSource, LIGHT } from '@anillo/devices/virtio/input/input-source';
import { KEY_NUMBERS } from './key-numbers.ts';

export type KeyboardLight = keyof typeof LIGHT;

export class Keyboard implements InputSource {
  /** The device's. */
  sink: InputSource['sink'] = undefined;
  /** Those that the guest has lit. */
  readonly lights = new Set<KeyboardLight>();

  /** False: the guest does not take it. AnilloError BAD_OPTION for a key that there is not. */
  press(key: string): boolean {
    return this.#send(key, 1);
  }

  release(key: string): boolean {
    return this.#send(key, 0);
  }

  /** Presses keys one after the other and lets them go again: `tap('ControlLeft', 'AltLeft', 'Delete')`. */
  tap(...keys: readonly string[]): boolean {
    const pressed = keys.map((key) => this.press(key));
    const released = keys.toReversed().map((key) => this.release(key));
    return [...pressed, ...released].every((isTaken) => isTaken);
  }

  #send(key: string, value: 0 | 1): boolean {
    const code = KEY_NUMBERS.get(key);
    if (code === undefined)
      throw new AnilloError(
        'BAD_OPTION',
        `There is no key "${key}"; use the names that browsers have for keys, such as KeyA, Digit1 or Enter.`,
      );
    return this.sink?.([{ type: EVENT.key, code, value }]) ?? false;
  }

  /** The device's. */
  onLight(light: number, isOn: boolean): void {
    const name = (Object.keys(LIGHT) as KeyboardLight[]).find((candidate) => LIGHT[candidate] === light);
    if (name === undefined) return;
    if (isOn) this.lights.add(name);
    else this.lights.delete(name);
  }
}
