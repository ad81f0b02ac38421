// `anillo switch`: a member of a switch that machines share, without a machine of its own. It serves where nobody else does, shows what passes, and gives the switch a router to the host's
// network.

import { AnilloError } from '@anillo/base/anillo-error';
import { CaptureFile } from '@anillo/host-node/capture-file';
import { SharedSwitch } from '@anillo/host-node/shared-switch';
import { createCable, joinPorts } from '@anillo/net/cable';
import { type MachineNetwork, openNetwork } from 'anillo/machine-network';
import { host } from 'anillo/node-host';
import { splitSettings } from './attachment-options.ts';
import { interrupted } from './interrupted.ts';
import { parseNetwork } from './network-settings.ts';
import { optionHelp, parseOptions } from './option-table.ts';

const OPTIONS = {
  net: {
    argument: 'KIND',
    help: "Joins another network to it: user[,hostfwd=tcp::2222-10.0.2.15:22...]\nis a router to the host's, with DHCP; also tap=NAME and the like, as in\n'anillo run --net'.",
  },
  pcap: { argument: 'FILE', help: 'Writes there all that passes while this process serves, for Wireshark.' },
  help: { short: '-h', help: 'This text.' },
} as const;

const HELP = `Usage: anillo switch PATH [OPTION...]

Joins the switch at PATH, a Unix socket, until it is interrupted (Ctrl-C). Machines join it by 'anillo run --net switch=PATH'.

${optionHelp(OPTIONS)}
`;

/** Of the router, which has no need of it. */
const ROUTER_MAC = 0x5255_0a00_0202;

function parse(text: string): ReturnType<typeof parseNetwork> {
  const parsed = parseNetwork(splitSettings(text));
  const [strange] = Object.keys(parsed.rest);
  if (strange !== undefined) throw new AnilloError('BAD_OPTION', `--net has no setting "${strange}"; leave it out.`);
  return parsed;
}

/** Status for the process. */
export async function switchCommand(args: readonly string[]): Promise<number> {
  const [path, ...rest] = args;
  if (path === undefined || args.includes('--help') || args.includes('-h')) {
    process.stdout.write(HELP);
    return 0;
  }
  if (path.startsWith('-')) throw new AnilloError('BAD_OPTION', "'anillo switch' needs the path of the switch before its options.");
  const values = parseOptions('anillo switch', OPTIONS, rest);
  const parsed = values.net === undefined ? undefined : parse(values.net);
  const [outer, inner] = createCable();
  const capture =
    values.pcap === undefined ? undefined : new CaptureFile(values.pcap, (sentence) => process.stderr.write(`anillo: ${sentence}\n`));
  let network: MachineNetwork | undefined;
  let shared: SharedSwitch | undefined;
  try {
    if (parsed !== undefined && host.openSockets !== undefined) {
      network = await openNetwork({ name: 'switch', option: parsed.network, machine: undefined, links: await host.openSockets() });
      joinPorts(outer, network.backend);
    }
    shared = await SharedSwitch.join({ path, port: inner, wanted: [ROUTER_MAC], tap: capture?.addInterface(path) });
    process.stdout.write(`${path}\n`);
    await interrupted();
  } finally {
    shared?.close();
    network?.close();
    capture?.close();
  }
  return 0;
}
