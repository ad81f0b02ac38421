// The text that describes a VMDK image (VMware's Virtual Disk Format 5.0, "The Descriptor File"): lines of `key=value`, and one line for each extent.

import { AnilloError } from '@anillo/base/anillo-error';

export interface VmdkExtentLine {
  readonly access: 'RW' | 'RDONLY' | 'NOACCESS';
  readonly sectorCount: number;
  readonly type: string;
  readonly fileName: string | undefined;
  /** Sector within the file, of flat extents. */
  readonly firstSector: number;
}

export interface VmdkDescriptor {
  readonly createType: string;
  readonly cid: number;
  /** 0xffffffff: there is no image behind it. */
  readonly parentCid: number;
  readonly parentFileName: string | undefined;
  readonly extents: readonly VmdkExtentLine[];
}

export const NO_PARENT_CID = 0xffff_ffff;
/** More than any program writes. */
export const MAX_DESCRIPTOR_BYTES = 1 << 20;
const MAX_EXTENTS = 8192;

const EXTENT = /^(RW|RDONLY|NOACCESS)\s+(\d{1,16})\s+([A-Z0-9_]+)(?:\s+"([^"]*)"(?:\s+(\d{1,16}))?)?/;
const SETTING = /^([\w.]+)\s*=\s*"?([^"]*)"?\s*$/;

export function isVmdkDescriptor(text: string): boolean {
  return /^\s*# Disk DescriptorFile/i.test(text);
}

const hex = (text: string | undefined): number =>
  text !== undefined && /^[0-9a-f]{1,8}$/i.test(text) ? Number.parseInt(text, 16) : NO_PARENT_CID;

/** AnilloError BAD_IMAGE. */
export function parseVmdkDescriptor(name: string, text: string): VmdkDescriptor {
  const settings = new Map<string, string>();
  const extents: VmdkExtentLine[] = [];
  for (const line of text.split(/\r?\n/)) {
    const trimmed = line.trim();
    const extent = EXTENT.exec(trimmed);
    if (extent !== null) {
      const [, access, sectors, type, fileName, first] = extent;
      extents.push({
        access: access as VmdkExtentLine['access'],
        sectorCount: Number(sectors),
        type,
        fileName,
        firstSector: Number(first ?? 0),
      });
      continue;
    }
    const setting = trimmed.startsWith('#') ? null : SETTING.exec(trimmed);
    if (setting !== null) settings.set(setting[1].toLowerCase(), setting[2]);
  }
  const createType = settings.get('createtype');
  if (createType === undefined) throw new AnilloError('BAD_IMAGE', `The descriptor of ${name} does not tell its createType.`);
  if (extents.length > MAX_EXTENTS) throw new AnilloError('BAD_IMAGE', `The descriptor of ${name} names ${extents.length} extents.`);
  return {
    ...{ createType, extents, cid: hex(settings.get('cid')), parentCid: hex(settings.get('parentcid')) },
    parentFileName: settings.get('parentfilenamehint'),
  };
}

export interface NewVmdkDescriptor {
  readonly createType: 'monolithicSparse' | 'streamOptimized';
  readonly cid: number;
  readonly sectorCount: number;
  /** The image's own file name. */
  readonly fileName: string;
}

/** Of an image with one sparse extent. */
export function vmdkDescriptorText({ createType, cid, sectorCount, fileName }: NewVmdkDescriptor): string {
  const cylinders = Math.min(16383, Math.floor(sectorCount / (63 * 16)));
  return [
    '# Disk DescriptorFile',
    'version=1',
    `CID=${cid.toString(16).padStart(8, '0')}`,
    'parentCID=ffffffff',
    `createType="${createType}"`,
    '',
    '# Extent description',
    `RW ${sectorCount} SPARSE "${fileName.replace(/^.*[/\\]/, '').replace(/["\n\r\0]/g, '_')}"`,
    '',
    '# The Disk Data Base',
    '#DDB',
    '',
    'ddb.virtualHWVersion = "4"',
    `ddb.geometry.cylinders = "${cylinders}"`,
    'ddb.geometry.heads = "16"',
    'ddb.geometry.sectors = "63"',
    'ddb.adapterType = "ide"',
    '',
  ].join('\n');
}
