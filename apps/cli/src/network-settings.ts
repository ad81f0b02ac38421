// What `--net` and QEMU's `-netdev` say of a network: a kind, and settings that become options of the library. QEMU's words are used where it has any.

import { AnilloError } from '@anillo/base/anillo-error';
import type { GuestForwardOptions } from '@anillo/net/nat/nat-options';
import type { PortForwardOptions } from '@anillo/net/nat/port-forwards';
import type { NetworkSettings, OpenableNetwork, UserNetwork } from 'anillo/network-option';
import { egressPolicy, frameFilter, type NetworkRule, parseRule } from './network-rules.ts';

export type Setting = readonly [key: string, value: string];

export interface ParsedNetwork {
  readonly network: OpenableNetwork;
  readonly id: string | undefined;
  /** For somebody else. */
  readonly rest: Readonly<Record<string, string>>;
}

export function isOn(option: string, key: string, value: string): boolean {
  if (value === 'on' || value === 'off') return value === 'on';
  throw new AnilloError('BAD_OPTION', `${option} takes ${key}=on or ${key}=off, not "${value}".`);
}

/** `[HOST]:PORT`, or a path, which has a slash. `host`: where none is given. */
export function parsePlace(option: string, text: string, host: string): { path: string } | { address: string; port: number } {
  if (text.includes('/')) return { path: text };
  return parseEndpoint(option, text, host);
}

export function parseEndpoint(option: string, text: string, host: string): { address: string; port: number } {
  const match = /^(?:\[([\da-f:.]+)\]|([^:]*)):(\d{1,5})$/i.exec(text);
  if (match === null || Number(match[3]) > 65_535)
    throw new AnilloError(
      'BAD_OPTION',
      `${option}: "${text}" is no address and port; write HOST:PORT, or a path with a slash in it for a Unix socket.`,
    );
  const address = match[1] ?? match[2];
  return { address: address === '' ? host : address, port: Number(match[3]) };
}

const FACTORS = { '': 1, K: 1e3, M: 1e6, G: 1e9 } as const;

/** Bytes a second. */
export function parseRate(option: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)([KMG]?)(bit|B)$/.exec(text);
  if (match === null) throw new AnilloError('BAD_OPTION', `${option}: "${text}" is no rate; write for example 10Mbit or 2MB (a second).`);
  return (Number(match[1]) * FACTORS[match[2] as keyof typeof FACTORS]) / (match[3] === 'bit' ? 8 : 1);
}

/** `[tcp|udp:][ADDRESS]:PORT-[ADDRESS]:PORT`, host first. */
function parseForward(rule: string): PortForwardOptions {
  const match = /^(?:(tcp|udp):)?(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})-(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(rule);
  if (match === null)
    throw new AnilloError(
      'BAD_OPTION',
      `"${rule}" is no port to forward; write for example hostfwd=tcp::2222-:22 (host's port, then the guest's).`,
    );
  const [, protocol = 'tcp', host6, host4, hostPort, guest6, guest4, guestPort] = match;
  const [hostAddress, guest] = [host6 ?? host4, guest6 ?? guest4];
  return {
    protocol: protocol === 'udp' ? 'udp' : 'tcp',
    hostPort: Number(hostPort),
    guestPort: Number(guestPort),
    ...(hostAddress === '' ? {} : { hostAddress }),
    ...(guest === '' ? {} : { guest }),
  };
}

/** `[tcp:]ADDRESS:PORT-tcp:HOST:PORT`: the network's address first. */
function parseGuestForward(rule: string): GuestForwardOptions {
  const match = /^(?:tcp:)?(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})-tcp:(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(rule);
  if (match === null)
    throw new AnilloError(
      'BAD_OPTION',
      `"${rule}" is nothing to lead out; write for example guestfwd=tcp:10.0.2.100:80-tcp:127.0.0.1:8080 (the network's address, then the server's).`,
    );
  const [, own6, own4, port, host6, host4, hostPort] = match;
  return { address: own6 ?? own4, port: Number(port), hostAddress: host6 ?? host4, hostPort: Number(hostPort) };
}

/** QEMU's `net=` may have a mask of dots. */
function parseNet(text: string): string {
  const [address, mask] = text.split('/');
  if (mask === undefined) return `${address}/24`;
  if (!mask.includes('.')) return text;
  const bits = mask.split('.').map((part) => Number(part).toString(2).padStart(8, '0'));
  const ones = bits.join('').indexOf('0');
  return `${address}/${ones < 0 ? 32 : ones}`;
}

type UserOptions = Omit<UserNetwork, 'kind'>;
/** What has been said so far, and for error texts which option says it and by which key. */
interface Said {
  readonly option: string;
  readonly key: string;
  readonly user: UserOptions;
}
type Parse<T> = (value: string, said: Said) => T;

const onOff = (value: string, { option, key }: Said): boolean => isOn(option, key, value);

/** Of every kind of network. */
const COMMON: Readonly<Record<string, Parse<NetworkSettings>>> = {
  mac: (mac) => ({ mac }),
  up: (value, { option }) => ({ upLimit: parseRate(option, value) }),
  down: (value, { option }) => ({ downLimit: parseRate(option, value) }),
  link: (value, said) => ({ isConnected: onOff(value, said) }),
  pcap: (capture) => ({ capture }),
  strict: (value, said) => ({ isStrict: onOff(value, said) }),
};

const v4 =
  (member: 'gateway' | 'nameServer' | 'firstLease'): Parse<UserOptions> =>
  (value, { user }) => ({ ipv4: { ...user.ipv4, [member]: value } });
const v6 =
  (member: 'prefix' | 'gateway' | 'nameServer'): Parse<UserOptions> =>
  (value, { user }) => ({ ipv6: { ...user.ipv6, [member]: value } });

/** Of user networks. */
const USER: Readonly<Record<string, Parse<UserOptions>>> = {
  hostfwd: (value, { user }) => ({ forwards: [...(user.forwards ?? []), parseForward(value)] }),
  guestfwd: (value, { user }) => ({ guestForwards: [...(user.guestForwards ?? []), parseGuestForward(value)] }),
  restrict: (value, said) => ({ isRestricted: onOff(value, said) }),
  net: (value, { user }) => ({ ipv4: { ...user.ipv4, prefix: parseNet(value) } }),
  host: v4('gateway'),
  dns: v4('nameServer'),
  dhcpstart: v4('firstLease'),
  'ipv6-net': v6('prefix'),
  'ipv6-host': v6('gateway'),
  'ipv6-dns': v6('nameServer'),
  ipv4: (value, said) => (onOff(value, said) ? {} : { ipv4: { prefix: false } }),
  ipv6: (value, said) => (onOff(value, said) ? {} : { ipv6: { prefix: false } }),
  hostname: (hostName) => ({ hostName }),
  domainname: (domain) => ({ domain }),
  dnssearch: (value, { user }) => ({ searchDomains: [...(user.searchDomains ?? []), value] }),
  bootfile: (bootFile) => ({ bootFile }),
};

/** `option`: for error texts. */
export function parseSettings(
  option: string,
  place: Exclude<OpenableNetwork, UserNetwork> | 'user',
  settings: readonly Setting[],
): ParsedNetwork {
  let common: NetworkSettings = {};
  let user: UserOptions = {};
  const rules: NetworkRule[] = [];
  const rest: Record<string, string> = {};
  let id: string | undefined;
  for (const [key, value] of settings) {
    const said = { option, key, user };
    if (key === 'id') id = value;
    else if (key === 'allow' || key === 'deny') rules.push(parseRule(key, value));
    else if (Object.hasOwn(COMMON, key)) common = { ...common, ...COMMON[key](value, said) };
    else if (!Object.hasOwn(USER, key)) rest[key] = value;
    else if (place === 'user') user = { ...user, ...USER[key](value, said) };
    else throw new AnilloError('BAD_OPTION', `${option}: ${key}= is for user networks; leave it out.`);
  }
  const ruled = rules.length === 0 ? {} : place === 'user' ? { egress: egressPolicy(rules) } : { filter: frameFilter(rules) };
  return { network: { ...(place === 'user' ? { kind: place, ...user } : place), ...common, ...ruled }, id, rest };
}

/** `user`, `switch=PATH`, `tap=NAME`, `stream=PLACE[,server]` or `dgram=HOST:PORT,to=HOST:PORT`, with settings behind them. */
export function parseNetwork([[kind, where], ...settings]: readonly Setting[]): ParsedNetwork {
  const option = '--net';
  const take = (key: string): string | undefined => settings.find(([name]) => name === key)?.[1];
  const others = (...keys: readonly string[]): readonly Setting[] => settings.filter(([key]) => !keys.includes(key));
  if (kind === 'user' && where === 'on') return parseSettings(option, 'user', settings);
  if (kind === 'switch' && where !== 'on') return parseSettings(option, { kind, path: where }, settings);
  if (kind === 'tap' && where !== 'on') return parseSettings(option, { kind, interfaceName: where }, settings);
  if (kind === 'stream' && where !== 'on') {
    const isServer = isOn(option, 'server', take('server') ?? 'off');
    return parseSettings(option, { kind, place: parsePlace(option, where, '127.0.0.1'), isServer }, others('server'));
  }
  if (kind === 'dgram' && where !== 'on') {
    const remote = parseEndpoint(option, take('to') ?? '', '127.0.0.1');
    return parseSettings(option, { kind, local: parseEndpoint(option, where, '127.0.0.1'), remote }, others('to'));
  }
  throw new AnilloError(
    'BAD_OPTION',
    `--net takes user, switch=PATH, tap=NAME, stream=PATH or HOST:PORT, dgram=HOST:PORT,to=HOST:PORT, or none, not "${where === 'on' ? kind : `${kind}=${where}`}".`,
  );
}
