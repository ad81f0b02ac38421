// A tap interface of Linux as a port: frames go to and from the host's kernel, with the work that virtio's header tells of (Linux, Documentation/networking/tuntap.rst; Virtio 1.2,
// 5.1.6). The kernel says by a signal (SIGIO) that there are frames: the device is no socket, and Node cannot wait for it in another way.

import { AnilloError } from '@anillo/base/anillo-error';
import { canTake, FrameFinisher } from '@anillo/net/frame-finisher';
import type { FramePort, FrameWork } from '@anillo/net/frame-port';
import { type LinuxLibc, loadLinuxLibc } from './linux-libc.ts';

const O_RDWR = 2;
const O_NONBLOCK = 0o4000;
const O_ASYNC = 0o20000;
const O_CLOEXEC = 0o2000000;
const F_SETFL = 4;
const F_SETOWN = 8;
const TUNSETIFF = 0x400454ca;
const TUNSETOFFLOAD = 0x400454d0;
const TUNSETVNETHDRSZ = 0x400454d8;
const IFF_TAP_NO_PI_VNET = 0x0002 | 0x1000 | 0x4000;
const TUN_F_CSUM = 1;
const TUN_F_TSO = 2 | 4 | 8;
const NAME_BYTES = 16;
const HEADER_BYTES = 10;
const HAS_CHECKSUM = 1;
const GSO_NONE = 0;
const GSO_TCP4 = 1;
const GSO_TCP6 = 4;
const GSO_ECN = 0x80;
const LARGEST_FRAME_BYTES = 0x10000 + 64;
/** Then others have their turn. */
const FRAMES_AT_ONCE = 256;

export class LinuxTap {
  readonly name: string;
  readonly #libc: LinuxLibc;
  readonly #fd: number;
  readonly #port: FramePort;
  readonly #finisher = new FrameFinisher();
  readonly #in = new Uint8Array(HEADER_BYTES + LARGEST_FRAME_BYTES);
  readonly #out = new Uint8Array(HEADER_BYTES + LARGEST_FRAME_BYTES);
  readonly #onSignal = (): void => this.#drain();
  #isClosed = false;

  private constructor(libc: LinuxLibc, fd: number, name: string, port: FramePort) {
    this.#libc = libc;
    this.#fd = fd;
    this.name = name;
    this.#port = port;
    port.receiver = { takesWork: true, send: (frame, work) => this.#send(frame, work) };
    process.on('SIGIO', this.#onSignal);
    libc.fcntl(fd, F_SETOWN, process.pid);
    libc.fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK | O_ASYNC);
    setImmediate(this.#onSignal);
  }

  /** Joins an interface, existing or new, to `port`. AnilloError UNSUPPORTED or NETWORK where that cannot be. */
  static open(name: string, port: FramePort): LinuxTap {
    const libc = loadLinuxLibc();
    if (libc === undefined)
      throw new AnilloError(
        'UNSUPPORTED',
        'A tap interface needs Linux and a Node with node:ffi; use the user-mode network in place of it.',
      );
    if (!/^[^\s/]{1,15}$/.test(name))
      throw new AnilloError('BAD_OPTION', `'${name}' is no name for a tap interface; give one of at most 15 letters and digits.`);
    const fd = libc.open('/dev/net/tun', O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
      throw new AnilloError('NETWORK', 'The device /dev/net/tun cannot be opened; load the tun module, or run with the right to use it.');
    const request = new Uint8Array(40);
    request.set(Buffer.from(name));
    new DataView(request.buffer).setUint16(NAME_BYTES, IFF_TAP_NO_PI_VNET, true);
    if (libc.ioctl(fd, TUNSETIFF, request) < 0) {
      libc.close(fd);
      throw new AnilloError(
        'NETWORK',
        `The tap interface ${name} cannot be used; have root make it with 'ip tuntap add dev ${name} mode tap user $USER', or run as root.`,
      );
    }
    const size = new Uint8Array(4);
    size[0] = HEADER_BYTES;
    libc.ioctl(fd, TUNSETVNETHDRSZ, size);
    if (libc.ioctlNumber(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO) < 0) libc.ioctlNumber(fd, TUNSETOFFLOAD, 0);
    return new LinuxTap(libc, fd, name, port);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    process.off('SIGIO', this.#onSignal);
    this.#port.receiver = undefined;
    this.#libc.close(this.#fd);
  }

  #drain(): void {
    for (let count = 0; !this.#isClosed && count < FRAMES_AT_ONCE; count++) {
      const byteCount = this.#libc.read(this.#fd, this.#in);
      if (byteCount < 0) return;
      if (byteCount > HEADER_BYTES) this.#receive(this.#in.subarray(HEADER_BYTES, byteCount));
    }
    if (!this.#isClosed) setImmediate(this.#onSignal);
  }

  #receive(frame: Uint8Array): void {
    const work = this.#readWork();
    // The kernel sends again what finds no room.
    if (canTake(this.#port, work)) this.#port.send(frame, work);
    else this.#finisher.finish(frame, work!, (piece) => this.#port.send(piece, undefined));
  }

  #readWork(): FrameWork | undefined {
    const view = new DataView(this.#in.buffer, 0, HEADER_BYTES);
    if ((view.getUint8(0) & HAS_CHECKSUM) === 0) return undefined;
    const checksum = { start: view.getUint16(6, true), offset: view.getUint16(8, true) };
    const kind = view.getUint8(1) & ~GSO_ECN;
    if (kind !== GSO_TCP4 && kind !== GSO_TCP6) return { checksum };
    const segments = {
      kind: kind === GSO_TCP4 ? ('tcp4' as const) : ('tcp6' as const),
      segmentBytes: view.getUint16(4, true),
      headerBytes: view.getUint16(2, true),
      hasEcn: (view.getUint8(1) & GSO_ECN) !== 0,
    };
    return { checksum, segments };
  }

  #send(frame: Uint8Array, work: FrameWork | undefined): boolean {
    if (frame.length > LARGEST_FRAME_BYTES) return true;
    const out = this.#out;
    const view = new DataView(out.buffer, 0, HEADER_BYTES);
    const { checksum, segments } = work ?? {};
    view.setUint8(0, checksum === undefined ? 0 : HAS_CHECKSUM);
    view.setUint8(
      1,
      segments === undefined ? GSO_NONE : (segments.kind === 'tcp4' ? GSO_TCP4 : GSO_TCP6) | (segments.hasEcn ? GSO_ECN : 0),
    );
    view.setUint16(2, segments?.headerBytes ?? 0, true);
    view.setUint16(4, segments?.segmentBytes ?? 0, true);
    view.setUint16(6, checksum?.start ?? 0, true);
    view.setUint16(8, checksum?.offset ?? 0, true);
    out.set(frame, HEADER_BYTES);
    // A frame that the kernel does not take is lost, as on a wire.
    this.#libc.write(this.#fd, out.subarray(0, HEADER_BYTES + frame.length));
    return true;
  }
}
