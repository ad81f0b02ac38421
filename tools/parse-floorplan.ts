// Reads the table of packages in ARCHITECTURE.md: `| rank | package | imports | sees Node | holds |`.

export interface Room {
  readonly rank: number;
  /** As in the table: the folder's own name. */
  readonly name: string;
  readonly folder: string;
  readonly packageName: string;
  readonly imports: readonly string[];
  /** npm packages that it may load. */
  readonly libraries: readonly string[];
  readonly seesNode: boolean;
}

const ROW = /^\|\s*(\d)\s*\|\s*`((?:packages|apps)\/[a-z0-9-]+)`\s*\|([^|]*)\|\s*(yes|no)\s*\|/;

/** `runtime` is published under the product's name. */
const packageNameOf = (name: string): string => (name === 'runtime' ? 'anillo' : `@anillo/${name}`);

export function parseFloorplan(markdown: string): readonly Room[] {
  const rooms: Room[] = [];
  for (const line of markdown.split('\n')) {
    const row = ROW.exec(line);
    if (row === null) continue;
    const folder = row[2];
    const name = folder.slice(folder.indexOf('/') + 1);
    const granted = [...row[3].matchAll(/(npm:)?([a-z0-9-]+)/g)];
    rooms.push({
      rank: Number(row[1]),
      name,
      folder,
      packageName: packageNameOf(name),
      imports: granted.filter((grant) => grant[1] === undefined).map((grant) => grant[2]),
      libraries: granted.filter((grant) => grant[1] !== undefined).map((grant) => grant[2]),
      seesNode: row[4] === 'yes',
    });
  }
  return rooms;
}
