// Packets of a socket device (Virtio 1.2, 5.10.6): a header of 44 bytes, and data behind it.

export const PACKET_HEADER_BYTES = 44;

export const OP = { request: 1, response: 2, reset: 3, shutdown: 4, data: 5, creditUpdate: 6, creditRequest: 7 } as const;
export const STREAM = 1;
/** 5.10.6.5: what the sender will not do any more. */
export const SHUTDOWN = { receive: 1, send: 2, both: 3 } as const;

/** CID of the host (5.10.4). */
export const HOST_CID = 2;

export interface PacketHeader {
  sourceCid: number;
  destinationCid: number;
  sourcePort: number;
  destinationPort: number;
  byteCount: number;
  type: number;
  op: number;
  flags: number;
  /** The sender's room for the whole connection, and what has left it so far, modulo 2^32. */
  bufferBytes: number;
  takenBytes: number;
}

/** CIDs are 64 bits; what is above 2^53 is nobody's. */
const readCid = (view: DataView, at: number): number => view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;

export function readPacketHeader(bytes: Uint8Array): PacketHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, PACKET_HEADER_BYTES);
  return {
    sourceCid: readCid(view, 0),
    destinationCid: readCid(view, 8),
    sourcePort: view.getUint32(16, true),
    destinationPort: view.getUint32(20, true),
    byteCount: view.getUint32(24, true),
    type: view.getUint16(28, true),
    op: view.getUint16(30, true),
    flags: view.getUint32(32, true),
    bufferBytes: view.getUint32(36, true),
    takenBytes: view.getUint32(40, true),
  };
}

export function writePacketHeader(header: PacketHeader, bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, PACKET_HEADER_BYTES);
  view.setBigUint64(0, BigInt(header.sourceCid), true);
  view.setBigUint64(8, BigInt(header.destinationCid), true);
  view.setUint32(16, header.sourcePort, true);
  view.setUint32(20, header.destinationPort, true);
  view.setUint32(24, header.byteCount, true);
  view.setUint16(28, header.type, true);
  view.setUint16(30, header.op, true);
  view.setUint32(32, header.flags, true);
  view.setUint32(36, header.bufferBytes, true);
  view.setUint32(40, header.takenBytes, true);
}
