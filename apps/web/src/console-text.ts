// What a guest prints, as lines of text: the part of ECMA-48 that a shell with line editing and simple full-screen programs use. Colours are left out.
// The screen is the last lines; what has scrolled out of it stays above.

export interface Size {
  readonly rows: number;
  readonly columns: number;
}

const KEPT_LINES = 1000;
const TAB_COLUMNS = 8;

const ESCAPE = '\u001b';
/** Behind the escape: parameters and final byte of a control sequence; escapes of one or two characters; the front of a string that has an end of its own. */
const CONTROL = /^\[([0-?]*)[ -/]*([@-~])/;
const SHORT = /^(?:[ -/][0-~]|[0-OQ-WYZ\\`-~])/;
const STRING = /^[\]P^_X]/;
const STRING_ENDS = ['\u0007', `${ESCAPE}\\`];
/** No sequence is longer: an escape that begins none is dropped. */
const LONGEST_SEQUENCE = 4096;

export class ConsoleText {
  /** Called with what the terminal answers when the guest asks it something. */
  onAnswer: ((text: string) => void) | undefined;
  readonly #size: Size;
  readonly #lines: string[] = [''];
  readonly #decoder = new TextDecoder();
  /** Index of the screen's first line. */
  #top = 0;
  #row = 0;
  #column = 0;
  /** An escape sequence of which the end has not come. */
  #rest = '';

  constructor(size: Size) {
    this.#size = size;
  }

  get text(): string {
    return this.#lines.join('\n');
  }

  /** Line, from the first that is kept, and column, from 0. */
  get cursor(): { readonly line: number; readonly column: number } {
    return { line: this.#top + this.#row, column: this.#column };
  }

  write(bytes: Uint8Array): void {
    let text = this.#rest + this.#decoder.decode(bytes, { stream: true });
    this.#rest = '';
    while (text.length > 0) {
      if (text.startsWith(ESCAPE)) {
        const used = this.#escape(text);
        if (used === 0) {
          this.#rest = text;
          return;
        }
        text = text.slice(used);
      } else {
        const end = text.indexOf(ESCAPE);
        const plain = end < 0 ? text : text.slice(0, end);
        for (const character of plain) this.#character(character);
        text = text.slice(plain.length);
      }
    }
  }

  /** Characters that the sequence at the front takes; 0: its end has not come. */
  #escape(text: string): number {
    const body = text.slice(1);
    const control = CONTROL.exec(body);
    if (control !== null) {
      this.#control(control[1], control[2]);
      return 1 + control[0].length;
    }
    const short = SHORT.exec(body);
    if (short !== null) return 1 + short[0].length;
    const ends = STRING.test(body) ? STRING_ENDS.map((end) => body.indexOf(end) + end.length).filter((at) => at > 1) : [];
    if (ends.length > 0) return 1 + Math.min(...ends);
    return text.length > LONGEST_SEQUENCE ? 1 : 0;
  }

  #character(character: string): void {
    if (character === '\n') this.#lineFeed();
    else if (character === '\r') this.#column = 0;
    else if (character === '\b') this.#column = Math.max(0, this.#column - 1);
    else if (character === '\t') this.#moveTo(this.#row, (Math.floor(this.#column / TAB_COLUMNS) + 1) * TAB_COLUMNS);
    else if (character >= ' ' && character !== '\x7f') this.#print(character);
  }

  #print(character: string): void {
    if (this.#column === this.#size.columns) {
      this.#column = 0;
      this.#lineFeed();
    }
    const line = this.#line.padEnd(this.#column);
    this.#line = line.slice(0, this.#column) + character + line.slice(this.#column + 1);
    this.#column++;
  }

  get #line(): string {
    return this.#lines[this.#top + this.#row] ?? '';
  }
  set #line(text: string) {
    while (this.#lines.length <= this.#top + this.#row) this.#lines.push('');
    this.#lines[this.#top + this.#row] = text;
  }

  #lineFeed(): void {
    if (this.#row < this.#size.rows - 1) this.#row++;
    else this.#top++;
    while (this.#lines.length <= this.#top + this.#row) this.#lines.push('');
    const surplus = this.#lines.length - KEPT_LINES;
    if (surplus <= 0) return;
    this.#lines.splice(0, surplus);
    this.#top -= surplus;
  }

  #moveTo(row: number, column: number): void {
    this.#row = Math.max(0, Math.min(row, this.#size.rows - 1));
    this.#column = Math.max(0, Math.min(column, this.#size.columns - 1));
  }

  #control(parameters: string, final: string): void {
    const [first = 0, second = 0] = parameters.split(';').map((each) => Number.parseInt(each, 10) || 0);
    const count = Math.max(1, first);
    if (final === 'A') this.#moveTo(this.#row - count, this.#column);
    else if (final === 'B') this.#moveTo(this.#row + count, this.#column);
    else if (final === 'C') this.#moveTo(this.#row, this.#column + count);
    else if (final === 'D') this.#moveTo(this.#row, this.#column - count);
    else if (final === 'G') this.#moveTo(this.#row, count - 1);
    else if (final === 'd') this.#moveTo(count - 1, this.#column);
    else if (final === 'H' || final === 'f') this.#moveTo(count - 1, Math.max(1, second) - 1);
    else if (final === 'K') this.#eraseInLine(first);
    else if (final === 'J') this.#eraseInScreen(first);
    else if (final === 'P') this.#line = this.#line.slice(0, this.#column) + this.#line.slice(this.#column + count);
    else if (final === '@') this.#line = this.#line.slice(0, this.#column).padEnd(this.#column + count) + this.#line.slice(this.#column);
    else if (final === 'n' && first === 6)
      this.onAnswer?.(`${ESCAPE}[${this.#row + 1};${Math.min(this.#column, this.#size.columns - 1) + 1}R`);
  }

  /** 0: from the cursor on, 1: up to the cursor, 2: all. */
  #eraseInLine(what: number): void {
    const blank = ''.padEnd(this.#column + 1);
    if (what === 0) this.#line = this.#line.slice(0, this.#column);
    else this.#line = what === 1 ? blank + this.#line.slice(this.#column + 1) : '';
  }

  #eraseInScreen(what: number): void {
    this.#eraseInLine(what);
    const at = this.#top + this.#row;
    if (what !== 1) this.#lines.length = Math.min(this.#lines.length, at + 1);
    if (what !== 0) this.#lines.fill('', this.#top, at);
  }
}
