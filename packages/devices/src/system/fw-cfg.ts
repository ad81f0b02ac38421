// Firmware configuration device (QEMU, docs/specs/fw_cfg): items by 16-bit selector at ports 0x510 (selector) and 0x511 (data), a directory of named files,
// and DMA at 0x514 (64-bit address, big-endian; the write of the low half starts it). Items are read-only and belong to the board, not to snapshots.

import { gpa } from '@anillo/base/gpa';
import { struct } from '@anillo/base/struct';
import type { GuestMemory } from '@anillo/memory/guest-memory';
import type { AccessBytes, Device, IoRange } from '../device.ts';
import { DeviceState } from '../device-state.ts';

/** Well-known selectors. */
export const FW_CFG_KEYS = {
  signature: 0x00,
  id: 0x01,
  uuid: 0x02,
  ramBytes: 0x03,
  noGraphic: 0x04,
  cpuCount: 0x05,
  machineId: 0x06,
  kernelAddress: 0x07,
  kernelBytes: 0x08,
  kernelCommandLine: 0x09,
  initrdAddress: 0x0a,
  initrdBytes: 0x0b,
  bootDevice: 0x0c,
  numa: 0x0d,
  bootMenu: 0x0e,
  maxCpus: 0x0f,
  kernelEntry: 0x10,
  kernelData: 0x11,
  initrdData: 0x12,
  commandLineAddress: 0x13,
  commandLineBytes: 0x14,
  commandLineData: 0x15,
  setupAddress: 0x16,
  setupBytes: 0x17,
  setupData: 0x18,
  directory: 0x19,
  acpiTables: 0x8000,
  smbiosEntries: 0x8001,
  irq0Override: 0x8002,
  e820: 0x8003,
  hpet: 0x8004,
} as const;

const ascii = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));

const BASE = 0x510;
const OFFSET = { selector: 0, data: 1, dmaHigh: 4, dmaLow: 8 } as const;
const FIRST_FILE = 0x20;
const NAME_BYTES = 56;
const ENTRY_BYTES = 64;
const FEATURES = 3;
const DMA_SIGNATURE = ascii('QEMU CFG');
const DMA = { error: 1, read: 2, skip: 4, select: 8, write: 16 } as const;
/** A transfer goes in pieces, so that a length of 4 GiB does not allocate as much. */
const PIECE_BYTES = 1 << 16;

const STATE = struct({ key: 'u16', offset: 'u32', dmaHigh: 'u32' });

const swap32 = (value: number) => (((value & 0xff) << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0;

export interface FwCfgOptions {
  readonly memory: GuestMemory;
  readonly stateBuffer?: ArrayBufferLike;
}

export class FwCfg implements Device {
  readonly name = 'fw-cfg';
  readonly ports: readonly IoRange[];
  readonly #memory: GuestMemory;
  readonly #state: DeviceState<(typeof STATE)['spec']>;
  readonly #items = new Map<number, Uint8Array>();
  /** Selectors by file name, in the order of adding. */
  readonly #files = new Map<string, number>();

  constructor(options: FwCfgOptions) {
    this.#memory = options.memory;
    this.#state = new DeviceState(STATE, options.stateBuffer);
    this.ports = [
      {
        start: BASE,
        byteCount: 12,
        read: (offset, byteCount) => this.#read(offset, byteCount),
        write: (offset, byteCount, value) => this.#write(offset, byteCount, value),
      },
    ];
    this.set(FW_CFG_KEYS.signature, DMA_SIGNATURE.subarray(0, 4));
    this.setNumber(FW_CFG_KEYS.id, FEATURES, 4);
    this.#buildDirectory();
  }

  /** A numbered item; replaces what was there. */
  set(key: number, bytes: Uint8Array): void {
    this.#items.set(key, bytes);
  }

  /** A little-endian number as an item. */
  setNumber(key: number, value: number, byteCount: 2 | 4 | 8): void {
    const bytes = new Uint8Array(byteCount);
    for (let i = 0; i < byteCount; i++) bytes[i] = Math.floor(value / 256 ** i) % 256;
    this.set(key, bytes);
  }

  /** A named file ("etc/e820"), name of at most 55 ASCII characters; replaces one of that name. */
  add(name: string, bytes: Uint8Array): void {
    const key = this.#files.get(name) ?? FIRST_FILE + this.#files.size;
    this.#files.set(name, key);
    this.#items.set(key, bytes);
    this.#buildDirectory();
  }

  #buildDirectory(): void {
    const bytes = new Uint8Array(4 + this.#files.size * ENTRY_BYTES);
    const data = new DataView(bytes.buffer);
    data.setUint32(0, this.#files.size);
    let at = 4;
    for (const [name, key] of [...this.#files].sort(([a], [b]) => (a < b ? -1 : 1))) {
      data.setUint32(at, this.#items.get(key)?.length ?? 0);
      data.setUint16(at + 4, key);
      bytes.set(ascii(name.slice(0, NAME_BYTES - 1)), at + 8);
      at += ENTRY_BYTES;
    }
    this.#items.set(FW_CFG_KEYS.directory, bytes);
  }

  reset(): void {
    this.#state.clear();
  }

  save(): Uint8Array {
    return this.#state.save();
  }

  restore(state: Uint8Array): void {
    this.#state.restore(state);
  }

  #select(key: number): void {
    const s = this.#state.view;
    s.key = key;
    s.offset = 0;
  }

  #readByte(): number {
    const s = this.#state.view;
    const item = this.#items.get(s.key);
    return item === undefined || s.offset >= item.length ? 0 : item[s.offset++];
  }

  #read(offset: number, byteCount: AccessBytes): number {
    let value = 0;
    for (let i = 0; i < byteCount; i++) {
      const at = offset + i;
      const byte = at === OFFSET.data ? this.#readByte() : at >= OFFSET.dmaHigh ? DMA_SIGNATURE[at - OFFSET.dmaHigh] : 0;
      value |= byte << (i * 8);
    }
    return value >>> 0;
  }

  #write(offset: number, byteCount: AccessBytes, value: number): void {
    const s = this.#state.view;
    if (offset === OFFSET.selector && byteCount === 2) this.#select(value);
    else if (offset === OFFSET.dmaHigh && byteCount === 4) s.dmaHigh = swap32(value);
    else if (offset === OFFSET.dmaLow && byteCount === 4) {
      const address = s.dmaHigh * 4294967296 + swap32(value);
      s.dmaHigh = 0;
      // Beyond 52 bits nothing can be.
      if (address < 2 ** 52) this.#transfer(address);
    }
  }

  /** The control structure: control and selector (32 bits), length (32), address (64), all big-endian; control is 0 at the end, or bit 0 on error. */
  #transfer(at: number): void {
    const s = this.#state.view;
    const command = new DataView(this.#memory.read(gpa(at), 16).buffer);
    const control = command.getUint32(0);
    const length = command.getUint32(4);
    const address = command.getUint32(8) * 4294967296 + command.getUint32(12);
    if ((control & DMA.select) !== 0) this.#select(control >>> 16);
    let result = 0;
    if ((control & DMA.read) !== 0) this.#copyOut(address, length);
    else if ((control & DMA.write) !== 0) result = DMA.error;
    else if ((control & DMA.skip) !== 0) s.offset = Math.min(s.offset + length, this.#items.get(s.key)?.length ?? 0);
    this.#memory.write32(gpa(at), swap32(result));
  }

  /** Item bytes to memory; beyond the item's end zeros, as far as there is memory. */
  #copyOut(address: number, length: number): void {
    const s = this.#state.view;
    const item = this.#items.get(s.key) ?? new Uint8Array(0);
    let done = 0;
    while (done < length) {
      const to = address + done;
      const piece = new Uint8Array(Math.min(PIECE_BYTES, length - done));
      // Outside RAM nothing more can be written: a length of 4 GiB must not keep the machine.
      if (to >= 2 ** 52 || (this.#memory.offsetOf(to, 1, true) < 0 && this.#memory.offsetOf(to + piece.length - 1, 1, true) < 0)) break;
      piece.set(item.subarray(s.offset, s.offset + piece.length));
      this.#memory.write(gpa(to), piece);
      s.offset = Math.min(s.offset + piece.length, item.length);
      done += piece.length;
    }
    s.offset = Math.min(s.offset + (length - done), item.length);
  }
}
