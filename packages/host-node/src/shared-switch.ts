// A switch that several processes share, by the path of a Unix socket. There is no server of its own: whoever comes first serves, the others join by streams of frames, and when the one that
// serves ends, however that is, another serves in its place.
//
//              somebody listens                 the stream ends
//   seeking ----------------------> joined --------------------------> seeking
//      |  nobody does: listens beside the path, and renames onto it
//      `--------------------------> serving --- the path is another's --> seeking
//
// A rename replaces what a process that was killed has left behind. Of two that rename at once the last counts, and the other sees soon that the path is not its own any more.

import { lstatSync, renameSync, rmSync } from 'node:fs';
import * as net from 'node:net';
import { AnilloError } from '@anillo/base/anillo-error';
import { joinPorts } from '@anillo/net/cable';
import type { FramePort } from '@anillo/net/frame-port';
import type { FrameTap } from '@anillo/net/frame-tap';
import { askFor, grant, readText, SwitchHub } from '@anillo/net/switch-hub';
import { type FrameSocket, joinStream } from './frame-socket.ts';
import { networkClock } from './network-clock.ts';

const FIRST_LOOK_MS = 20;
const LOOK_EVERY_MS = 1000;
/** Seeking anew, so that not all of them rename at once. */
const SHORTEST_PAUSE_MS = 5;
const LONGEST_PAUSE_MS = 100;
/** A process that serves may be busy with its own guest. */
const ANSWER_TIMEOUT_MS = 3000;
const FIRST_TRIES = 20;

export interface SharedSwitchOptions {
  readonly path: string;
  /** Joined to the switch. */
  readonly port: FramePort;
  /** Addresses for the card at the port, best first. */
  readonly wanted: readonly number[];
  /** Sees all frames of the switch while this process serves. */
  readonly tap?: FrameTap;
}

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? String(error);

function failure(path: string, cause: unknown): AnilloError {
  return new AnilloError(
    'NETWORK',
    `The switch ${path} cannot be joined (${codeOf(cause)}); give the path of a socket in a folder of yours.`,
    {
      cause,
    },
  );
}

/** Undefined: nothing is there. */
function inodeOf(path: string): number | undefined {
  return lstatSync(path, { throwIfNoEntry: false })?.ino;
}

function connect(path: string): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ path });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(socket);
    });
  });
}

export class SharedSwitch {
  readonly #options: SharedSwitchOptions;
  #mac: number;
  #state: 'seeking' | 'joined' | 'serving' = 'seeking';
  #leave: () => void = () => {};
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  private constructor(options: SharedSwitchOptions) {
    this.#options = options;
    this.#mac = options.wanted[0];
  }

  /** AnilloError NETWORK, FILE. */
  static async join(options: SharedSwitchOptions): Promise<SharedSwitch> {
    const { path } = options;
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found !== undefined && !found.isSocket())
      throw new AnilloError('FILE', `${path} is no socket; give a switch a path where nothing is.`);
    const shared = new SharedSwitch(options);
    for (let tries = 1; !(await shared.#seek(tries === FIRST_TRIES)); tries++) await shared.#pause();
    return shared;
  }

  /** What the card at the port was granted. */
  get mac(): number {
    return this.#mac;
  }

  get isServing(): boolean {
    return this.#state === 'serving';
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#leave();
  }

  #pause(): Promise<void> {
    const pauseMs = SHORTEST_PAUSE_MS + Math.random() * (LONGEST_PAUSE_MS - SHORTEST_PAUSE_MS);
    return new Promise((then) => setTimeout(then, pauseMs));
  }

  /** False: to be tried again. AnilloError where that is of no use, or it is the last time. */
  async #seek(isLast: boolean): Promise<boolean> {
    try {
      return await this.#join(await connect(this.#options.path));
    } catch (error) {
      const isFree = codeOf(error) === 'ENOENT' || codeOf(error) === 'ECONNREFUSED';
      // A switch whose queue is full, or that is just ending.
      if (!isFree && !isLast && (codeOf(error) === 'EAGAIN' || codeOf(error) === 'ECONNRESET')) return false;
      if (!isFree) throw failure(this.#options.path, error);
    }
    try {
      await this.#serve();
      return true;
    } catch (error) {
      throw failure(this.#options.path, error);
    }
  }

  /** Whoever served is gone. */
  #seekAgain(): void {
    this.#state = 'seeking';
    this.#leave = () => {};
    if (this.#isClosed) return;
    this.#timer = setTimeout(
      () => {
        this.#seek(false).then(
          (isFound) => {
            if (!isFound) this.#seekAgain();
            else if (this.#isClosed) this.#leave();
          },
          () => this.#seekAgain(),
        );
      },
      SHORTEST_PAUSE_MS + Math.random() * (LONGEST_PAUSE_MS - SHORTEST_PAUSE_MS),
    );
    this.#timer.unref();
  }

  async #join(socket: net.Socket): Promise<boolean> {
    const answer = Promise.withResolvers<void>();
    const stream = joinStream(socket, this.#options.port, (text) => {
      const said = readText(text);
      if (said === undefined || !('granted' in said)) return;
      this.#mac = said.granted;
      answer.resolve();
    });
    const { wanted } = this.#options;
    stream.say(askFor([...new Set([this.#mac, ...wanted])]));
    const timer = setTimeout(() => answer.resolve(), ANSWER_TIMEOUT_MS);
    const isThere = await Promise.race([answer.promise.then(() => true), stream.ended.then(() => false)]);
    clearTimeout(timer);
    if (!isThere) return false;
    this.#state = 'joined';
    this.#leave = () => stream.close();
    void stream.ended.then(() => this.#seekAgain());
    return true;
  }

  async #serve(): Promise<void> {
    const { path, port, wanted, tap } = this.#options;
    const hub = new SwitchHub(networkClock);
    if (tap !== undefined) hub.network.taps.add(tap);
    const members = new Set<FrameSocket>();
    const server = net.createServer((socket) => this.#admit(socket, hub, members));
    const beside = `${path}.${process.pid.toString(36)}${Math.floor(Math.random() * 46_656).toString(36)}`;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ path: beside }, resolve);
    });
    const inode = inodeOf(beside);
    try {
      renameSync(beside, path);
    } catch (error) {
      server.close();
      rmSync(beside, { force: true });
      throw error;
    }
    this.#mac = hub.claim(this, [...new Set([this.#mac, ...wanted])]);
    const part = joinPorts(port, hub.network.addPort({ name: 'own' }).outer);
    this.#state = 'serving';
    this.#leave = () => {
      clearTimeout(this.#timer);
      server.close();
      for (const member of members) member.close();
      part();
      if (inodeOf(path) === inode) rmSync(path, { force: true });
    };
    this.#watch(inode, FIRST_LOOK_MS);
  }

  #admit(socket: net.Socket, hub: SwitchHub, members: Set<FrameSocket>): void {
    const port = hub.network.addPort();
    const member = joinStream(socket, port.outer, (text) => {
      const said = readText(text);
      if (said !== undefined && 'wanted' in said) member.say(grant(hub.claim(port, said.wanted)));
    });
    members.add(member);
    void member.ended.then(() => {
      members.delete(member);
      hub.network.removePort(port);
      hub.release(port);
    });
  }

  /** Serves only as long as others find it. */
  #watch(inode: number | undefined, afterMs: number): void {
    this.#timer = setTimeout(() => {
      if (inodeOf(this.#options.path) === inode) return this.#watch(inode, Math.min(LOOK_EVERY_MS, afterMs * 2));
      this.#leave();
      this.#seekAgain();
    }, afterMs);
    this.#timer.unref();
  }
}
