// QEMU's kinds of `-netdev` (QEMU's documentation, "Network options"): user, tap, socket, stream, dgram.

import { AnilloError } from '@anillo/base/anillo-error';
import type { OpenableNetwork, UserNetwork } from 'anillo/network-option';
import { isOn, type ParsedNetwork, parseEndpoint, parseSettings, type Setting } from '../network-settings.ts';

type Place = Exclude<OpenableNetwork, UserNetwork> | 'user';

/** They say how the host is to do it: here that is as it is. `script` and `downscript` are never run. */
const IGNORED = ['script', 'downscript', 'vhost', 'sndbuf', 'br', 'reconnect', 'reconnect-ms'];

/** Takes settings out of a list. */
class Settings {
  readonly #left: Map<string, string>;
  readonly #option: string;

  constructor(option: string, settings: readonly Setting[]) {
    this.#option = option;
    this.#left = new Map(settings);
  }

  take(key: string): string | undefined {
    const value = this.#left.get(key);
    this.#left.delete(key);
    return value;
  }

  need(key: string): string {
    const value = this.take(key);
    if (value === undefined) throw new AnilloError('BAD_OPTION', `${this.#option} needs ${key}=; add it.`);
    return value;
  }

  /** `NAME.type=inet,NAME.host=,NAME.port=`. */
  inet(name: string, type: string): { address: string; port: number } {
    if (type !== 'inet') throw new AnilloError('UNSUPPORTED', `${this.#option}: ${name}.type=${type} is not there; use inet.`);
    return parseEndpoint(this.#option, `${bracketed(this.need(`${name}.host`))}:${this.need(`${name}.port`)}`, '127.0.0.1');
  }

  without(keys: readonly string[]): readonly Setting[] {
    return [...this.#left].filter(([key]) => !keys.includes(key));
  }
}

const bracketed = (host: string): string => (host.includes(':') ? `[${host}]` : host);

function socketPlace(option: string, settings: Settings): Place {
  const [listen, connect, udp] = [settings.take('listen'), settings.take('connect'), settings.take('udp')];
  if (listen !== undefined) return { kind: 'stream', place: parseEndpoint(option, listen, '0.0.0.0'), isServer: true };
  if (connect !== undefined) return { kind: 'stream', place: parseEndpoint(option, connect, '127.0.0.1') };
  if (udp === undefined)
    throw new AnilloError('UNSUPPORTED', `${option} socket takes listen=, connect= or udp= with localaddr=; give one of them.`);
  const local = parseEndpoint(option, settings.need('localaddr'), '0.0.0.0');
  return { kind: 'dgram', local, remote: parseEndpoint(option, udp, '127.0.0.1') };
}

function streamPlace(option: string, settings: Settings): Place {
  const isServer = isOn(option, 'server', settings.take('server') ?? 'off');
  const type = settings.take('addr.type') ?? 'inet';
  if (type !== 'unix') return { kind: 'stream', place: settings.inet('addr', type), isServer };
  return { kind: 'stream', place: { path: settings.need('addr.path') }, isServer };
}

function placeOf(option: string, kind: string, settings: Settings): Place {
  switch (kind) {
    case 'user':
      return 'user';
    case 'tap':
      return { kind: 'tap', interfaceName: settings.need('ifname') };
    case 'socket':
      return socketPlace(option, settings);
    case 'stream':
      return streamPlace(option, settings);
    case 'dgram':
      return {
        kind: 'dgram',
        local: settings.inet('local', settings.take('local.type') ?? 'inet'),
        remote: settings.inet('remote', settings.take('remote.type') ?? 'inet'),
      };
    default:
      throw new AnilloError('UNSUPPORTED', `${option} ${kind} is not there; use user, tap, socket, stream or dgram.`);
  }
}

export function qemuNetwork(option: string, [[kind], ...words]: readonly Setting[]): ParsedNetwork {
  if (kind === 'user') return parseSettings(option, 'user', words);
  const settings = new Settings(option, words);
  const place = placeOf(option, kind, settings);
  return parseSettings(option, place, settings.without(IGNORED));
}
