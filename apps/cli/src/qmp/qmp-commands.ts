// The commands of QMP (QEMU's machine protocol) that there are: each with the arguments that it takes, and what it does with the machine.

import { AnilloError } from '@anillo/base/anillo-error';
import type { DeviceOptions, GivenProperty } from '@anillo/devices/device-declaration';
import type { Machine } from 'anillo';
import { qemuNetwork } from '../qemu/qemu-network.ts';
import { VERSION } from '../version.ts';

export type QmpMachine = Pick<Machine, 'state' | 'pause' | 'resume' | 'stop' | 'reset' | 'powerButton' | 'attach' | 'hotPlug'>;
export type QmpArguments = Readonly<Record<string, unknown>>;

export interface QmpContext {
  readonly machine: QmpMachine;
  /** Tells all that listen. */
  event(name: string, data?: object): void;
}

type ArgumentKind = 'text' | 'switch' | 'any';

export interface QmpCommand {
  /** "?": may be absent. Absent: anything is taken, and looked at by the command itself. */
  readonly takes?: Readonly<Record<string, ArgumentKind | `${ArgumentKind}?`>>;
  run(context: QmpContext, args: QmpArguments): unknown;
}

/** An answer in QMP's own terms. */
export class QmpError extends Error {
  readonly errorClass: 'GenericError' | 'CommandNotFound' | 'DeviceNotFound';

  constructor(errorClass: QmpError['errorClass'], message: string) {
    super(message);
    this.errorClass = errorClass;
  }
}

const refuse = (sentence: string): never => {
  throw new QmpError('GenericError', sentence);
};

/** AnilloError or QmpError for what does not fit. */
export function checkArguments(name: string, { takes }: QmpCommand, args: QmpArguments): void {
  if (takes === undefined) return;
  for (const [key, kind] of Object.entries(takes)) {
    const value = args[key];
    if (value === undefined && !kind.endsWith('?')) refuse(`Parameter '${key}' is missing; ${name} needs it.`);
    if (value !== undefined && kind.startsWith('text') && typeof value !== 'string') refuse(`Parameter '${key}' of ${name} is a text.`);
    if (value !== undefined && kind.startsWith('switch') && typeof value !== 'boolean')
      refuse(`Parameter '${key}' of ${name} is true or false.`);
  }
  for (const key of Object.keys(args))
    if (!Object.hasOwn(takes, key)) refuse(`Parameter '${key}' is unexpected; ${name} does not take it.`);
}

export const QMP_VERSION = { qemu: { major: 7, minor: 2, micro: 0 }, package: `Anillo ${VERSION}` };
const STATUS = { created: 'prelaunch', running: 'running', paused: 'paused', stopped: 'shutdown' } as const;

/** How the host does it is Anillo's affair: these change nothing. */
const IGNORED_BLOCK = ['cache', 'discard', 'detect-zeroes', 'auto-read-only', 'aio', 'locking', 'force-share'];

/** One node for an image in a file: `{ driver, node-name, file: { driver: 'file', filename }, read-only }`, or the driver `file` with its name. */
async function addBlockNode({ machine }: QmpContext, args: QmpArguments): Promise<object> {
  const { driver, 'node-name': name, 'read-only': readOnly = false, file, filename, ...others } = args;
  const rest = Object.keys(others).filter((key) => !IGNORED_BLOCK.includes(key));
  if (rest.length > 0) refuse(`Parameter '${rest[0]}' is unexpected; blockdev-add does not take it.`);
  if (typeof driver !== 'string' || typeof name !== 'string') return refuse('blockdev-add needs the texts driver and node-name.');
  if (typeof readOnly !== 'boolean') refuse("Parameter 'read-only' of blockdev-add is true or false.");
  const nested = typeof file === 'object' && file !== null ? (file as { driver?: unknown; filename?: unknown }) : undefined;
  if (nested !== undefined && nested.driver !== 'file')
    refuse(`An image lies in a node of the driver file, not "${String(nested.driver)}".`);
  const path = nested?.filename ?? filename;
  if (typeof path !== 'string' || path === '')
    return refuse('blockdev-add needs a file: { "driver": "file", "filename": PATH } within the node.');
  await machine.hotPlug.addDrive(name, { file: path, format: driver === 'file' ? 'raw' : driver, readOnly: readOnly === true });
  return {};
}

/** What `-netdev` takes. Forwards are a list of texts, or of `{ str: TEXT }`. */
async function addNetwork({ machine }: QmpContext, args: QmpArguments): Promise<object> {
  const { type, id, hostfwd = [], ...others } = args;
  if (typeof type !== 'string' || typeof id !== 'string') return refuse('netdev_add needs the texts type and id.');
  const forwards = (Array.isArray(hostfwd) ? hostfwd : [hostfwd]).map((one: unknown) =>
    typeof one === 'object' && one !== null && 'str' in one ? String(one.str) : String(one),
  );
  const text = (value: unknown): string => (value === true ? 'on' : value === false ? 'off' : String(value));
  const settings = [
    ...[[type, 'on'] as const, ...forwards.map((rule) => ['hostfwd', rule] as const)],
    ...Object.entries(others).map(([key, value]) => [key, text(value)] as const),
  ];
  const { network, rest } = qemuNetwork('netdev_add', settings);
  const [key] = Object.keys(rest);
  if (key !== undefined) refuse(`Parameter '${key}' is unexpected; netdev_add does not take it.`);
  await machine.hotPlug.addNetwork(id, network);
  return {};
}

async function addDevice({ machine }: QmpContext, args: QmpArguments): Promise<object> {
  const { driver, ...properties } = args;
  if (typeof driver !== 'string') return refuse("Parameter 'driver' is missing; device_add needs it.");
  for (const [key, value] of Object.entries(properties))
    if (!['string', 'number', 'boolean'].includes(typeof value))
      refuse(`Parameter '${key}' of device_add is a text, a number, or true or false.`);
  const device: DeviceOptions = { ...(properties as Record<string, GivenProperty>), model: driver };
  await machine.attach({ device }, { timeoutMs: 0 });
  return {};
}

type Branch = Machine['hotPlug']['pciTree'];

const describeBus = ({ busNumber, nodes }: Branch): object[] => nodes.map((node) => describeFunction(busNumber, node));

function describeFunction(bus: number, node: Branch['nodes'][number]): object {
  const { device: slot, function: fn, vendorId: vendor, deviceId, classCode, id = '', behind } = node;
  return {
    ...{ bus, slot, function: fn, class_info: { class: classCode }, id: { vendor, device: deviceId }, qdev_id: id },
    ...(behind === undefined ? {} : { pci_bridge: { bus: { number: behind.busNumber }, devices: describeBus(behind) } }),
  };
}

export const QMP_COMMANDS: Readonly<Record<string, QmpCommand>> = {
  'query-version': { takes: {}, run: () => QMP_VERSION },
  'query-commands': { takes: {}, run: () => ['qmp_capabilities', ...Object.keys(QMP_COMMANDS)].map((name) => ({ name })) },
  'query-status': {
    takes: {},
    run: ({ machine }) => ({ running: machine.state === 'running', singlestep: false, status: STATUS[machine.state] }),
  },
  'query-pci': {
    takes: {},
    run: ({ machine }) => {
      const root = machine.hotPlug.pciTree;
      return [{ bus: root.busNumber, devices: describeBus(root) }];
    },
  },
  stop: {
    takes: {},
    run: async ({ machine, event }) => {
      if (machine.state === 'paused') return {};
      await machine.pause();
      event('STOP');
      return {};
    },
  },
  cont: {
    takes: {},
    run: ({ machine, event }) => {
      const wasPaused = machine.state === 'paused';
      machine.resume();
      if (wasPaused) event('RESUME');
      return {};
    },
  },
  quit: {
    takes: {},
    // Not waited for: the answer goes out before the end.
    run: ({ machine }) => {
      setImmediate(() => void machine.stop());
      return {};
    },
  },
  system_reset: {
    takes: {},
    run: ({ machine, event }) => {
      machine.reset();
      event('RESET', { guest: false, reason: 'host-qmp-system-reset' });
      return {};
    },
  },
  system_powerdown: {
    takes: {},
    run: ({ machine, event }) => {
      machine.powerButton();
      event('POWERDOWN');
      return {};
    },
  },
  'blockdev-add': { run: addBlockNode },
  'blockdev-del': {
    takes: { 'node-name': 'text' },
    run: async ({ machine }, args) => {
      await machine.hotPlug.remove('drive', args['node-name'] as string);
      return {};
    },
  },
  netdev_add: { run: addNetwork },
  netdev_del: {
    takes: { id: 'text' },
    run: async ({ machine }, { id }) => {
      await machine.hotPlug.remove('network', id as string);
      return {};
    },
  },
  device_add: { run: addDevice },
  device_del: {
    takes: { id: 'text' },
    run: ({ machine }, { id }) => {
      try {
        machine.hotPlug.ask(id as string);
      } catch (error) {
        if (error instanceof AnilloError && error.code === 'BAD_OPTION') throw new QmpError('DeviceNotFound', error.message);
        throw error;
      }
      return {};
    },
  },
};
