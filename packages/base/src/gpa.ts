// Branded numbers: an address of one space cannot be passed where another is meant.

declare const brand: unique symbol;
type Brand<T, B extends string> = T & { readonly [brand]: B };

/** Guest-physical address in bytes; at most 52 bits, so a double holds it exactly. */
export type Gpa = Brand<number, 'Gpa'>;
/** Byte offset into the machine's one WebAssembly memory. */
export type HostAddress = Brand<number, 'HostAddress'>;

export const gpa = (address: number): Gpa => address as Gpa;
export const hostAddress = (offset: number): HostAddress => offset as HostAddress;
