import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeviceRig } from '../testing/device-rig.ts';
import { ACPI_PM, AcpiPm, PM_TIMER_HZ } from './acpi-pm.ts';

class Rig extends DeviceRig {
  readonly sci = this.lines[9];
  sleeps: number[] = [];
  wakes = 0;
  readonly pm = this.plug(
    new AcpiPm({
      clock: this.clock,
      control: this.control,
      sci: this.sci,
      onSleep: (type) => this.sleeps.push(type),
      onWake: () => this.wakes++,
    }),
  );

  enableAcpi(): void {
    this.out8(ACPI_PM.smiCommandPort, ACPI_PM.acpiEnable);
  }

  in16(port: number): number {
    return this.io.read(port, 2);
  }

  out16(port: number, value: number): void {
    this.io.write(port, 2, value);
  }
}

test('the PM timer counts at 3.579545 MHz in 32 bits', () => {
  const rig = new Rig();
  rig.advance(1e9);
  assert.equal(rig.io.read(ACPI_PM.timerPort, 4), PM_TIMER_HZ);
  rig.advance(1200e9);
  assert.equal(rig.io.read(ACPI_PM.timerPort, 4), (PM_TIMER_HZ * 1201) % 2 ** 32);
});

test('the SMI command port switches SCI_EN', () => {
  const rig = new Rig();
  assert.equal(rig.in16(ACPI_PM.controlPort) & 1, 0);
  rig.enableAcpi();
  assert.equal(rig.in16(ACPI_PM.controlPort) & 1, 1);
  rig.out16(ACPI_PM.controlPort, 0);
  assert.equal(rig.in16(ACPI_PM.controlPort) & 1, 1, 'only the SMI switches it');
  rig.out8(ACPI_PM.smiCommandPort, ACPI_PM.acpiDisable);
  assert.equal(rig.in16(ACPI_PM.controlPort) & 1, 0);
});

test('power button: status, enable, SCI, write one to clear', () => {
  const rig = new Rig();
  rig.enableAcpi();
  rig.pm.pressPowerButton();
  assert.equal(rig.sci.level, false);
  rig.out16(ACPI_PM.eventPort + 2, 0x100);
  assert.equal(rig.sci.level, true);
  assert.equal(rig.in16(ACPI_PM.eventPort), 0x100);
  rig.out16(ACPI_PM.eventPort, 0x20);
  assert.equal(rig.sci.level, true);
  rig.out16(ACPI_PM.eventPort, 0x100);
  assert.equal(rig.sci.level, false);
});

test('a general-purpose event asserts the SCI too, byte by byte', () => {
  const rig = new Rig();
  rig.enableAcpi();
  rig.out8(ACPI_PM.gpe0Port + 3, 0x02);
  rig.pm.raiseGpe(9);
  assert.equal(rig.in8(ACPI_PM.gpe0Port + 1), 0x02);
  assert.equal(rig.sci.level, true);
  rig.out8(ACPI_PM.gpe0Port + 1, 0x02);
  assert.equal(rig.sci.level, false);
});

test('the timer status comes with the top bit and interrupts', () => {
  const rig = new Rig();
  rig.enableAcpi();
  rig.out16(ACPI_PM.eventPort + 2, 1);
  rig.advance((2 ** 31 / PM_TIMER_HZ) * 1e9 - 1e6);
  assert.equal(rig.sci.level, false);
  rig.advance(2e6);
  assert.equal(rig.sci.level, true);
  rig.out16(ACPI_PM.eventPort, 1);
  assert.equal(rig.sci.level, false);
});

test('S5 powers off, other types are told; 0xcf9 resets on bit 2', () => {
  const rig = new Rig();
  rig.out16(ACPI_PM.controlPort, 1 << 10);
  assert.deepEqual(rig.control.log, []);
  rig.out16(ACPI_PM.controlPort, 0x2000 | (1 << 10));
  assert.deepEqual(rig.sleeps, [1]);
  rig.out16(ACPI_PM.controlPort, 0x2000 | (ACPI_PM.sleepTypeS5 << 10));
  rig.out8(ACPI_PM.resetPort, 2);
  assert.equal(rig.in8(ACPI_PM.resetPort), 2);
  assert.deepEqual(rig.control.log, ['off 0']);
  rig.out8(ACPI_PM.resetPort, ACPI_PM.resetValue);
  assert.deepEqual(rig.control.log, ['off 0', 'reset']);
});

test('S3 ends with an enabled wake event or the power button, and says so', () => {
  const rig = new Rig();
  const sleep = (): void => rig.out16(ACPI_PM.controlPort, 0x2000 | (ACPI_PM.sleepTypeS3 << 10));
  sleep();
  rig.pm.raiseRtcAlarm();
  assert.equal(rig.wakes, 0);
  rig.out16(ACPI_PM.eventPort + 2, 0x400);
  assert.equal(rig.wakes, 1);
  assert.equal(rig.in16(ACPI_PM.eventPort), 0x8400);
  rig.out16(ACPI_PM.eventPort, 0x8400);
  rig.pm.raiseRtcAlarm();
  assert.equal(rig.wakes, 1, 'nobody sleeps');
  rig.out16(ACPI_PM.eventPort, 0x8400);
  sleep();
  rig.pm.pressPowerButton();
  assert.equal(rig.wakes, 2);
});

test('a snapshot keeps a pending button', () => {
  const rig = new Rig();
  rig.enableAcpi();
  rig.out16(ACPI_PM.eventPort + 2, 0x100);
  rig.pm.pressPowerButton();
  const state = rig.pm.save();
  rig.pm.reset();
  assert.equal(rig.sci.level, false);
  rig.pm.restore(state);
  assert.equal(rig.sci.level, true);
});
