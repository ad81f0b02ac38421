// An IP packet that has come in, whole: fragments are put together, options and extension headers are behind us. One object is filled again and again.

import type { FrameWork } from '../frame-port.ts';
import type { IpFamily } from '../host-network.ts';
import { IpAddress } from '../ip-address.ts';

export class IpPacket {
  bytes: Uint8Array = new Uint8Array(0);
  family: IpFamily = 4;
  /** Where the IP header starts, and where what it carries. */
  header = 0;
  start = 0;
  end = 0;
  protocol = 0;
  hopLimit = 0;
  sourceMac = 0;
  /** The frame was for more than one. */
  isGroupcast = false;
  work: FrameWork | undefined;

  get sourceAt(): number {
    return this.header + (this.family === 4 ? 12 : 8);
  }

  get destinationAt(): number {
    return this.header + (this.family === 4 ? 16 : 24);
  }

  get source(): IpAddress {
    return IpAddress.at(this.bytes, this.sourceAt, this.family);
  }

  get destination(): IpAddress {
    return IpAddress.at(this.bytes, this.destinationAt, this.family);
  }
}
