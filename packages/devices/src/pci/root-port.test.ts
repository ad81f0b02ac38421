import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PciRig } from '../testing/pci-rig.ts';
import { Edu } from '../system/edu.ts';
import { CONFIG } from './config-space.ts';
import { EXPRESS } from './express-capability.ts';
import { SLOT_CONTROL, SLOT_STATUS } from './express-slot.ts';
import { BRIDGE } from './pci-bridge.ts';
import type { BusFunction } from './pci-bus.ts';
import { RootPort } from './root-port.ts';

const AT = 4 << 3;
const MSI = 5;
const EXPRESS_ID = 0x10;
const ON = SLOT_CONTROL.powerIndicatorOn;
const OFF = SLOT_CONTROL.powerOff | SLOT_CONTROL.powerIndicatorOff;
const LISTEN = SLOT_CONTROL.events | SLOT_CONTROL.interrupt | SLOT_CONTROL.linkEvent;

class PortRig extends PciRig {
  readonly port = new RootPort({ place: this.bus, address: AT, busName: 'rp1', slot: 7, port: 1 });
  ejected = 0;
  edu: Edu | undefined;
  #fn: BusFunction | undefined;

  constructor() {
    super();
    this.port.secondaryBus.onEject = () => {
      this.ejected++;
      this.takeOut();
      this.port.removed();
    };
    this.port.reset();
    this.configure(AT, BRIDGE.primary, 0x010100);
    this.configure(AT, BRIDGE.memoryBase, 0x40104000);
    const msi = this.#capability(MSI);
    this.configure(AT, msi + 4, 0xfee00000);
    this.configure(AT, msi + 12, 0x41, 2);
    this.configure(AT, msi + 2, 1, 2);
    this.configure(AT, CONFIG.command, 7, 2);
  }

  #capability(id: number): number {
    let at = this.config(AT, CONFIG.capabilities, 1);
    while (at !== 0 && this.config(AT, at, 1) !== id) at = this.config(AT, at + 1, 1);
    return at;
  }

  /** A register of the PCI Express capability. */
  express(register: number): number {
    return this.config(AT, this.#capability(EXPRESS_ID) + register, 2);
  }

  setExpress(register: number, value: number): void {
    this.configure(AT, this.#capability(EXPRESS_ID) + register, value, 2);
  }

  /** What the slot's status says happened; it is acknowledged. */
  takeEvents(): number {
    const status = this.express(EXPRESS.slotStatus);
    this.setExpress(EXPRESS.slotStatus, status);
    return status;
  }

  putIn(): void {
    this.edu = new Edu({ clock: this.clock, bus: this.port.secondaryBus });
    this.#fn = this.port.secondaryBus.functionAt(0);
  }

  takeOut(): void {
    this.edu?.reset();
    if (this.#fn !== undefined) this.port.secondaryBus.detach(this.#fn);
  }

  get behind(): number {
    return this.bus.readConfigAt(0x100, 0, 4);
  }
}

test('an empty slot without power; a device is announced, gets power, and is there', () => {
  const rig = new PortRig();
  assert.equal(rig.express(EXPRESS.flags), 0x0142);
  assert.equal(rig.config(AT, 0x40, 1), MSI);
  assert.equal((rig.express(EXPRESS.slotCapabilities + 2) << 16) >>> 19, 7 << 0);
  assert.equal(rig.express(EXPRESS.slotControl) & OFF, OFF);
  assert.equal(rig.express(EXPRESS.slotStatus), 0);
  rig.setExpress(EXPRESS.slotControl, OFF | LISTEN);
  rig.putIn();
  rig.port.plugged();
  assert.deepEqual(
    rig.messages.map(({ data, source }) => [data, source]),
    [[0x41, AT]],
  );
  assert.equal(rig.takeEvents(), SLOT_STATUS.button | SLOT_STATUS.presence | SLOT_STATUS.isPresent);
  assert.equal(rig.behind, 0xffffffff, 'no power yet');
  rig.setExpress(EXPRESS.slotControl, ON | LISTEN);
  assert.equal(rig.takeEvents(), SLOT_STATUS.link | SLOT_STATUS.isPresent);
  assert.equal(rig.messages.length, 2);
  assert.equal(rig.express(EXPRESS.linkStatus), 0x2011);
  assert.equal(rig.behind, 0x11e81234);
  assert.equal(rig.bus.readConfigAt(0x108, 0, 4), 0xffffffff, 'one device only');
});

test('its configuration goes on with nothing; a second event before the first is acknowledged sends no second message', () => {
  const rig = new PortRig();
  assert.equal(rig.config(AT, 0x100), 0);
  rig.setExpress(EXPRESS.slotControl, ON | LISTEN);
  rig.putIn();
  rig.port.plugged();
  rig.port.unplug();
  assert.equal(rig.messages.length, 1);
  rig.takeEvents();
  rig.port.unplug();
  assert.equal(rig.messages.length, 2);
});

/** A device that the guest uses, with its window at 0x40000000. */
function running(): PortRig {
  const rig = new PortRig();
  rig.putIn();
  rig.port.reset();
  rig.configure(AT, BRIDGE.primary, 0x010100);
  rig.configure(AT, BRIDGE.memoryBase, 0x40104000);
  rig.configure(AT, CONFIG.command, 7, 2);
  rig.setExpress(EXPRESS.slotControl, ON | LISTEN);
  rig.bus.writeConfigAt(0x100, CONFIG.bar, 4, 0x40000000);
  rig.bus.writeConfigAt(0x100, CONFIG.command, 2, 6);
  rig.messages.length = 0;
  return rig;
}

test('a device that was there at the start has power, its requests its own number', () => {
  const rig = running();
  assert.equal(rig.memory.read(0x40000000, 4), 0x010000ed);
  const sources: number[] = [];
  rig.bus.remapper = { translateDma: (source) => void sources.push(source) };
  for (const [offset, value] of [
    [0x80, 0x1000],
    [0x88, 0x40000],
    [0x90, 4],
    [0x98, 1],
  ])
    rig.memory.write(0x40000000 + offset, 4, value);
  rig.advance(1e6);
  assert.deepEqual([...new Set(sources)], [0x100]);
});

test('the guest lets go of what it was asked for by switching power and indicator off, and of nothing that it was not asked for', () => {
  const rig = running();
  rig.setExpress(EXPRESS.slotControl, OFF | LISTEN);
  assert.equal(rig.ejected, 0);
  assert.equal(rig.behind, 0xffffffff);
  assert.equal(rig.memory.read(0x40000000, 4), 0xffffffff);
  rig.setExpress(EXPRESS.slotControl, ON | LISTEN);
  assert.equal(rig.behind, 0x11e81234);
  assert.equal(rig.bus.readConfigAt(0x100, CONFIG.command, 2), 0, 'it lost its state with its power');
  rig.takeEvents();
  rig.port.unplug();
  assert.equal(rig.takeEvents() & SLOT_STATUS.button, SLOT_STATUS.button);
  // It blinks for some seconds, in which a second press would call it off.
  rig.setExpress(EXPRESS.slotControl, SLOT_CONTROL.powerIndicatorBlinks | LISTEN);
  rig.port.unplug();
  assert.equal(rig.express(EXPRESS.slotStatus) & SLOT_STATUS.button, 0);
  rig.setExpress(EXPRESS.slotControl, SLOT_CONTROL.powerIndicatorBlinks | SLOT_CONTROL.powerOff | LISTEN);
  assert.equal(rig.ejected, 0);
  rig.setExpress(EXPRESS.slotControl, OFF | LISTEN);
  assert.equal(rig.ejected, 1);
  assert.equal(rig.express(EXPRESS.slotStatus) & SLOT_STATUS.isPresent, 0);
  // And again.
  rig.putIn();
  rig.port.plugged();
  rig.setExpress(EXPRESS.slotControl, ON | LISTEN);
  assert.equal(rig.behind, 0x11e81234);
});

test('a slot that the guest has switched off already gives its device away at once', () => {
  const rig = running();
  rig.setExpress(EXPRESS.slotControl, OFF | LISTEN);
  rig.port.unplug();
  assert.equal(rig.ejected, 1);
  assert.equal(rig.express(EXPRESS.slotStatus) & SLOT_STATUS.button, 0);
});

test('a device that is pulled out is gone at once, and the guest is told by the link', () => {
  const rig = running();
  rig.takeOut();
  rig.port.removed();
  assert.equal(rig.pirqs, 1);
  assert.equal(rig.takeEvents(), SLOT_STATUS.presence | SLOT_STATUS.link);
  assert.equal(rig.behind, 0xffffffff);
  assert.equal(rig.memory.read(0x40000000, 4), 0xffffffff);
  assert.equal(rig.express(EXPRESS.linkStatus), 0x0011);
});

test('without messages the events are the level of a pin', () => {
  const rig = running();
  rig.port.reset();
  rig.setExpress(EXPRESS.slotControl, ON | LISTEN);
  assert.equal(rig.pirqs, 0);
  rig.port.unplug();
  assert.equal(rig.pirqs, 1);
  rig.takeEvents();
  assert.equal(rig.pirqs, 0);
  assert.equal(rig.messages.length, 0);
});
