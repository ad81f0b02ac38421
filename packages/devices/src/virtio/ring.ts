// What a queue asks of its ring, split or packed. Nothing that a guest writes there throws: a ring that makes no sense is told by text.

import type { Chain } from './chain.ts';

/** Where a queue and its rings stand; all that a snapshot needs. Positions count as the ring counts. */
export interface RingPlace {
  /** Entries. */
  size: number;
  /** Taken from what the driver has made available. */
  taken: number;
  /** Given back. */
  used: number;
  /** `used` when the driver was last told. */
  told: number;
  /** The driver has been told ever. */
  hasTold: number;
  /** Entries that the device has now. */
  outstanding: number;
}

export interface RingAreas {
  readonly descriptors: number;
  readonly driver: number;
  readonly device: number;
}

export interface Ring {
  /** What is wrong with these areas; undefined: nothing. */
  check(): string | undefined;
  /** The next chain; undefined: there is none; text: the ring is malformed. */
  take(epoch: number): Chain | undefined | string;
  /** Gives a chain back; text: the ring is not there any more. */
  give(chain: Chain, writtenBytes: number): string | undefined;
  /** Gives several back so that the driver, which may look at any moment from another CPU, sees all of them or none. */
  giveTogether(chains: readonly Chain[], writtenBytes: readonly number[]): string | undefined;
  /** Does the driver want to be told of what was given since it was told last? To be asked once for each `give` or several. */
  wantsInterrupt(): boolean;
  /** Asks the driver for a notification of the next chain that it makes available. */
  askForNotification(): void;
}
