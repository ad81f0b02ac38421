// A serial port on the page: an element that shows what the guest prints and sends what is typed into it.

import { ConsoleText, type Size } from './console-text.ts';
import { keyBytes } from './key-bytes.ts';

export class SerialConsole {
  readonly #element: HTMLElement;
  readonly #text: ConsoleText;
  readonly #type: (bytes: Uint8Array) => void;
  #drawing = false;

  constructor(element: HTMLElement, size: Size, type: (bytes: Uint8Array) => void) {
    this.#element = element;
    this.#text = new ConsoleText(size);
    this.#type = type;
    this.#text.onAnswer = (text) => this.#send(text);
    element.tabIndex = 0;
    element.addEventListener('keydown', (event) => this.#press(event));
    element.addEventListener('paste', (event) => {
      event.preventDefault();
      this.#send((event.clipboardData?.getData('text') ?? '').replace(/\r?\n/g, '\r'));
    });
  }

  write(bytes: Uint8Array): void {
    this.#text.write(bytes);
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => this.#draw());
  }

  #send(text: string): void {
    this.#type(new TextEncoder().encode(text));
  }

  #press(event: KeyboardEvent): void {
    // What is marked can be copied, and with Ctrl-V pasted, as anywhere else.
    const isCopy = event.ctrlKey && event.key.toLowerCase() === 'c' && getSelection()?.isCollapsed === false;
    const bytes = isCopy || (event.ctrlKey && event.key.toLowerCase() === 'v') ? undefined : keyBytes(event);
    if (bytes === undefined) return;
    event.preventDefault();
    this.#send(bytes);
  }

  #draw(): void {
    this.#drawing = false;
    const { line, column } = this.#text.cursor;
    const lines = this.#text.text.split('\n');
    const here = (lines[line] ?? '').padEnd(column + 1);
    const cursor = document.createElement('span');
    cursor.className = 'cursor';
    cursor.textContent = here[column];
    const before = [...lines.slice(0, line), here.slice(0, column)].join('\n');
    const after = [here.slice(column + 1), ...lines.slice(line + 1)].join('\n');
    this.#element.replaceChildren(before, cursor, after);
    this.#element.scrollTop = this.#element.scrollHeight;
  }
}
