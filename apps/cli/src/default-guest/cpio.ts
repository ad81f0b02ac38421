// A cpio archive in the "newc" format, as Linux unpacks it into its first root file system (Documentation/driver-api/early-userspace/buffer-format.rst).

export type CpioEntry =
  | { readonly kind: 'directory'; readonly path: string; readonly mode: number }
  | { readonly kind: 'file'; readonly path: string; readonly mode: number; readonly content: Uint8Array | string }
  | { readonly kind: 'symlink'; readonly path: string; readonly target: string }
  | { readonly kind: 'character-device'; readonly path: string; readonly mode: number; readonly major: number; readonly minor: number };

const TYPE_BITS = { directory: 0o040000, file: 0o100000, symlink: 0o120000, 'character-device': 0o020000 } as const;
const encoder = new TextEncoder();

function contentOf(entry: CpioEntry): Uint8Array {
  if (entry.kind === 'symlink') return encoder.encode(entry.target);
  if (entry.kind !== 'file') return new Uint8Array(0);
  return typeof entry.content === 'string' ? encoder.encode(entry.content) : entry.content;
}

function header(fields: {
  inode: number;
  mode: number;
  links: number;
  byteCount: number;
  major: number;
  minor: number;
  nameBytes: number;
}): Uint8Array {
  const { inode, mode, links, byteCount, major, minor, nameBytes } = fields;
  const values = [inode, mode, 0, 0, links, 0, byteCount, 0, 0, major, minor, nameBytes, 0];
  return encoder.encode(`070701${values.map((value) => value.toString(16).padStart(8, '0')).join('')}`);
}

/** Owner is root and every time is 0, so equal entries give equal bytes. Paths are relative to the root, without a leading slash. */
export function cpio(entries: readonly CpioEntry[]): Uint8Array {
  const parts: Uint8Array[] = [];
  let length = 0;
  const append = (bytes: Uint8Array): void => {
    parts.push(bytes);
    length += bytes.length;
  };
  const align = (): void => append(new Uint8Array(-length & 3));
  const add = (path: string, mode: number, links: number, content: Uint8Array, major: number, minor: number, inode: number): void => {
    const name = encoder.encode(`${path}\0`);
    append(header({ inode, mode, links, byteCount: content.length, major, minor, nameBytes: name.length }));
    append(name);
    align();
    append(content);
    align();
  };
  entries.forEach((entry, index) => {
    const permissions = entry.kind === 'symlink' ? 0o777 : entry.mode;
    const [major, minor] = entry.kind === 'character-device' ? [entry.major, entry.minor] : [0, 0];
    const links = entry.kind === 'directory' ? 2 : 1;
    add(entry.path, TYPE_BITS[entry.kind] | permissions, links, contentOf(entry), major, minor, index + 1);
  });
  add('TRAILER!!!', 0, 1, new Uint8Array(0), 0, 0, 0);
  append(new Uint8Array(-length & 511));
  const archive = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    archive.set(part, at);
    at += part.length;
  }
  return archive;
}
