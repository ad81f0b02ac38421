// QEMU's `-virtfs`, `-fsdev`, `-drive`, `-blockdev`, `-netdev`, `-nic`, `-net` and `-object`: disks and networks, and the devices that some of them add.

import { AnilloError } from '@anillo/base/anillo-error';
import type { DiskFile } from 'anillo/disk-option';
import { AttachmentList, splitSettings } from '../attachment-options.ts';
import { isOn } from '../network-settings.ts';
import { qemuNetwork } from './qemu-network.ts';
import type { QemuValues } from './qemu-options.ts';

/** They say how the host is to do it, or when: here that is as it is. */
const IGNORED_DRIVE = ['index', 'media', 'cache', 'aio', 'discard', 'detect-zeroes', 'bus', 'unit'];
const NET_MODELS = ['virtio', 'virtio-net-pci'];

const settingsOf = (text: string): Record<string, string> => Object.fromEntries(splitSettings(text));

function needed(option: string, key: string, value: string | undefined): string {
  if (value === undefined || value === '') throw new AnilloError('BAD_OPTION', `${option} needs ${key}=; add it.`);
  return value;
}

function refuse(option: string, settings: Readonly<Record<string, string>>): void {
  const [key] = Object.keys(settings);
  if (key !== undefined) throw new AnilloError('UNSUPPORTED', `${option} does not take ${key}= here; leave it out.`);
}

/** `file=F[,if=virtio|none][,id=][,format=][,readonly=][,snapshot=][,serial=][,werror=][,rerror=]`. */
function addDrive(list: AttachmentList, text: string, isSnapshot: boolean): void {
  const { file, if: place = 'ide', id, format, readonly = 'off', snapshot = 'off', ...others } = settingsOf(text);
  const properties = Object.fromEntries(Object.entries(others).filter(([key]) => !IGNORED_DRIVE.includes(key)));
  const disk: DiskFile = {
    file: needed('-drive', 'file', file),
    format,
    readOnly: isOn('-drive', 'readonly', readonly),
    snapshot: isSnapshot || isOn('-drive', 'snapshot', snapshot),
  };
  const drive = list.addDrive(id, disk);
  if (place === 'virtio') list.devices.push({ ...properties, model: 'virtio-blk-pci', drive });
  else if (place !== 'none') throw new AnilloError('UNSUPPORTED', `-drive ${text}: there is no ${place} bus here; add if=virtio.`);
}

/** `driver=FORMAT,node-name=N,file.driver=file,file.filename=F[,read-only=]`: one node for an image in a file. */
function addBlockdev(list: AttachmentList, text: string, isSnapshot: boolean): void {
  const settings = settingsOf(text);
  const { driver, 'node-name': name, 'file.filename': nested, filename, 'read-only': readOnly = 'off', ...others } = settings;
  const rest = Object.fromEntries(
    Object.entries(others).filter(([key]) => key !== 'file.driver' && !/^(file\.)?(cache|aio|locking|discard)/.test(key)),
  );
  refuse('-blockdev', rest);
  const file = needed('-blockdev', 'file.filename', nested ?? filename);
  const format = driver === 'file' ? 'raw' : driver;
  list.addDrive(needed('-blockdev', 'node-name', name), {
    file,
    format,
    readOnly: isOn('-blockdev', 'read-only', readOnly),
    snapshot: isSnapshot,
  });
}

/** The network of `-netdev`, or of the first words of `-nic`. */
function addNetdev(list: AttachmentList, text: string): void {
  const { network, id, rest } = qemuNetwork('-netdev', splitSettings(text));
  refuse('-netdev', rest);
  list.addNetwork(needed('-netdev', 'id', id), network);
}

/** As `-netdev`, with `[,model=virtio-net-pci][,mac=]`, or `none`; `-net nic` adds nothing of its own. */
function addNic(list: AttachmentList, option: string, text: string): void {
  const settings = splitSettings(text);
  const [[kind]] = settings;
  if (kind === 'none' || (option === '-net' && kind === 'nic')) return;
  const { network, id, rest } = qemuNetwork(option, settings);
  const { model = 'virtio', ...properties } = rest;
  if (!NET_MODELS.includes(model)) throw new AnilloError('UNSUPPORTED', `There is no network card ${model}; use model=virtio-net-pci.`);
  list.devices.push({ ...properties, model: 'virtio-net-pci', netdev: list.addNetwork(id, network) });
}

/** `local,path=[,mount_tag=][,security_model=mapped-xattr|none][,readonly=on][,id=]`; passthrough is not there: the guest's owners never become the host's. */
function addFsdev(list: AttachmentList, option: string, text: string): void {
  const [[kind], ...words] = splitSettings(text);
  if (kind !== 'local') throw new AnilloError('UNSUPPORTED', `${option} ${kind} is not there; use ${option} local.`);
  const settings = Object.fromEntries(words);
  const { path, id, mount_tag: tag, security_model: model = 'none', readonly = 'off', multidevs: _, writeout: __, ...rest } = settings;
  refuse(option, rest);
  if (!['mapped', 'mapped-xattr', 'none'].includes(model))
    throw new AnilloError('UNSUPPORTED', `security_model=${model} is not there; use mapped-xattr or none.`);
  const folder = {
    folder: needed(option, 'path', path),
    readOnly: isOn(option, 'readonly', readonly),
    ownership: model === 'none' ? ('none' as const) : ('mapped' as const),
  };
  if (option === '-fsdev') list.addFolder(needed(option, 'id', id), folder);
  else list.devices.push({ model: 'virtio-9p-pci', fsdev: list.addFolder(id, folder), mount_tag: needed(option, 'mount_tag', tag) });
}

const VSOCK_MODELS = ['vhost-vsock-pci', 'vhost-vsock-device'];
/** They name the device, or say what this one is without in any case. */
const IGNORED_VSOCK = ['id', 'bus', 'bootindex', 'romfile', 'disable-legacy', 'disable-modern', 'vhostfd'];

/**
 * `vhost-vsock-pci,guest-cid=N,path=PATH`: QEMU's is the host's own AF_VSOCK, for which Unix sockets around a path stand here. What is another device is left:
 * true.
 */
function isOther(list: AttachmentList, text: string): boolean {
  const [[model], ...settings] = splitSettings(text);
  if (!VSOCK_MODELS.includes(model)) return true;
  const { 'guest-cid': cid, path, ...rest } = Object.fromEntries(settings.filter(([key]) => !IGNORED_VSOCK.includes(key)));
  const option = `-device ${model}`;
  const places = { cid: needed(option, 'guest-cid', cid), path: needed(option, 'path', path) };
  list.addVsock(option, Object.entries({ ...rest, ...places }));
  return false;
}

export function qemuAttachments(values: QemuValues): AttachmentList {
  const list = new AttachmentList();
  const isSnapshot = values.snapshot.length > 0;
  for (const text of values.drive) addDrive(list, text, isSnapshot);
  for (const text of values.blockdev) addBlockdev(list, text, isSnapshot);
  for (const text of values.fsdev) addFsdev(list, '-fsdev', text);
  for (const text of values.virtfs) addFsdev(list, '-virtfs', text);
  for (const text of values.netdev) addNetdev(list, text);
  for (const text of values.nic) addNic(list, '-nic', text);
  for (const text of values.net) addNic(list, '-net', text);
  for (const text of values.object) addObject(list, text);
  return list;
}

/** What is left of `-device`, when those that stand for more than a device have been attached. */
export const qemuDevices = (list: AttachmentList, values: QemuValues): readonly string[] =>
  values.device.filter((text) => isOther(list, text));

/** `filter-dump,id=,netdev=,file=`: all that passes a network's card goes to a file. */
function addObject(list: AttachmentList, text: string): void {
  const [[type], ...words] = splitSettings(text);
  const { netdev, file, id: _, maxlen: __, queue = 'all', status = 'on', ...rest } = Object.fromEntries(words);
  if (type !== 'filter-dump') throw new AnilloError('UNSUPPORTED', `-object ${type} is not there; leave it out.`);
  refuse('-object filter-dump', rest);
  if (queue !== 'all' || status !== 'on') throw new AnilloError('UNSUPPORTED', '-object filter-dump takes queue=all and status=on here.');
  const network = list.netdevs[needed('-object filter-dump', 'netdev', netdev)];
  if (typeof network !== 'object' || !('kind' in network))
    throw new AnilloError('BAD_OPTION', `-object filter-dump: there is no -netdev "${netdev}"; give the id of one.`);
  list.netdevs[netdev] = { ...network, capture: needed('-object filter-dump', 'file', file) };
}
