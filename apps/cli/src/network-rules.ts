// Rules of `allow=` and `deny=`: what a machine may reach, in order; the first that fits decides, and what none fits gets the opposite of the last.

import { AnilloError } from '@anillo/base/anillo-error';
import type { FrameFilterOptions, FrameRule } from '@anillo/net/frame-filter';
import { IpPrefix } from '@anillo/net/ip-address';
import type { EgressPolicy, EgressRule } from '@anillo/net/nat/egress-rules';

export type NetworkRule = EgressRule;

/** `[tcp|udp|icmp:]WHERE[:PORT[-PORT]]`; WHERE is `*`, a name, `*.NAME`, an address or a prefix, in brackets where it has colons. */
export function parseRule(action: 'allow' | 'deny', text: string): NetworkRule {
  const match = /^(?:(tcp|udp|icmp):)?(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5})(?:-(\d{1,5}))?)?$/.exec(text);
  if (match === null)
    throw new AnilloError(
      'BAD_OPTION',
      `"${text}" is no rule; write for example ${action}=*.debian.org, ${action}=tcp:10.0.0.0/8:80-90, ${action}=[fd00::/8] or ${action}=*.`,
    );
  const [, protocol, bracketed, plain, first, last] = match;
  const where = bracketed ?? plain;
  const isAddress = IpPrefix.parse(where) !== undefined;
  if (bracketed !== undefined && !isAddress)
    throw new AnilloError('BAD_OPTION', `"${bracketed}" is no IP address or prefix; write one like fd00::/8.`);
  return {
    action,
    ...(where === '*' ? {} : isAddress ? { address: where } : { name: where }),
    ...(protocol === undefined ? {} : { protocol: protocol as 'tcp' | 'udp' | 'icmp' }),
    ...(first === undefined ? {} : { ports: [Number(first), Number(last ?? first)] as const }),
  };
}

const opposite = (rules: readonly NetworkRule[]): 'allow' | 'deny' => (rules.at(-1)?.action === 'allow' ? 'deny' : 'allow');

export const egressPolicy = (rules: readonly NetworkRule[]): EgressPolicy => ({ rules, otherwise: opposite(rules) });

/** Without these a machine has no network: answers, ARP, neighbour discovery, DHCP. */
const ALWAYS: readonly FrameRule[] = [
  { action: 'allow', direction: 'out' },
  { action: 'allow', etherType: 0x0806 },
  { action: 'allow', protocol: 'icmpv6', destination: 'ff02::/16' },
  { action: 'allow', protocol: 'icmpv6', destination: 'fe80::/10' },
  { action: 'allow', protocol: 'udp', ports: [67, 67] },
  { action: 'allow', protocol: 'udp', ports: [547, 547] },
];

/** For networks on which the machine sends frames as it likes: addresses only, for there is nobody to ask for names. */
export function frameFilter(rules: readonly NetworkRule[]): FrameFilterOptions {
  const own = rules.flatMap((rule): readonly FrameRule[] => {
    const { action, name, address: destination, protocol, ports } = rule;
    if (name !== undefined)
      throw new AnilloError('BAD_OPTION', `A rule by name ("${name}") needs the name server of a user network; give its address here.`);
    const base = { action, direction: 'in', destination, ports: ports && ([...ports] as [number, number]) } as const;
    return protocol === 'icmp'
      ? [
          { ...base, protocol },
          { ...base, protocol: 'icmpv6' },
        ]
      : [{ ...base, protocol }];
  });
  return { rules: [...ALWAYS, ...own], otherwise: opposite(rules) };
}
