// Two outputs of the workload, item by item ("== name" opens one).

export interface ItemResult {
  readonly name: string;
  readonly lineCount: number;
  /** Lines that differ, missing ones included. */
  readonly differing: number;
  readonly first?: { readonly line: number; readonly host: string; readonly guest: string };
}

const MISSING = '(nothing)';

function itemsOf(output: string): Map<string, readonly string[]> {
  const items = new Map<string, string[]>();
  let current: string[] | undefined;
  for (const line of output.split('\n')) {
    if (line.startsWith('== ')) {
      current = [];
      items.set(line.slice(3), current);
    } else current?.push(line);
  }
  return items;
}

/** Every item of either side; the last one, "end", tells that the workload came to its end. */
export function compareOutputs(host: string, guest: string): readonly ItemResult[] {
  const hostItems = itemsOf(host);
  const guestItems = itemsOf(guest);
  return [...new Set([...hostItems.keys(), ...guestItems.keys(), 'end'])].map((name) => {
    const expected = hostItems.get(name);
    const found = guestItems.get(name);
    if (expected === undefined || found === undefined) {
      const there = (lines: readonly string[] | undefined): string => (lines === undefined ? MISSING : `${lines.length} lines`);
      return { name, lineCount: 0, differing: 1, first: { line: 0, host: there(expected), guest: there(found) } };
    }
    const lineCount = Math.max(expected.length, found.length);
    const different = Array.from({ length: lineCount }, (_, line) => line).filter((line) => expected[line] !== found[line]);
    const [line] = different;
    const first = line === undefined ? undefined : { line: line + 1, host: expected[line] ?? MISSING, guest: found[line] ?? MISSING };
    return { name, lineCount, differing: different.length, first };
  });
}
