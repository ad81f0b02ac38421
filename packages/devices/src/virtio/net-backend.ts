// What a network device needs of the cable it is plugged into. `packages/net`'s FramePort has this shape.

/** What is left to do to a frame before it goes over a wire. */
export interface FrameWork {
  /** A checksum over what follows `start`, to be stored `offset` bytes from there; the pseudo header's sum is in its place already. */
  readonly checksum?: { readonly start: number; readonly offset: number };
  /** Cut the payload behind `headerBytes` into pieces of `segmentBytes`, each with headers of its own. */
  readonly segments?: {
    readonly kind: 'tcp4' | 'tcp6' | 'udp';
    readonly segmentBytes: number;
    readonly headerBytes: number;
    readonly hasEcn: boolean;
  };
}

export interface FrameSink {
  /** Takes frames with checksums and TCP segments left to do. */
  readonly takesWork: boolean;
  /** Takes 'udp' segments as well. */
  readonly takesUdpSegments?: boolean;
  /** Lent for the call. False: no room now, it has not been taken. */
  send(frame: Uint8Array, work: FrameWork | undefined): boolean;
}

export interface NetBackend extends FrameSink {
  /** Takes what arrives. */
  receiver: FrameSink | undefined;
  /** There is room again after a `send` that was refused. */
  onRoom: (() => void) | undefined;
  /** Sends that were refused here have room now. */
  hasRoom(): void;
  /** The cable is plugged in at the other end. */
  readonly isUp: boolean;
  onUp: (() => void) | undefined;
  /** The address that the network has for the card; undefined: it has none. */
  readonly mac?: Uint8Array;
}
