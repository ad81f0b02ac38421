// Takes a stream of text apart into JSON objects, which nothing but white space separates. What is too long, or begins with something else, ends the stream.

const LONGEST = 1024 * 1024;

export class JsonObjects {
  #text = '';
  #at = 0;
  #depth = 0;
  #isInString = false;
  #isEscaped = false;

  /** The objects that are complete now, as text; undefined: this is no stream of objects, or one is too long. */
  push(text: string): string[] | undefined {
    this.#text += text;
    const found: string[] = [];
    for (; this.#at < this.#text.length; this.#at++) {
      const character = this.#text[this.#at];
      if (this.#isInString) this.#followString(character);
      else if (character === '"') this.#isInString = true;
      else if (character === '{' || character === '[') this.#depth++;
      else if (character === '}' || character === ']') this.#depth--;
      if (this.#depth > 0) continue;
      if (character === '}' && this.#depth === 0) {
        found.push(this.#text.slice(0, this.#at + 1).trim());
        this.#text = this.#text.slice(this.#at + 1);
        this.#at = -1;
      } else if (!/\s/.test(character)) return undefined;
    }
    return this.#text.length > LONGEST ? undefined : found;
  }

  #followString(character: string): void {
    if (this.#isEscaped) this.#isEscaped = false;
    else if (character === '\\') this.#isEscaped = true;
    else if (character === '"') this.#isInString = false;
  }
}
