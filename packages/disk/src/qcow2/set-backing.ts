// Names another image as the one behind this one.

import { utf8Bytes } from '../text-bytes.ts';
import { EXTENSION, type Extension, serializeHeader } from './header.ts';
import type { Tables } from './tables.ts';

/** AnilloError BAD_OPTION where the name is too long for the header. */
export async function setBackingName(tables: Tables, fileName: string | undefined, format: string | undefined): Promise<void> {
  const { header } = tables;
  const old = { backingFile: header.backingFile, extensions: header.extensions };
  const rest = header.extensions.filter(({ type }) => type !== EXTENSION.backingFormat);
  const named: Extension[] = format === undefined ? [] : [{ type: EXTENSION.backingFormat, data: utf8Bytes(format) }];
  header.backingFile = fileName;
  header.extensions = [...named, ...rest];
  try {
    serializeHeader(header);
  } catch (error) {
    Object.assign(header, old);
    throw error;
  }
  await tables.writeHeader();
}
