// `--disk`, `--net` and their kin in `anillo-qemu`: text with settings becomes disks and networks of the library, and the devices that they are attached to.

import { AnilloError } from '@anillo/base/anillo-error';
import type { DeviceOptions } from '@anillo/devices/device-declaration';
import type { DiskFile, DiskOption } from 'anillo/disk-option';
import type { FolderOption, HostFolderOption } from 'anillo/folder-option';
import type { NetworkOption } from 'anillo/network-option';
import type { VsockPlace } from 'anillo/vsock-option';
import { isOn, parseNetwork } from './network-settings.ts';

export interface Attachments {
  readonly drives: Readonly<Record<string, DiskOption>>;
  readonly netdevs: Readonly<Record<string, NetworkOption>>;
  readonly folders: Readonly<Record<string, FolderOption>>;
  readonly vsocks: Readonly<Record<string, VsockPlace>>;
  readonly devices: readonly DeviceOptions[];
}

/** KEY=VALUE after KEY=VALUE; a comma within a value is written twice. A word without "=" has the value "on". */
export function splitSettings(text: string): (readonly [key: string, value: string])[] {
  const words = text.replaceAll(',,', '\0').split(',');
  return words.map((word) => {
    const equals = word.indexOf('=');
    const [key, value] = equals < 0 ? [word, 'on'] : [word.slice(0, equals), word.slice(equals + 1)];
    return [key.replaceAll('\0', ','), value.replaceAll('\0', ',')];
  });
}

/** Collects what several options say. */
export class AttachmentList implements Attachments {
  readonly drives: Record<string, DiskOption> = {};
  readonly netdevs: Record<string, NetworkOption> = {};
  readonly folders: Record<string, FolderOption> = {};
  readonly vsocks: Record<string, VsockPlace> = {};
  readonly devices: DeviceOptions[] = [];

  /** `id`: undefined, nobody has named it. Gives its name. */
  addDrive(id: string | undefined, disk: DiskOption): string {
    const name = id ?? `disk${Object.keys(this.drives).length}`;
    if (Object.hasOwn(this.drives, name))
      throw new AnilloError('BAD_OPTION', `Two disks are called "${name}"; give each an id of its own.`);
    this.drives[name] = disk;
    return name;
  }

  addNetwork(id: string | undefined, network: NetworkOption): string {
    const name = id ?? `net${Object.keys(this.netdevs).length}`;
    if (Object.hasOwn(this.netdevs, name))
      throw new AnilloError('BAD_OPTION', `Two networks are called "${name}"; give each an id of its own.`);
    this.netdevs[name] = network;
    return name;
  }

  /** `FILE[,format=F][,ro][,snapshot][,id=NAME][,PROPERTY=VALUE...]`; the properties are virtio-blk-pci's, which is added unless the disk has an id. */
  addDisk(text: string): void {
    const [[first, firstValue], ...settings] = splitSettings(text);
    const file: { -readonly [K in keyof DiskFile]: DiskFile[K] } = { file: firstValue === 'on' ? first : `${first}=${firstValue}` };
    if (file.file === '') throw new AnilloError('BAD_OPTION', '--disk needs a file: --disk FILE[,format=FORMAT][,ro][,snapshot].');
    const properties: Record<string, string> = {};
    let id: string | undefined;
    for (const [key, value] of settings) {
      if (key === 'format') file.format = value;
      else if (key === 'ro') file.readOnly = isOn('--disk', key, value);
      else if (key === 'snapshot') file.snapshot = isOn('--disk', key, value);
      else if (key === 'id') id = value;
      else properties[key] = value;
    }
    const drive = this.addDrive(id, file);
    if (id === undefined) this.devices.push({ ...properties, model: 'virtio-blk-pci', drive });
    else if (Object.keys(properties).length > 0)
      throw new AnilloError(
        'BAD_OPTION',
        `--disk with an id adds no device; give ${Object.keys(properties)[0]} to the --device that has drive=${id}.`,
      );
  }

  addFolder(id: string | undefined, folder: FolderOption): string {
    const name = id ?? `folder${Object.keys(this.folders).length}`;
    if (Object.hasOwn(this.folders, name))
      throw new AnilloError('BAD_OPTION', `Two shared folders are called "${name}"; give each an id of its own.`);
    this.folders[name] = folder;
    return name;
  }

  /** `FOLDER,tag=NAME[,ro][,ownership=mapped|none]`. */
  addShare(text: string): void {
    const [[first, firstValue], ...settings] = splitSettings(text);
    const share: { -readonly [K in keyof HostFolderOption]: HostFolderOption[K] } = {
      folder: firstValue === 'on' ? first : `${first}=${firstValue}`,
    };
    let tag = '';
    for (const [key, value] of settings) {
      if (key === 'tag') tag = value;
      else if (key === 'ro') share.readOnly = isOn('--share', key, value);
      else if (key === 'ownership' && (value === 'mapped' || value === 'none')) share.ownership = value;
      else
        throw new AnilloError('BAD_OPTION', `--share does not take "${key}=${value}"; write FOLDER,tag=NAME[,ro][,ownership=mapped|none].`);
    }
    if (share.folder === '' || tag === '')
      throw new AnilloError('BAD_OPTION', '--share needs a folder and what the guest calls it: --share FOLDER,tag=NAME[,ro].');
    this.devices.push({ model: 'virtio-9p-pci', fsdev: this.addFolder(undefined, share), mount_tag: tag });
  }

  /** `cid=NUMBER,path=PATH[,id=NAME]` and virtio-vsock-pci's properties, which is added unless it has an id. `option`: as the user calls it. */
  addVsock(option: string, settings: readonly (readonly [string, string])[]): void {
    const { cid, path, id, ...properties } = Object.fromEntries(settings);
    if (path === undefined || path === '' || (cid === undefined) === (id === undefined))
      throw new AnilloError(
        'BAD_OPTION',
        `${option} takes the guest's number and a path for sockets: cid=3,path=PATH; or path=PATH,id=NAME for a device of its own.`,
      );
    const name = id ?? `vsock${Object.keys(this.vsocks).length}`;
    if (Object.hasOwn(this.vsocks, name))
      throw new AnilloError('BAD_OPTION', `Two vsocks are called "${name}"; give each an id of its own.`);
    this.vsocks[name] = path;
    if (cid !== undefined) this.devices.push({ ...properties, model: 'virtio-vsock-pci', sockets: name, 'guest-cid': cid });
    else if (Object.keys(properties).length > 0)
      throw new AnilloError(
        'BAD_OPTION',
        `${option} with an id adds no device; give ${Object.keys(properties)[0]} to the --device that has sockets=${id}.`,
      );
  }

  /** What network-settings.ts says, or `none`; all else are properties of virtio-net-pci, which is added unless the network has an id. */
  addNet(text: string): void {
    const settings = splitSettings(text);
    if (text === 'none') return;
    const { network, id, rest } = parseNetwork(settings);
    const netdev = this.addNetwork(id, network);
    if (id === undefined) this.devices.push({ ...rest, model: 'virtio-net-pci', netdev });
    else if (Object.keys(rest).length > 0)
      throw new AnilloError(
        'BAD_OPTION',
        `--net with an id adds no device; give ${Object.keys(rest)[0]} to the --device that has netdev=${id}.`,
      );
  }
}
