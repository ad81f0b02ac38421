// The PCI Express capability (PCI Express Base 3.0, 7.8): what a function says of itself and its link, one lane at 2.5 GT/s that is always up but for a port whose
// slot is empty or without power.

import type { ConfigSpace } from './config-space.ts';

const ID = 0x10;
const BYTES = 60;
/** Registers, from the capability's start. */
export const EXPRESS = {
  flags: 0x02,
  deviceCapabilities: 0x04,
  deviceControl: 0x08,
  linkCapabilities: 0x0c,
  linkControl: 0x10,
  linkStatus: 0x12,
  slotCapabilities: 0x14,
  slotControl: 0x18,
  slotStatus: 0x1a,
  linkCapabilities2: 0x2c,
  linkControl2: 0x30,
} as const;
export const LINK = {
  disable: 1 << 4,
  /** Speed 1 (2.5 GT/s), width 1. */
  oneLane: 0x11,
  reportsActive: 1 << 20,
  active: 1 << 13,
} as const;
const FLAGS = { version2: 2, rootPort: 4 << 4, hasSlot: 1 << 8 } as const;
const ROLE_BASED_ERRORS = 1 << 15;
/** Errors reported, relaxed ordering, no snoop, largest read request. */
const DEVICE_CONTROL = { writable: 0x781f, powerOn: 0x2810 } as const;
const LINK_CONTROL = { port: 0xd3, endpoint: 0xcb } as const;
const SPEED_1 = 1;

/** Adds it; returns where it is. `port`: of a port that root complexes have; else of an endpoint. */
export function addExpressCapability(config: ConfigSpace, port?: { readonly number: number }): number {
  const at = config.addCapability(ID, BYTES);
  config.define(at + EXPRESS.flags, FLAGS.version2 | (port === undefined ? 0 : FLAGS.rootPort | FLAGS.hasSlot), 2);
  config.define(at + EXPRESS.deviceCapabilities, ROLE_BASED_ERRORS, 4);
  config.define(at + EXPRESS.deviceControl, DEVICE_CONTROL.powerOn, 2);
  config.allow(at + EXPRESS.deviceControl, DEVICE_CONTROL.writable, 2);
  config.define(at + EXPRESS.linkCapabilities, LINK.oneLane | (port === undefined ? 0 : LINK.reportsActive | (port.number << 24)), 4);
  config.allow(at + EXPRESS.linkControl, port === undefined ? LINK_CONTROL.endpoint : LINK_CONTROL.port, 2);
  config.define(at + EXPRESS.linkStatus, LINK.oneLane, 2);
  config.define(at + EXPRESS.linkCapabilities2, SPEED_1 << 1, 4);
  config.define(at + EXPRESS.linkControl2, SPEED_1, 2);
  return at;
}
