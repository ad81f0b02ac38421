// `npm run web`: builds the page into build/web and serves it with the default guest. `--port N` (8080), `--host ADDRESS` (127.0.0.1: this machine only).

import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { AnilloError } from '@anillo/base/anillo-error';
import { fetchGuest } from '@anillo/cli/default-guest/fetch-guest';
import { buildWeb } from './build-web.ts';
import { startWebServer, type WebServer } from './web-server.ts';

const ROOT = resolve(import.meta.dirname, '..');

/** AnilloError for what the caller's options got wrong, and where there is no default guest. */
export async function serveWeb(options: { readonly port: number; readonly host?: string }): Promise<WebServer> {
  const { kernelPath, initrd } = await fetchGuest({ onProgress: (line) => process.stderr.write(`anillo: ${line}\n`) });
  const folder = join(ROOT, 'build/web');
  await buildWeb(ROOT, folder);
  const files = { '/guest/kernel': kernelPath, '/guest/initrd': initrd };
  try {
    return await startWebServer({ folder, files, ...options });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new AnilloError('BAD_OPTION', `The page cannot be served on port ${options.port} (${reason}); choose another with --port.`, {
      cause,
    });
  }
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { port: { type: 'string', default: '8080' }, host: { type: 'string' } } });
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 0 || port > 0xffff) {
    process.stderr.write(`"${values.port}" is no port; give a number up to 65535.\n`);
    process.exitCode = 2;
  } else
    try {
      const { url } = await serveWeb({ port, host: values.host });
      process.stdout.write(`Open ${url} in a browser; Ctrl-C ends the server.\n`);
    } catch (error) {
      if (!(error instanceof AnilloError)) throw error;
      process.stderr.write(`${error.message}\n`);
      process.exitCode = 2;
    }
}
