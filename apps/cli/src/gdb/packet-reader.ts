// Cuts a byte stream into packets of gdb's remote protocol (gdb manual, "Remote Protocol: Overview"). A packet longer than the limit, or one
// with a wrong checksum, is reported as bad; nothing grows with what the peer sends.

export const PACKET_LIMIT_BYTES = 0x4000;

export type GdbInput =
  | { readonly kind: 'packet'; readonly body: Uint8Array }
  | { readonly kind: 'bad' }
  | { readonly kind: 'interrupt' }
  | { readonly kind: 'ack' }
  | { readonly kind: 'nack' };

const DOLLAR = 0x24;
const HASH = 0x23;
const INTERRUPT = 0x03;
const PLUS = 0x2b;
const MINUS = 0x2d;
const ESCAPE = 0x7d;
const ESCAPE_XOR = 0x20;

const hexDigit = (byte: number): number => {
  const digit = Number.parseInt(String.fromCharCode(byte), 16);
  return Number.isNaN(digit) ? -1 : digit;
};

/** `X` packets and replies escape the bytes that have a meaning of their own. */
export function unescapeBinary(bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(bytes.length);
  let length = 0;
  for (let at = 0; at < bytes.length; at++) out[length++] = bytes[at] === ESCAPE ? bytes[++at] ^ ESCAPE_XOR : bytes[at];
  return out.subarray(0, length);
}

export class PacketReader {
  readonly #body = new Uint8Array(PACKET_LIMIT_BYTES);
  #length = 0;
  #state: 'outside' | 'body' | 'checksum-high' | 'checksum-low' = 'outside';
  #sum = 0;
  #checksum = 0;

  *read(chunk: Uint8Array): Generator<GdbInput> {
    for (const byte of chunk) {
      const input = this.#take(byte);
      if (input !== undefined) yield input;
    }
  }

  #take(byte: number): GdbInput | undefined {
    switch (this.#state) {
      case 'outside':
        if (byte === DOLLAR) this.#begin();
        else if (byte === INTERRUPT) return { kind: 'interrupt' };
        else if (byte === PLUS) return { kind: 'ack' };
        else if (byte === MINUS) return { kind: 'nack' };
        return undefined;
      case 'body':
        if (byte === HASH) this.#state = 'checksum-high';
        else if (byte === DOLLAR) this.#begin();
        else {
          this.#sum = (this.#sum + byte) & 0xff;
          if (this.#length < PACKET_LIMIT_BYTES) this.#body[this.#length] = byte;
          this.#length++;
        }
        return undefined;
      case 'checksum-high':
        this.#checksum = hexDigit(byte) << 4;
        this.#state = 'checksum-low';
        return undefined;
      case 'checksum-low':
        this.#state = 'outside';
        if ((this.#checksum | hexDigit(byte)) !== this.#sum || this.#length > PACKET_LIMIT_BYTES) return { kind: 'bad' };
        return { kind: 'packet', body: this.#body.slice(0, this.#length) };
    }
  }

  #begin(): void {
    this.#state = 'body';
    this.#length = 0;
    this.#sum = 0;
  }
}
