// Answers the machines' questions for names: those of the network itself here, all others by the host's name servers. What it answers is what egress rules by name go by.

import type { Clock } from '../clock.ts';
import type { HostNetwork } from '../host-network.ts';
import { IpAddress } from '../ip-address.ts';
import { write16 } from '../network-order.ts';
import {
  DNS_CODES,
  DNS_TYPES,
  type DnsQuestion,
  type DnsRecord,
  readAddresses,
  readQuestion,
  truncated,
  writeAnswer,
  writeName,
} from './dns-message.ts';
import { canonicalName, type EgressRules } from './egress-rules.ts';

export interface DnsOptions {
  readonly network: HostNetwork;
  readonly clock: Clock;
  readonly rules: EgressRules;
  /** Addresses of a name of this network; undefined: it has no such name. */
  readonly local: (name: string) => readonly IpAddress[] | undefined;
  /** The name of an address of this network. */
  readonly nameOf: (address: IpAddress) => string | undefined;
  /** Is the address one of this network's? */
  readonly isOnLink: (address: IpAddress) => boolean;
}

const PENDING_LIMIT = 256;
const LOCAL_LIFE_SECONDS = 60;
/** What the host's resolver gives has no life that we know. */
const LOOKUP_LIFE_SECONDS = 60;
const REVERSE_V4 = '.in-addr.arpa';
const REVERSE_V6 = '.ip6.arpa';

/** The address whose name is asked for. */
function reverseAddress(name: string): IpAddress | undefined {
  if (name.endsWith(REVERSE_V4)) return IpAddress.parse(name.slice(0, -REVERSE_V4.length).split('.').reverse().join('.'));
  if (!name.endsWith(REVERSE_V6)) return undefined;
  const digits = name.slice(0, -REVERSE_V6.length).split('.').reverse().join('');
  return /^[0-9a-f]{32}$/.test(digits) ? IpAddress.parse(digits.replace(/(....)(?!$)/g, '$1:')) : undefined;
}

export class DnsForwarder {
  readonly #options: DnsOptions;
  #pending = 0;
  questionCount = 0;

  constructor(options: DnsOptions) {
    this.#options = options;
  }

  /** Answers now or later, or not at all. `question` is lent for the call. */
  ask(question: Uint8Array, isTcp: boolean, answer: (bytes: Uint8Array) => void): void {
    const read = readQuestion(question);
    if (read === undefined) return this.#rejectMalformed(question, answer);
    this.questionCount++;
    const reply = (bytes: Uint8Array): void => answer(!isTcp && bytes.length > read.udpBytes ? truncated(kept, read) : bytes);
    const kept = question.slice();
    const own = this.#answerHere(kept, read);
    if (own !== undefined) return reply(own);
    if (!this.#options.rules.allowsQuestion(read.name)) return reply(writeAnswer(kept, read, DNS_CODES.refused, [], false));
    if (this.#pending >= PENDING_LIMIT) return;
    this.#pending++;
    this.#forward(kept, read).then(
      (bytes) => {
        this.#pending--;
        reply(bytes);
      },
      () => {
        this.#pending--;
        reply(writeAnswer(kept, read, DNS_CODES.serverFailure, [], false));
      },
    );
  }

  #rejectMalformed(question: Uint8Array, answer: (bytes: Uint8Array) => void): void {
    if (question.length < 12 || (question[2] & 0x80) !== 0) return;
    const bytes = new Uint8Array(12);
    bytes.set(question.subarray(0, 2));
    bytes[2] = 0x80 | (question[2] & 0x79);
    bytes[3] = 0x80 | DNS_CODES.formatError;
    answer(bytes);
  }

  #answerHere(question: Uint8Array, read: DnsQuestion): Uint8Array | undefined {
    const addresses = this.#options.local(canonicalName(read.name));
    if (addresses !== undefined) {
      const family = read.type === DNS_TYPES.a ? 4 : read.type === DNS_TYPES.aaaa ? 6 : 0;
      const records = addresses
        .filter((address) => address.family === family)
        .map((address): DnsRecord => ({ type: read.type, lifeSeconds: LOCAL_LIFE_SECONDS, data: address.bytes }));
      return writeAnswer(question, read, DNS_CODES.ok, records, true);
    }
    const reverse = read.type === DNS_TYPES.ptr ? reverseAddress(read.name) : undefined;
    if (reverse === undefined || !this.#options.isOnLink(reverse)) return undefined;
    const name = this.#options.nameOf(reverse);
    if (name === undefined) return writeAnswer(question, read, DNS_CODES.noSuchName, [], true);
    return writeAnswer(
      question,
      read,
      DNS_CODES.ok,
      [{ type: DNS_TYPES.ptr, lifeSeconds: LOCAL_LIFE_SECONDS, data: writeName(name) }],
      true,
    );
  }

  async #forward(question: Uint8Array, read: DnsQuestion): Promise<Uint8Array> {
    const { network, clock, rules } = this.#options;
    const answer = await network.query(question.slice());
    if (answer !== undefined && answer.length >= 12) {
      const own = answer.slice();
      write16(own, 0, read.id);
      for (const { bytes, lifeSeconds } of readAddresses(own)) rules.remember(read.name, new IpAddress(bytes), lifeSeconds, clock.nowMs());
      return own;
    }
    if (read.type !== DNS_TYPES.a && read.type !== DNS_TYPES.aaaa) return writeAnswer(question, read, DNS_CODES.serverFailure, [], false);
    const family = read.type === DNS_TYPES.a ? 4 : 6;
    const texts = await network.lookup(read.name, family);
    const records: DnsRecord[] = [];
    for (const text of texts.slice(0, 32)) {
      const address = IpAddress.parse(text);
      if (address === undefined || address.family !== family) continue;
      rules.remember(read.name, address, LOOKUP_LIFE_SECONDS, clock.nowMs());
      records.push({ type: read.type, lifeSeconds: LOOKUP_LIFE_SECONDS, data: address.bytes });
    }
    // A name that has addresses of the other kind only is a name all the same.
    const isName = records.length > 0 || (await network.lookup(read.name, family === 4 ? 6 : 4)).length > 0;
    return writeAnswer(question, read, isName ? DNS_CODES.ok : DNS_CODES.noSuchName, records, false);
  }
}
