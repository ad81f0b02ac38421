// Reading a file that the user named by its address: every failure is one sentence.

import { AnilloError } from '@anillo/base/anillo-error';

/** Whole content. `what` names the file's part in the sentence ("kernel"). AnilloError FILE when it cannot be had or is empty. */
export async function fetchFile(url: string, what: string): Promise<Uint8Array> {
  const fail = (reason: string, cause?: unknown): AnilloError => new AnilloError('FILE', `The ${what} ${url} ${reason}.`, { cause });
  let response: Response;
  let bytes: Uint8Array;
  try {
    response = await fetch(url);
    bytes = new Uint8Array(await response.arrayBuffer());
  } catch (cause) {
    throw fail('cannot be fetched; check the address, and that its server allows this page to read it (CORS)', cause);
  }
  if (!response.ok) throw fail(`cannot be fetched (the server answers ${response.status} ${response.statusText}); check the address`);
  if (bytes.length === 0) throw fail('is empty; check the address');
  return bytes;
}
