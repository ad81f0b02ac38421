// A small static server for the page: the files of a folder, and named ones. Its headers isolate the page (COOP and COEP), without which browsers give
// neither shared memory nor clocks finer than 100 microseconds.

import { createReadStream, statSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.map': 'application/json',
  '.css': 'text/css; charset=utf-8',
};

const HEADERS = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cache-Control': 'no-cache',
  'X-Content-Type-Options': 'nosniff',
};

export interface WebServerOptions {
  readonly folder: string;
  /** Beside the folder's: path on the server -> file on disk, or its bytes. */
  readonly files: Readonly<Record<string, string | Uint8Array>>;
  /** Default: 127.0.0.1, for this machine only. */
  readonly host?: string;
  /** 0: any that is free. */
  readonly port: number;
}

export interface WebServer {
  readonly url: string;
  close(): Promise<void>;
}

function sendFile(response: ServerResponse, path: string): void {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isFile() !== true) {
    response.writeHead(404, { ...HEADERS, 'Content-Type': 'text/plain' }).end('not found\n');
    return;
  }
  const type = TYPES[extname(path)] ?? 'application/octet-stream';
  response.writeHead(200, { ...HEADERS, 'Content-Type': type, 'Content-Length': found.size });
  createReadStream(path).pipe(response);
}

/** Listens when it resolves; rejects with the system's error (EADDRINUSE...). */
export async function startWebServer({ folder, files, host = '127.0.0.1', port }: WebServerOptions): Promise<WebServer> {
  const server = createServer((request, response) => {
    // Parsing takes the dots out of the path; what is escaped in it is no path of ours.
    const pathname = URL.parse(request.url ?? '/', 'http://server')?.pathname;
    if (pathname === undefined) {
      response.writeHead(400, HEADERS).end();
      return;
    }
    const path = pathname.endsWith('/') ? `${pathname}index.html` : pathname;
    const file = Object.hasOwn(files, path) ? files[path] : join(folder, normalize(path));
    if (request.method !== 'GET' && request.method !== 'HEAD') response.writeHead(405, HEADERS).end();
    else if (typeof file === 'string') sendFile(response, file);
    else response.writeHead(200, { ...HEADERS, 'Content-Type': 'application/octet-stream', 'Content-Length': file.length }).end(file);
  });
  await new Promise<void>((done, fail) => {
    server.on('error', fail);
    server.listen(port, host, done);
  });
  const { port: actual } = server.address() as AddressInfo;
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${actual}/`,
    close: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
}
