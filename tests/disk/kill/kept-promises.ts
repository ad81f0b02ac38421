// What a disk may hold after its writer was killed: of each sector what was flushed last, or anything that was begun since.

import { DISK_BYTES, LANES, operationOf, writerOf } from './load.ts';

/** A sector's possible content: the operation that wrote it, or -1: zeros. */
interface Choice {
  readonly by: number;
  readonly content: number;
}

export class KeptPromises {
  readonly #choices: Choice[][] = Array.from({ length: DISK_BYTES / 512 }, () => [{ by: -1, content: -1 }]);
  readonly #begun: number[] = new Array<number>(LANES).fill(-1);
  readonly #flushed: number[] = new Array<number>(LANES).fill(-1);
  flushes = 0;

  /** Where a lane's next writer goes on. */
  nextOf(lane: number): number {
    return this.#begun[lane] + 1;
  }

  begun(lane: number, number: number): void {
    this.#begun[lane] = number;
    const { kind, first, count } = operationOf(lane, number);
    for (let sector = first; sector < first + count; sector++)
      this.#choices[sector].push({ by: number, content: kind === 'write' ? number : -1 });
  }

  /** The lane may have begun so many more, of which nothing was heard. */
  mayHaveBegun(lane: number, count: number): void {
    for (const end = this.nextOf(lane) + count; this.nextOf(lane) < end; ) this.begun(lane, this.nextOf(lane));
  }

  /** All that the lane has begun up to there has ended, and was flushed after that. */
  flushed(lane: number, number: number): void {
    this.flushes++;
    for (let one = this.#flushed[lane] + 1; one <= number; one++) {
      const { kind, first, count } = operationOf(lane, one);
      // A discard leaves what it does not reach.
      if (kind === 'discard') continue;
      for (let sector = first; sector < first + count; sector++)
        this.#choices[sector] = this.#choices[sector].filter(({ by }) => by >= one);
    }
    this.#flushed[lane] = number;
  }

  /** What is wrong, a sentence each. From now on the disk holds what was found. */
  judge(bytes: Uint8Array): readonly string[] {
    const wrong: string[] = [];
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    for (const [sector, choices] of this.#choices.entries()) {
      const found = writerOf(words.subarray(sector * 128, (sector + 1) * 128), sector);
      if (typeof found === 'string') wrong.push(`Sector ${sector}: ${found}.`);
      else if (!choices.some(({ content }) => content === found))
        wrong.push(
          `Sector ${sector} has ${told(found)}, and was flushed with ${choices.map(({ content }) => told(content)).join(' or ')}.`,
        );
      else this.#choices[sector] = [{ by: this.#begun[Math.floor((sector * 512 * LANES) / DISK_BYTES)], content: found }];
    }
    this.#flushed.splice(0, LANES, ...this.#begun);
    return wrong;
  }
}

const told = (content: number): string => (content < 0 ? 'zeros' : `operation ${content}`);
