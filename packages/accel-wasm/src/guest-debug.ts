// Debugger's view of a vCPU that is not running.

import type { VcpuDebug } from '@anillo/accel/accelerator';
import { gpa } from '@anillo/base/gpa';
import { ACCESS, type GuestCpu, type Translation } from '@anillo/ir/frontend';
import type { VcpuHeader } from '@anillo/ir/vcpu-header';
import type { GuestMemory } from '@anillo/memory/guest-memory';
import type { Watchpoints, WatchKind } from './watchpoints.ts';

export interface GuestDebugParts {
  readonly cpu: GuestCpu;
  readonly view: ReturnType<typeof VcpuHeader.view>;
  readonly memory: GuestMemory;
  readonly breakpoints: Set<bigint>;
  readonly watchpoints: Watchpoints;
  /** Registers or memory behind translations have changed. */
  readonly changed: () => void;
}

export class GuestDebug implements VcpuDebug {
  readonly #p: GuestDebugParts;

  constructor(parts: GuestDebugParts) {
    this.#p = parts;
  }

  get architecture(): string {
    return this.#p.cpu.architecture;
  }
  readRegister(name: string): Uint8Array | undefined {
    return this.#p.cpu.readRegister(name);
  }
  writeRegister(name: string, bytes: Uint8Array): boolean {
    const done = this.#p.cpu.writeRegister(name, bytes);
    if (done) this.#p.changed();
    return done;
  }

  /** Guest-physical address of a linear one, without disturbing the guest's fault state. */
  #physical(linear: bigint): number {
    const into: Translation = { gpa: 0, grants: 0, pageBytes: 4096, isGlobal: false };
    const { view } = this.#p;
    const saved = [view.accessAddress, view.trapped, view.trapCode] as const;
    view.accessAddress = BigInt.asUintN(64, linear);
    const ok = this.#p.cpu.probe(ACCESS.READ, into);
    [view.accessAddress, view.trapped, view.trapCode] = saved;
    return ok ? into.gpa : -1;
  }

  #eachPage(linear: bigint, byteCount: number, visit: (physical: number, from: number, count: number) => void): boolean {
    for (let done = 0; done < byteCount; ) {
      const address = linear + BigInt(done);
      const count = Math.min(byteCount - done, 4096 - Number(address & 0xfffn));
      const physical = this.#physical(address);
      if (physical < 0) return false;
      visit(physical, done, count);
      done += count;
    }
    return true;
  }
  readMemory(linear: bigint, byteCount: number): Uint8Array | undefined {
    const out = new Uint8Array(byteCount);
    const ok = this.#eachPage(linear, byteCount, (physical, from, count) => out.set(this.#p.memory.read(gpa(physical), count), from));
    return ok ? out : undefined;
  }
  writeMemory(linear: bigint, bytes: Uint8Array): boolean {
    return this.#eachPage(linear, bytes.length, (physical, from, count) =>
      this.#p.memory.write(gpa(physical), bytes.subarray(from, from + count)),
    );
  }
  setBreakpoint(linear: bigint): void {
    this.#p.breakpoints.add(BigInt.asUintN(64, linear));
    this.#p.changed();
  }
  clearBreakpoint(linear: bigint): void {
    this.#p.breakpoints.delete(BigInt.asUintN(64, linear));
    this.#p.changed();
  }
  setWatchpoint(linear: bigint, byteCount: number, kind: WatchKind): void {
    this.#p.watchpoints.add(BigInt.asUintN(64, linear), byteCount, kind);
    this.#p.view.hostWalks = 1;
    this.#p.changed();
  }
  clearWatchpoint(linear: bigint, byteCount: number, kind: WatchKind): void {
    this.#p.watchpoints.remove(BigInt.asUintN(64, linear), byteCount, kind);
    this.#p.view.hostWalks = this.#p.watchpoints.isActive ? 1 : 0;
    this.#p.changed();
  }
}
