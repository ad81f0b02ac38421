// Guest bytes to one block: decodes and lifts instruction after instruction until control flow, the end of the page, a change that later
// translation depends on, or the limit. An instruction that straddles two pages is a block of its own.

import type { Block } from '@anillo/ir/block';
import type { CodeSource } from '@anillo/ir/frontend';
import { Decoder, emptyDecoded, type Decoded, type DecodeOutcome, type OpcodeTable } from './decode.ts';
import { Lift } from './lift.ts';
import { MODE } from './mode.ts';
import { CHECK_BREAKPOINT } from './single-step.ts';
import { checkUsable } from './usable.ts';
import { TRAP } from './state.ts';

const CODE_SIZES = [16, 32, 64, 64] as const;

/** `byteCount` of a block that straddles is larger than the rest of its page. */
export class BlockLifter {
  readonly #decoder: Decoder;
  readonly #decoded: Decoded = emptyDecoded();

  constructor(table: OpcodeTable) {
    this.#decoder = new Decoder(table);
  }

  /** Undefined: the first instruction needs the next page and that cannot be fetched (the fault is recorded by `nextPage`). */
  lift(source: CodeSource): Block | undefined {
    const { mode } = source;
    const codeSize = CODE_SIZES[mode & MODE.CODE_SIZE] as 16 | 32 | 64;
    const realMode = (mode & MODE.PROTECTED) === 0;
    const d = this.#decoded;
    const c = new Lift(mode, d);
    const limit = mode & (MODE.STEP | MODE.BREAK) ? 1 : source.maxInsns;
    let { bytes, start } = source;
    const pageRest = bytes.length - start;
    let at = 0;
    let count = 0;
    let last = limit;
    while (c.terminal === undefined) {
      if (count > 0 && source.endsBefore?.(at)) {
        c.jumpTo(at);
        break;
      }
      let outcome: DecodeOutcome = at < pageRest ? this.#decoder.decode(bytes, start + at, codeSize, realMode, d) : 'more';
      if (outcome === 'more') {
        if (count > 0) {
          c.jumpTo(at);
          break;
        }
        const more = source.nextPage();
        if (more === undefined) return undefined;
        const joined = new Uint8Array(pageRest + 16);
        joined.set(bytes.subarray(start));
        joined.set(more.subarray(0, 16), pageRest);
        bytes = joined;
        start = 0;
        outcome = this.#decoder.decode(bytes, at, codeSize, realMode, d);
        last = 1;
      }
      const next = at + d.byteCount;
      c.begin(at, next);
      if ((mode & MODE.BREAK) !== 0) c.b.call(CHECK_BREAKPOINT);
      if (outcome !== 'ok') {
        c.trap(outcome === 'too-long' ? TRAP.GP0 : TRAP.UD);
      } else if (d.rep !== 0 && count > 0 && isString(d)) {
        // A repeated instruction loops to its own start: a block of its own.
        c.b.at = at;
        c.jumpTo(at);
        break;
      } else {
        const shadowed = c.shadow;
        if (checkUsable(c)) d.row.lift(c);
        if (shadowed) {
          c.shadow = false;
          if (c.terminal === undefined) c.endBlock(true);
        } else if (c.shadow && limit > 1) {
          last = Math.max(count + 2, 1);
        }
      }
      count++;
      at = next;
      if (c.terminal === undefined && (count >= last || at >= pageRest)) {
        if (c.shadow) c.holdInterrupts();
        else c.jumpTo(at);
      }
    }
    return c.b.finish(c.terminal as NonNullable<typeof c.terminal>, { byteCount: at, insnCount: Math.max(count, 1), pcBits: c.pcBits });
  }
}

const isString = (d: Decoded): boolean => !d.row.vex && d.row.map === 0 && ((d.opcode >= 0xa4 && d.opcode <= 0xaf && d.opcode !== 0xa8 && d.opcode !== 0xa9) || (d.opcode >= 0x6c && d.opcode <= 0x6f));
