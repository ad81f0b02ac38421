// The one error class. A code is part of the API; the message is one sentence that says how to mend it.
// What a guest does wrong is never thrown: it is a trap, a device status or an exit.

export const ERROR_CODES = {
  BAD_OPTION: 'An option or configuration value is not acceptable.',
  BAD_IMAGE: 'A kernel, initrd or firmware file cannot be used.',
  BAD_MEMORY: 'The memory size is not acceptable or not available.',
  FILE: 'A file of the host cannot be read or written.',
  NETWORK: 'A port or an address of the host cannot be used, or a download failed.',
  UNSUPPORTED: 'The host or this version lacks what was asked for.',
  THREAD: 'A thread of the machine has failed.',
  STATE: 'The operation does not fit the present state of the machine.',
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

/** Thrown for everything that the host, its user or a file got wrong. */
export class AnilloError extends Error {
  readonly code: ErrorCode;
  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'AnilloError';
    this.code = code;
  }
}
