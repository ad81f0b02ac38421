// What a driver asks of a network device over its control queue (Virtio 1.2, 5.1.6.5): a class, a command, data; answered with a byte.

import type { Chain } from './chain.ts';
import { gather, scatter } from './chain.ts';
import { MAC_BYTES, type NetFilter } from './net-filter.ts';

const CLASS = { receive: 0, mac: 1, vlan: 2, announce: 3, queues: 4, offloads: 5 } as const;
const MAC_COMMAND = { table: 0, address: 1 } as const;
const VLAN_COMMAND = { add: 0, remove: 1 } as const;
const ANSWER = { ok: 0, error: 1 } as const;
const HEAD_BYTES = 2;
const LONGEST_COMMAND = 64 * 1024;

export interface NetCommands {
  readonly filter: NetFilter;
  macChanged(): void;
  /** The driver has announced itself. */
  announced(): void;
  /** False: there are not so many. */
  setPairs(count: number): boolean;
  /** What frames may still have to be done when they arrive, as feature bits of the first word and the second. False: that was not agreed. */
  setOffloads(low: number, high: number): boolean;
}

/** Does what it says, and answers; text: the chain is no command at all. */
export function answerCommand(chain: Chain, commands: NetCommands): string | undefined {
  if (chain.readableBytes < HEAD_BYTES || chain.writableBytes < 1) return 'a network command without a head or a place for the answer';
  const bytes = new Uint8Array(Math.min(chain.readableBytes, LONGEST_COMMAND));
  gather(chain.readable, 0, bytes);
  const isDone = chain.readableBytes <= LONGEST_COMMAND && perform(bytes[0], bytes[1], bytes.subarray(HEAD_BYTES), commands);
  scatter(chain.writable, 0, Uint8Array.of(isDone ? ANSWER.ok : ANSWER.error));
  return undefined;
}

function perform(kind: number, command: number, data: Uint8Array, commands: NetCommands): boolean {
  const { filter } = commands;
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  switch (kind) {
    case CLASS.receive:
      return data.length >= 1 && filter.setSwitch(command, data[0] !== 0);
    case CLASS.mac:
      if (command === MAC_COMMAND.table) return filter.setTable(data);
      if (command !== MAC_COMMAND.address || data.length < MAC_BYTES) return false;
      filter.setMac(data.subarray(0, MAC_BYTES));
      commands.macChanged();
      return true;
    case CLASS.vlan:
      return data.length >= 2 && command <= VLAN_COMMAND.remove && filter.setVlan(view.getUint16(0, true), command === VLAN_COMMAND.add);
    case CLASS.announce:
      if (command !== 0) return false;
      commands.announced();
      return true;
    case CLASS.queues:
      return command === 0 && data.length >= 2 && commands.setPairs(view.getUint16(0, true));
    case CLASS.offloads:
      return command === 0 && data.length >= 8 && commands.setOffloads(view.getUint32(0, true), view.getUint32(4, true));
    default:
      return false;
  }
}
