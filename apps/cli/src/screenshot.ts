// `--screenshot FILE[,size=WxH]`: what a machine's display shows, as a PNG.

import { writeFileSync } from 'node:fs';
import { AnilloError } from '@anillo/base/anillo-error';
import type { Display } from 'anillo/display';
import { splitSettings } from './attachment-options.ts';

const USUAL = '1280x800';

/** AnilloError BAD_OPTION. */
export function parseScreenshot(text: string): {
  readonly path: string;
  readonly size: { readonly width: number; readonly height: number };
} {
  const [[first, firstValue], ...settings] = splitSettings(text);
  const path = firstValue === 'on' ? first : `${first}=${firstValue}`;
  const { size = USUAL, ...rest } = Object.fromEntries(settings);
  const match = /^(\d{2,4})x(\d{2,4})$/.exec(size);
  if (path === '' || match === null || Object.keys(rest).length > 0)
    throw new AnilloError('BAD_OPTION', `--screenshot takes a file, and a size of the display: FILE[,size=${USUAL}].`);
  return { path, size: { width: Number(match[1]), height: Number(match[2]) } };
}

/** What became of it, for people. */
export async function writeScreenshot(path: string, display: Display): Promise<string> {
  const shot = display.screenshot({ orLast: true });
  if (shot === undefined) return 'The guest has shown nothing on its display.';
  const { encodePng } = await import('./png.ts');
  try {
    writeFileSync(path, encodePng(shot.width, shot.height, shot.rgba));
    return `The display (${shot.width}x${shot.height}) is in ${path}.`;
  } catch (error) {
    return `${path} cannot be written (${error instanceof Error && 'code' in error ? error.code : error}).`;
  }
}
