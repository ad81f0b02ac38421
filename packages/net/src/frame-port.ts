// How Ethernet frames go from one to another: a machine's network device, the NAT, a tap, a capture, a switch's ports.

/** What is still to be done to a frame before it goes over a wire; as virtio_net_hdr says it (Virtio 1.2, 5.1.6). */
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

/** An end that takes frames. */
export interface FrameSink {
  /** Takes frames with checksums and TCP segments left to do; for other sinks whoever sends has finished them. */
  readonly takesWork: boolean;
  /** Takes 'udp' segments as well: guests learnt it later than the others. Absent: no. */
  readonly takesUdpSegments?: boolean;
  /** `frame`: from the destination address on, without check sequence; lent for the call. False: no room now, it has not been taken; `onRoom` of the port is called when there is. */
  send(frame: Uint8Array, work: FrameWork | undefined): boolean;
}

/** One of the two ends of a cable: what is sent here arrives at the other's `receiver`. */
export interface FramePort extends FrameSink {
  /** Takes what arrives. */
  receiver: FrameSink | undefined;
  /** There is room again after a `send` that was refused. */
  onRoom: (() => void) | undefined;
  /** Tell the other end that its sends, which were refused here, have room now. */
  hasRoom(): void;
  /** Is there somebody at the other end? */
  readonly isUp: boolean;
  onUp: (() => void) | undefined;
  /** The address that the network has for a card here; undefined: it has none. */
  mac?: Uint8Array;
}
