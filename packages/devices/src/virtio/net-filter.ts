// Which frames a driver wants (Virtio 1.2, 5.1.6.5.1 to 5.1.6.5.3): its own address, groups, VLANs, or all.

import { struct } from '@anillo/base/struct';
import { DeviceState } from '../device-state.ts';

export const MAC_BYTES = 6;
/** Of each table; a longer one is as good as all. */
const MOST_ADDRESSES = 64;
const VLANS = 4096;
const VLAN_TYPE = 0x8100;
const TYPE_AT = 12;
const TAG_AT = 14;

const STATE = struct({
  mac: ['u8', MAC_BYTES],
  isPromiscuous: 'u8',
  takesAllGroups: 'u8',
  takesAllOthers: 'u8',
  noGroups: 'u8',
  noOthers: 'u8',
  noBroadcast: 'u8',
  filtersVlans: 'u8',
  otherCount: 'u32',
  groupCount: 'u32',
  others: ['u8', MOST_ADDRESSES * MAC_BYTES],
  groups: ['u8', MOST_ADDRESSES * MAC_BYTES],
  vlans: ['u32', VLANS / 32],
});

/** Switches by the number of their command in the class RX. */
const SWITCHES = ['isPromiscuous', 'takesAllGroups', 'takesAllOthers', 'noGroups', 'noOthers', 'noBroadcast'] as const;

export class NetFilter {
  readonly #state = new DeviceState(STATE);

  /** All is taken until the driver says otherwise. */
  reset(mac: Uint8Array): void {
    this.#state.clear();
    this.#state.view.mac.set(mac);
    this.#state.view.isPromiscuous = 1;
  }

  save(): Uint8Array {
    return this.#state.save();
  }

  restore(state: Uint8Array): void {
    this.#state.restore(state);
  }

  get mac(): Uint8Array {
    return this.#state.view.mac;
  }

  set filtersVlans(filters: boolean) {
    this.#state.view.filtersVlans = filters ? 1 : 0;
  }

  /** False: there is no such switch. */
  setSwitch(command: number, isOn: boolean): boolean {
    const name = SWITCHES[command];
    if (name === undefined) return false;
    this.#state.view[name] = isOn ? 1 : 0;
    return true;
  }

  /** Two tables, each a count and addresses. False: that is none. */
  setTable(data: Uint8Array): boolean {
    const view = new DataView(data.buffer, data.byteOffset, data.length);
    const tables: Uint8Array[] = [];
    let at = 0;
    for (let n = 0; n < 2; n++) {
      if (at + 4 > data.length) return false;
      const byteCount = view.getUint32(at, true) * MAC_BYTES;
      if (at + 4 + byteCount > data.length) return false;
      tables.push(data.subarray(at + 4, at + 4 + byteCount));
      at += 4 + byteCount;
    }
    const s = this.#state.view;
    const [others, groups] = tables;
    const isLong = tables.map((table) => table.length > MOST_ADDRESSES * MAC_BYTES);
    s.otherCount = isLong[0] ? MOST_ADDRESSES + 1 : others.length / MAC_BYTES;
    s.groupCount = isLong[1] ? MOST_ADDRESSES + 1 : groups.length / MAC_BYTES;
    if (!isLong[0]) s.others.set(others);
    if (!isLong[1]) s.groups.set(groups);
    return true;
  }

  setMac(mac: Uint8Array): void {
    this.#state.view.mac.set(mac);
  }

  /** False: there is no such VLAN. */
  setVlan(id: number, isWanted: boolean): boolean {
    if (id >= VLANS) return false;
    const { vlans } = this.#state.view;
    const bit = 1 << (id & 31);
    vlans[id >> 5] = isWanted ? vlans[id >> 5] | bit : vlans[id >> 5] & ~bit;
    return true;
  }

  wants(frame: Uint8Array): boolean {
    const s = this.#state.view;
    if (s.isPromiscuous !== 0) return true;
    if (s.filtersVlans !== 0 && ((frame[TYPE_AT] << 8) | frame[TYPE_AT + 1]) === VLAN_TYPE) {
      const id = ((frame[TAG_AT] & 0x0f) << 8) | frame[TAG_AT + 1];
      if ((s.vlans[id >> 5] & (1 << (id & 31))) === 0) return false;
    }
    if ((frame[0] & 1) === 0) return this.#wantsOther(frame);
    if (frame.subarray(0, MAC_BYTES).every((byte) => byte === 0xff)) return s.noBroadcast === 0;
    return s.noGroups === 0 && (s.takesAllGroups !== 0 || isListed(frame, s.groups, s.groupCount));
  }

  #wantsOther(frame: Uint8Array): boolean {
    const s = this.#state.view;
    if (s.noOthers !== 0) return false;
    return s.takesAllOthers !== 0 || isListed(frame, s.mac, 1) || isListed(frame, s.others, s.otherCount);
  }
}

/** Is the destination in the table, or the table too long to say? */
function isListed(frame: Uint8Array, table: Uint8Array, count: number): boolean {
  if (count * MAC_BYTES > table.length) return true;
  for (let at = 0; at < count * MAC_BYTES; at += MAC_BYTES) {
    let i = 0;
    while (i < MAC_BYTES && frame[i] === table[at + i]) i++;
    if (i === MAC_BYTES) return true;
  }
  return false;
}
