// What is measured: something that runs a guest image as a process whose standard output is the guest's first serial port.

export type Architecture = 'amd64' | 'i386';

/** What a guest has besides memory, CPUs and a serial port: disks and a network card on the host's network, by virtio over PCI. Its initial RAM disk has the modules. */
export interface GuestDevices {
  readonly disks: readonly { readonly path: string; readonly format: string }[];
  readonly hasNetwork: boolean;
}

export type GuestImage =
  | { readonly kind: 'linux'; readonly kernelPath: string; readonly initrdPath: string; readonly devices?: GuestDevices }
  /** Ends the machine by isa-debug-exit at port 0xf4. */
  | { readonly kind: 'firmware'; readonly path: string };

export interface Job {
  readonly image: GuestImage;
  /** Anillo's; others have one way only. */
  readonly accel: 'auto' | 'interp';
  /** Anillo's: a folder for what one run keeps for the next; the first run in it is not measured. */
  readonly keepsIn?: string;
  /** Of a process that did it. */
  readonly status: number;
  /** The same work as a script in the image's file system, where it can be done without a guest. */
  readonly hostScript?: string;
}

export interface Contender {
  readonly name: string;
  readonly version: string;
  /** Program and arguments; undefined for what it cannot run. The process ends with the job's status. */
  command(job: Job): readonly string[] | undefined;
}

export const GUEST_MEMORY_MIB = 512;
/**
 * The kernel's first line, of level "notice", comes at once: from there on the host can measure the boot. The kernel's test of its timer is left out,
 * for it panics where the host gives a guest too little time.
 */
export const KERNEL_APPEND = 'console=ttyS0 earlyprintk=ttyS0 loglevel=6 no_timer_check';
export const EXIT_DEVICE = 'isa-debug-exit,iobase=0xf4,iosize=4';
