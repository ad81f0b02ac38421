// Numbers of the protocols that are read and written here (IEEE 802, IANA).

export const ETHERNET_BYTES = 14;
/** What follows an Ethernet header is this: its last two bytes. */
export const ETHER_TYPE_OFFSET = 12;
export const ETHER_TYPES = { ipv4: 0x0800, arp: 0x0806, vlan: 0x8100, ipv6: 0x86dd } as const;
export const IP_PROTOCOLS = {
  hopByHop: 0,
  icmp: 1,
  tcp: 6,
  udp: 17,
  routing: 43,
  fragment: 44,
  icmpv6: 58,
  none: 59,
  destination: 60,
} as const;
export const IPV4_BYTES = 20;
export const IPV6_BYTES = 40;
export const UDP_BYTES = 8;
export const TCP_BYTES = 20;
