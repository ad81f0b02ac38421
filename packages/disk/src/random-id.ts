// Ids of new images: they tell images apart and are no secrets.

/** A version 4 UUID, in the order in which its text spells it. */
export function randomId(): Uint8Array {
  const id = Uint8Array.from({ length: 16 }, () => Math.floor(Math.random() * 256));
  id[6] = (id[6] & 0x0f) | 0x40;
  id[8] = (id[8] & 0x3f) | 0x80;
  return id;
}
