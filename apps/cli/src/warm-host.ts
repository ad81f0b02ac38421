// Loads, while a start-up snapshot is made, the parts of Node that it loads at their first use otherwise.

import { ReadStream } from 'node:fs';
import { ReadStream as TerminalInput } from 'node:tty';

/** The values are of no use; that they were looked at is. */
export function warmHost(): readonly unknown[] {
  return [performance.now(), ReadStream, TerminalInput];
}
