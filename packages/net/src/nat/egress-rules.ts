// What machines may reach: ordered rules, the first that fits decides. A rule by name holds for the addresses that our name server gave for such a name, as long as they live.

import { AnilloError } from '@anillo/base/anillo-error';
import { type IpAddress, IpPrefix } from '../ip-address.ts';

export interface EgressRule {
  readonly action: 'allow' | 'deny';
  /** A name, or `*.example.org` for all below it. */
  readonly name?: string;
  /** An address or a prefix, of the host's world; the gateway's address stands for the host itself. */
  readonly address?: string;
  readonly protocol?: 'tcp' | 'udp' | 'icmp';
  /** First and last. */
  readonly ports?: readonly [number, number];
}

export interface EgressPolicy {
  readonly rules: readonly EgressRule[];
  readonly otherwise: 'allow' | 'deny';
}

interface Rule {
  readonly isAllowed: boolean;
  readonly name: string | undefined;
  readonly prefix: IpPrefix | undefined;
  readonly protocol: EgressRule['protocol'];
  readonly ports: readonly [number, number] | undefined;
}

interface Memory {
  readonly names: Map<string, number>;
}

const ADDRESS_LIMIT = 4096;
const NAMES_PER_ADDRESS = 32;
/** Programs keep addresses a little longer than they should. */
const SHORTEST_LIFE_MS = 60_000;
const LONGEST_LIFE_MS = 86_400_000;

export function canonicalName(name: string): string {
  return name.toLowerCase().replace(/\.$/, '');
}

function fitsName(pattern: string, name: string): boolean {
  return pattern.startsWith('*.') ? name.endsWith(pattern.slice(1)) : pattern === '*' || pattern === name;
}

function compile(rule: EgressRule): Rule {
  const prefix = rule.address === undefined ? undefined : IpPrefix.parse(rule.address);
  if (rule.address !== undefined && prefix === undefined) {
    throw new AnilloError('BAD_OPTION', `'${rule.address}' is no IP address or prefix; write one like 10.0.0.0/8, or give a name.`);
  }
  const name = rule.name === undefined ? undefined : canonicalName(rule.name);
  if (name !== undefined && !/^(\*|(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*)$/.test(name)) {
    throw new AnilloError('BAD_OPTION', `'${rule.name}' is no name for a rule; write one like example.org or *.example.org.`);
  }
  if (rule.ports !== undefined && !(rule.ports[0] >= 0 && rule.ports[0] <= rule.ports[1] && rule.ports[1] <= 65_535)) {
    throw new AnilloError(
      'BAD_OPTION',
      `Ports ${rule.ports.join(' to ')} are no range; give two numbers from 0 to 65535, the smaller first.`,
    );
  }
  return { isAllowed: rule.action === 'allow', name, prefix, protocol: rule.protocol, ports: rule.ports };
}

export class EgressRules {
  #rules: readonly Rule[] = [];
  #isAllowedOtherwise = true;
  /** By address, in the order in which they were heard of. */
  readonly #memory = new Map<string, Memory>();

  constructor(policy?: EgressPolicy) {
    if (policy !== undefined) this.set(policy);
  }

  set(policy: EgressPolicy): void {
    this.#rules = policy.rules.map(compile);
    this.#isAllowedOtherwise = policy.otherwise === 'allow';
  }

  /** Our name server has given this address for that name. */
  remember(name: string, address: IpAddress, lifeSeconds: number, nowMs: number): void {
    const key = address.text;
    let entry = this.#memory.get(key);
    this.#memory.delete(key);
    if (entry === undefined) {
      entry = { names: new Map() };
      if (this.#memory.size >= ADDRESS_LIMIT) {
        const [oldest] = this.#memory.keys();
        this.#memory.delete(oldest);
      }
    }
    this.#memory.set(key, entry);
    const canonical = canonicalName(name);
    if (!entry.names.has(canonical) && entry.names.size >= NAMES_PER_ADDRESS) {
      const [oldest] = entry.names.keys();
      entry.names.delete(oldest);
    }
    const lifeMs = Math.min(LONGEST_LIFE_MS, Math.max(SHORTEST_LIFE_MS, lifeSeconds * 1000));
    entry.names.set(canonical, Math.max(entry.names.get(canonical) ?? 0, nowMs + lifeMs));
  }

  allows(protocol: NonNullable<EgressRule['protocol']>, address: IpAddress, port: number, nowMs: number): boolean {
    for (const rule of this.#rules) {
      if (rule.protocol !== undefined && rule.protocol !== protocol) continue;
      if (rule.ports !== undefined && (protocol === 'icmp' || port < rule.ports[0] || port > rule.ports[1])) continue;
      if (rule.prefix !== undefined && !rule.prefix.contains(address)) continue;
      if (rule.name !== undefined && !this.#isNamed(rule.name, address, nowMs)) continue;
      return rule.isAllowed;
    }
    return this.#isAllowedOtherwise;
  }

  /** May the name be asked for? Not when nothing could come of it: questions carry data out as well. */
  allowsQuestion(name: string): boolean {
    const canonical = canonicalName(name);
    for (const rule of this.#rules) {
      const fits = rule.name === undefined || fitsName(rule.name, canonical);
      if (rule.isAllowed && fits) return true;
      const isWhole = rule.protocol === undefined && rule.ports === undefined && rule.prefix === undefined;
      if (!rule.isAllowed && fits && isWhole) return false;
    }
    return this.#isAllowedOtherwise;
  }

  #isNamed(pattern: string, address: IpAddress, nowMs: number): boolean {
    const entry = this.#memory.get(address.text);
    if (entry === undefined) return false;
    for (const [name, untilMs] of entry.names) if (untilMs >= nowMs && fitsName(pattern, name)) return true;
    return false;
  }
}
