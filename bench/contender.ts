// What is measured: something that runs a guest image as a process whose standard output is the guest's first serial port.

export type GuestImage =
  | { readonly kind: 'linux'; readonly kernelPath: string; readonly initrdPath: string }
  /** Ends the machine by isa-debug-exit at port 0xf4. */
  | { readonly kind: 'firmware'; readonly path: string };

export interface Contender {
  readonly name: string;
  readonly version: string;
  /** Program and arguments. The process ends with status 0 when Linux powers off, 1 when the firmware is done. */
  command(image: GuestImage): readonly string[];
}

export const GUEST_MEMORY_MIB = 512;
/** The kernel's first line, of level "notice", comes at once: from there on the host can measure the boot. */
export const KERNEL_APPEND = 'console=ttyS0 earlyprintk=ttyS0 loglevel=6';
export const EXIT_DEVICE = 'isa-debug-exit,iobase=0xf4,iosize=4';
