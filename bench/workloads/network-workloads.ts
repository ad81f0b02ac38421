// Workloads of a virtio network card on a user network, with servers of the host's behind it (network-servers.ts), whose ports the guest finds in its environment.

import { NOT_SUPPORTED, type Workload } from './workload.ts';

const MIB = 64;
/** Half as fast again as QEMU's. */
const RATE_GOAL = 1 / 1.5;
const PINGS = 300;

/** iperf3 may count some bytes more than it was asked for. */
function iperf(title: string, options: string): Workload {
  return {
    title,
    group: 'network',
    ratioAtMost: RATE_GOAL,
    shell: `[ -z "$IPERF_PORT" ] || iperf3 -c 10.0.2.2 -p $IPERF_PORT ${options} -n ${MIB}M -J >result`,
    verify: `check=${NOT_SUPPORTED}; [ -z "$IPERF_PORT" ] || check=$(awk '/"sum_received"/ { inside = 1 } inside && /"bytes"/ { print $2 + 0 >= ${MIB << 20} ? "whole" : "WRONG:" $2; exit }' result)`,
    expected: 'whole',
  };
}

export const NETWORK_WORKLOADS: Readonly<Record<string, Workload>> = {
  'net-up': iperf(`iperf3, ${MIB} MiB from the guest to the host`, ''),
  'net-down': iperf(`iperf3, ${MIB} MiB from the host to the guest`, '-R'),
  'net-ping': {
    title: `ping of the router, ${PINGS} times`,
    group: 'network',
    ratioAtMost: 1,
    shell: `check=$(ping -A -q -c ${PINGS} 10.0.2.2 | grep -o '${PINGS} packets received')`,
    expected: String(PINGS),
  },
};
