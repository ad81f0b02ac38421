// The servers that guests with a network reach as 10.0.2.2: iperf3, and one that says everything back.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import type { TreeContent } from './guest/debian-tree.ts';
import { installPackages } from './install-packages.ts';

/** For guests. */
export const NETWORK_PROGRAMS: TreeContent = {
  packages: ['iperf3'],
  unused: ['usr/share', 'var', 'etc', 'usr/sbin', 'usr/lib/*/{gconv,perl-base,engines-3}'],
};

const LOOPBACK = '127.0.0.1';
const START_MS = 5000;

export interface NetworkServers {
  /** For the guest's shell. */
  readonly environment: string;
  close(): void;
}

async function listen(server: Server): Promise<number> {
  server.listen(0, LOOPBACK);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listen(server);
  server.close();
  return port;
}

/** Undefined where there is none: then it is not measured. */
async function startIperf(port: number, say: (line: string) => void): Promise<ChildProcess | undefined> {
  const isThere = (): boolean => spawnSync('iperf3', ['--version']).status === 0;
  if (!isThere() && !(installPackages(['iperf3'], say) && isThere())) {
    say('The network is not measured by iperf3: the host has none; install it.');
    return undefined;
  }
  const child = spawn('iperf3', ['-s', '-B', LOOPBACK, '-p', String(port), '--forceflush'], { stdio: ['ignore', 'pipe', 'ignore'] });
  await Promise.race([once(child.stdout, 'data'), new Promise((then) => setTimeout(then, START_MS).unref())]);
  child.stdout.resume();
  return child;
}

export async function startNetworkServers(say: (line: string) => void): Promise<NetworkServers> {
  const port = await freePort();
  const iperf = await startIperf(port, say);
  const echo = createServer({ noDelay: true }, (socket) => socket.on('error', () => socket.destroy()).pipe(socket));
  const echoPort = await listen(echo);
  return {
    environment: `export ECHO_HOST=10.0.2.2 ECHO_PORT=${echoPort} IPERF_PORT=${iperf === undefined ? '' : port}\n`,
    close() {
      iperf?.kill();
      echo.close();
    },
  };
}
