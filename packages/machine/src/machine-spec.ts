// What a machine is made of.

import type { Profile } from '@anillo/accel/profile';
import type { Trace } from '@anillo/accel/trace';
import type { BackendsByName } from '@anillo/devices/backends';
import type { CharBackend } from '@anillo/devices/device';
import type { DeviceOptions } from '@anillo/devices/device-declaration';
import type { BoardModel } from './boards/board-model.ts';
import type { BootModule } from './boot/load-plan.ts';

export interface MachineSpec {
  readonly board: BoardModel;
  /** Kernel command line. */
  readonly append?: string;
  /** A firmware image, in place of boot images. */
  readonly bios?: Uint8Array;
  /** See machine-memory.ts. */
  readonly memoryBytes: number;
  readonly cpuModel: string;
  /** The CPU model has long mode. */
  readonly longMode: boolean;
  readonly tscHz: number;
  readonly tier: 'jit' | 'interp';
  /** Default: 1. */
  readonly cpuCount?: number;
  /** A guest that resets ends the machine. */
  readonly noReboot?: boolean;
  /** COM1, COM2...; undefined: present, nothing attached. */
  readonly serial: readonly (CharBackend | undefined)[];
  readonly debugConsole?: CharBackend;
  /** Devices of the catalog. */
  readonly devices?: readonly DeviceOptions[];
  /** What those devices are attached to. */
  readonly backends?: BackendsByName;
  /** Told what the host failed at for a device, and whether the machine pauses for it. */
  readonly onHostFailure?: (sentence: string, isPaused: boolean) => void;
  /** Tells what happens in the machine. */
  readonly trace?: Trace;
  /** Told where host time goes. */
  readonly profile?: Profile;
}

/** What a machine without firmware boots from. */
export interface BootImages {
  readonly kernel?: { readonly bytes: Uint8Array; readonly name: string };
  /** One for Linux; any number for multiboot kernels. */
  readonly initrd?: readonly BootModule[];
  /** Gives the images anew when the machine resets: then they are not kept once they are loaded. AnilloError where they are gone or fit no more. */
  readonly readAgain?: () => BootImages | Promise<BootImages>;
  /** What they themselves say of the command line; that of the machine's maker comes behind it. */
  readonly append?: string;
}
