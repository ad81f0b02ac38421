// Stack traces of the bundle in terms of the sources, by the source map beside it; looked at only when there is a trace to tell.

import { readFileSync } from 'node:fs';
import { SourceMap } from 'node:module';
import { dirname, resolve } from 'node:path';

/** The error, its trace naming source files where the map of the script knows them. */
export function withSourceLines(error: unknown, script: string): unknown {
  if (!(error instanceof Error) || error.stack === undefined) return error;
  try {
    const map = new SourceMap(JSON.parse(readFileSync(`${script}.map`, 'utf8')));
    error.stack = error.stack.replaceAll(/[^\s(]*anillo\.cjs:(\d+):(\d+)/g, (place, line, column) => {
      const entry = map.findEntry(Number(line) - 1, Number(column) - 1);
      return 'originalSource' in entry
        ? `${resolve(dirname(script), entry.originalSource)}:${entry.originalLine + 1}:${entry.originalColumn + 1}`
        : place;
    });
  } catch {
    // The trace as it is tells enough.
  }
  return error;
}
