// Calls that Node has no name for, by node:ffi. It is experimental, and absent from some builds: whoever uses this has another way, or a sentence to say.

interface Libc {
  open(path: string, flags: number): number;
  close(fd: number): number;
  /** `argument`: lent for the call. */
  ioctl(fd: number, request: number, argument: Uint8Array): number;
  ioctlNumber(fd: number, request: number, argument: number): number;
  fcntl(fd: number, command: number, argument: number): number;
  read(fd: number, into: Uint8Array): number;
  write(fd: number, from: Uint8Array): number;
  socket(domain: number, type: number, protocol: number): number;
  sendto(fd: number, bytes: Uint8Array, address: Uint8Array): number;
  recv(fd: number, into: Uint8Array, flags: number): number;
  /** `address`: room for one, filled. */
  recvfrom(fd: number, into: Uint8Array, flags: number, address: Uint8Array): number;
  bind(fd: number, address: Uint8Array): number;
  setsockopt(fd: number, level: number, name: number, value: number): number;
}

export type LinuxLibc = Libc;

type Ffi = typeof import('node:ffi');

/** Loading it warns that it is experimental: our users cannot do anything about that. */
function loadFfi(): Ffi | undefined {
  const { emitWarning } = process;
  process.emitWarning = () => undefined;
  try {
    return process.getBuiltinModule('node:ffi') as Ffi | undefined;
  } catch {
    return undefined;
  } finally {
    process.emitWarning = emitWarning;
  }
}

const ENDS_TEXT = '\0';

/** Undefined: not Linux, or a Node without foreign functions. */
export function loadLinuxLibc(): LinuxLibc | undefined {
  const ffi = process.platform === 'linux' ? loadFfi() : undefined;
  if (ffi === undefined) return undefined;
  try {
    const { functions } = ffi.dlopen(null, {
      open: { arguments: ['pointer', 'i32'], return: 'i32' },
      close: { arguments: ['i32'], return: 'i32' },
      ioctl: { arguments: ['i32', 'u64', 'pointer'], return: 'i32' },
      fcntl: { arguments: ['i32', 'i32', 'i64'], return: 'i32' },
      read: { arguments: ['i32', 'pointer', 'u64'], return: 'i64' },
      write: { arguments: ['i32', 'pointer', 'u64'], return: 'i64' },
      socket: { arguments: ['i32', 'i32', 'i32'], return: 'i32' },
      sendto: { arguments: ['i32', 'pointer', 'u64', 'i32', 'pointer', 'u32'], return: 'i64' },
      recv: { arguments: ['i32', 'pointer', 'u64', 'i32'], return: 'i64' },
      recvfrom: { arguments: ['i32', 'pointer', 'u64', 'i32', 'pointer', 'pointer'], return: 'i64' },
      bind: { arguments: ['i32', 'pointer', 'u32'], return: 'i32' },
      setsockopt: { arguments: ['i32', 'i32', 'i32', 'pointer', 'u32'], return: 'i32' },
    });
    return {
      open: (path, flags) => functions.open(Buffer.from(path + ENDS_TEXT), flags),
      close: (fd) => functions.close(fd),
      ioctl: (fd, request, argument) => functions.ioctl(fd, BigInt(request), argument),
      ioctlNumber: (fd, request, argument) => functions.ioctl(fd, BigInt(request), BigInt(argument)),
      fcntl: (fd, command, argument) => functions.fcntl(fd, command, BigInt(argument)),
      read: (fd, into) => Number(functions.read(fd, into, BigInt(into.length))),
      write: (fd, from) => Number(functions.write(fd, from, BigInt(from.length))),
      socket: (domain, type, protocol) => functions.socket(domain, type, protocol),
      sendto: (fd, bytes, address) => Number(functions.sendto(fd, bytes, BigInt(bytes.length), 0, address, address.length)),
      recv: (fd, into, flags) => Number(functions.recv(fd, into, BigInt(into.length), flags)),
      recvfrom: (fd, into, flags, address) =>
        Number(functions.recvfrom(fd, into, BigInt(into.length), flags, address, Uint32Array.of(address.length))),
      bind: (fd, address) => functions.bind(fd, address, address.length),
      setsockopt: (fd, level, name, value) => functions.setsockopt(fd, level, name, Int32Array.of(value), 4),
    };
  } catch {
    return undefined;
  }
}
