// What has gone through a NAT.

export interface NatCounts {
  /** Payload of TCP and UDP, from machines and to them. */
  bytesUp: number;
  bytesDown: number;
  tcpOpened: number;
  /** By egress rules. */
  denied: number;
  udpDatagramsUp: number;
  udpDatagramsDown: number;
  /** Of UDP, for want of room or by a limit. */
  udpDropped: number;
  echoes: number;
}

export const createNatCounts = (): NatCounts => ({
  bytesUp: 0,
  bytesDown: 0,
  tcpOpened: 0,
  denied: 0,
  udpDatagramsUp: 0,
  udpDatagramsDown: 0,
  udpDropped: 0,
  echoes: 0,
});
