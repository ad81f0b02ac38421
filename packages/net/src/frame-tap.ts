// Who looks on at the frames of a port or of a whole switch.

import type { FrameWork } from './frame-port.ts';

export interface FrameTap {
  /** `frame` is lent for the call. 'in': into the switch. */
  see(frame: Uint8Array, work: FrameWork | undefined, direction: 'in' | 'out'): void;
}
