// User data in cloud-init's form (`#cloud-config`, or a script): the part of it that this builder carries out. Whatever else stands there is refused, so that nothing is left undone in silence.

import { AnilloError } from '@anillo/base/anillo-error';
import { parseYaml, type YamlMap, type YamlValue } from './yaml-subset.ts';

export interface UserAccount {
  readonly name: string;
  readonly fullName?: string;
  readonly groups: readonly string[];
  /** Lines of sudoers, behind the name. */
  readonly sudo: readonly string[];
  readonly shell: string;
  readonly sshKeys: readonly string[];
  readonly password?: { readonly text: string; readonly isHashed: boolean };
  /** Nobody logs in with the password. */
  readonly isLocked: boolean;
  readonly userId?: number;
}

export interface WrittenFile {
  readonly path: string;
  readonly content: Uint8Array;
  /** Octal. */
  readonly permissions: string;
  readonly owner: string;
  readonly isAppended: boolean;
}

export interface UserData {
  readonly hostname?: string;
  /** Undefined: nothing was said of users; 'default' stands for the one of the command line. */
  readonly users?: readonly ('default' | UserAccount)[];
  /** Of the default user. */
  readonly sshKeys: readonly string[];
  readonly password?: string;
  /** Whether passwords are enough for ssh; undefined: as the system has it. */
  readonly sshPasswords?: boolean;
  readonly packages: readonly string[];
  readonly files: readonly WrittenFile[];
  /** Lines of a shell script that runs once, when the machine first starts. */
  readonly firstBoot: readonly string[];
  readonly timezone?: string;
}

export const NO_USER_DATA: UserData = { sshKeys: [], packages: [], files: [], firstBoot: [] };

const refuse = (sentence: string): AnilloError => new AnilloError('BAD_OPTION', `The user data ${sentence}`);
export const shellWord = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

function text(value: YamlValue, what: string): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'boolean') return String(value);
  throw refuse(`has something else than a text as ${what}; give a text.`);
}

function flag(value: YamlValue, what: string): boolean {
  if (typeof value === 'boolean') return value;
  throw refuse(`has something else than true or false as ${what}; give one of them.`);
}

function list(value: YamlValue, what: string): readonly YamlValue[] {
  if (value === null) return [];
  if (Array.isArray(value)) return value;
  throw refuse(`has something else than a list as ${what}; write each of its items behind a "-".`);
}

const texts = (value: YamlValue, what: string): readonly string[] => list(value, what).map((item) => text(item, what));
const isMap = (value: YamlValue): value is YamlMap => typeof value === 'object' && value !== null && !Array.isArray(value);

function map(value: YamlValue, what: string): YamlMap {
  if (isMap(value)) return value;
  throw refuse(`has something else than keys with values as ${what}.`);
}

function matching(value: string, pattern: RegExp, what: string): string {
  if (pattern.test(value)) return value;
  throw refuse(`has "${value}" as ${what}, which cannot be one; change it.`);
}

/** Each key with what takes it; others are refused. */
function each(map: YamlMap, what: string, takers: Readonly<Record<string, (value: YamlValue) => void>>): void {
  for (const [key, value] of Object.entries(map)) {
    if (!Object.hasOwn(takers, key))
      throw refuse(`has "${key}" in ${what}, which is not supported here; leave it out. Supported: ${Object.keys(takers).join(', ')}.`);
    takers[key](value);
  }
}

export const USER_NAME = /^[a-z_][a-z0-9_-]{0,31}$/;
export const HOST_NAME = /^(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,62}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,62}[A-Za-z0-9])?)*$/;
export const PACKAGE_NAME = /^[a-z0-9][a-z0-9+.-]+(:[a-z0-9]+)?(=[A-Za-z0-9.+~:-]+)?$/;
const OWNER = /^[a-z_][a-z0-9_-]*(:[a-z_][a-z0-9_-]*)?$/;

/** A list, or names with commas. */
const names = (value: YamlValue, what: string): readonly string[] =>
  (typeof value === 'string' ? value.split(',') : texts(value, what)).map((name) => matching(name.trim(), USER_NAME, what));

function userOf(value: YamlValue): 'default' | UserAccount {
  if (value === 'default') return 'default';
  type Draft = { -readonly [K in keyof UserAccount]: UserAccount[K] };
  const user: Draft = { name: '', groups: [], sudo: [], shell: '/bin/bash', sshKeys: [], isLocked: true };
  each(isMap(value) ? value : { name: value }, 'a user', {
    name: (name) => {
      user.name = matching(text(name, 'a user\'s name'), USER_NAME, 'a name of a user');
    },
    gecos: (name) => {
      user.fullName = matching(text(name, 'gecos'), /^[^:\n]*$/, 'gecos');
    },
    groups: (value) => {
      user.groups = names(value, 'a group');
    },
    sudo: (value) => {
      if (value === null || value === false) return;
      user.sudo = (typeof value === 'string' ? [value] : texts(value, 'sudo')).map((line) => matching(line, /^[^\n]+$/, 'sudo'));
    },
    shell: (value) => {
      user.shell = matching(text(value, 'a shell'), /^\/[^\s:]*$/, 'a shell');
    },
    ssh_authorized_keys: (value) => {
      user.sshKeys = texts(value, 'ssh_authorized_keys').map(sshKey);
    },
    passwd: (value) => {
      user.password = { text: matching(text(value, 'passwd'), /^[^:\n]+$/, 'passwd'), isHashed: true };
    },
    plain_text_passwd: (value) => {
      user.password = { text: matching(text(value, 'plain_text_passwd'), /^[^\n]+$/, 'plain_text_passwd'), isHashed: false };
    },
    lock_passwd: (value) => {
      user.isLocked = flag(value, 'lock_passwd');
    },
    uid: (value) => {
      user.userId = Number(matching(text(value, 'uid'), /^\d{1,9}$/, 'uid'));
    },
  });
  if (user.name === '') throw refuse('has a user without a name; add "name:".');
  return user;
}

/** A line of an authorized_keys file. */
export function sshKey(line: string): string {
  return matching(line.trim(), /^[^\n]*\b(ssh-(rsa|ed25519|dss)|ecdsa-sha2-nistp\d+|sk-[a-z0-9-]+@openssh\.com) [A-Za-z0-9+/=]+[^\n]*$/, 'an SSH key');
}

function fileOf(value: YamlValue): WrittenFile {
  const file = { path: '', text: '', encoding: 'text/plain', permissions: '0644', owner: 'root:root', isAppended: false };
  each(map(value, 'a file of write_files'), 'write_files', {
    path: (value) => {
      file.path = matching(text(value, 'path'), /^\/(?!.*(^|\/)\.\.(\/|$))[^\0\n]+$/, 'a path');
    },
    content: (value) => {
      file.text = value === null ? '' : text(value, 'content');
    },
    encoding: (value) => {
      file.encoding = matching(text(value, 'encoding'), /^(b64|base64|text\/plain)$/, 'an encoding');
    },
    permissions: (value) => {
      file.permissions = matching(text(value, 'permissions'), /^0?o?[0-7]{3,4}$/, 'permissions').replace(/^0?o/, '0');
    },
    owner: (value) => {
      file.owner = matching(text(value, 'owner'), OWNER, 'an owner');
    },
    append: (value) => {
      file.isAppended = flag(value, 'append');
    },
    // Users are there before files in any case.
    defer: () => {},
  });
  if (file.path === '') throw refuse('has a file without a path; add "path:".');
  return { ...file, content: Buffer.from(file.text, file.encoding === 'text/plain' ? 'utf8' : 'base64') };
}

function commandLine(value: YamlValue): string {
  if (Array.isArray(value)) return value.map((word) => shellWord(text(word, 'a word of runcmd'))).join(' ');
  return text(value, 'a command of runcmd');
}

function cloudConfig(source: string): UserData {
  type Draft = { -readonly [K in keyof UserData]: UserData[K] };
  const data: Draft = { ...NO_USER_DATA };
  const parsed = parseYaml(source);
  each(parsed === null ? {} : map(parsed, 'its whole'), 'its whole', {
    hostname: (value) => {
      data.hostname = matching(text(value, 'hostname'), HOST_NAME, 'a hostname');
    },
    users: (value) => {
      data.users = list(value, 'users').map(userOf);
    },
    ssh_authorized_keys: (value) => {
      data.sshKeys = texts(value, 'ssh_authorized_keys').map(sshKey);
    },
    password: (value) => {
      data.password = matching(text(value, 'password'), /^[^\n]+$/, 'a password');
    },
    chpasswd: (value) => {
      each(map(value, 'chpasswd'), 'chpasswd', {
        expire: (expires) => {
          if (flag(expires, 'expire')) throw refuse('wants passwords to expire at once, which is not supported here; give expire: false.');
        },
      });
    },
    ssh_pwauth: (value) => {
      data.sshPasswords = flag(value, 'ssh_pwauth');
    },
    packages: (value) => {
      data.packages = texts(value, 'packages').map((name) => matching(name, PACKAGE_NAME, 'a package'));
    },
    // The newest packages are installed in any case.
    package_update: (value) => void flag(value, 'package_update'),
    package_upgrade: (value) => void flag(value, 'package_upgrade'),
    write_files: (value) => {
      data.files = list(value, 'write_files').map(fileOf);
    },
    runcmd: (value) => {
      data.firstBoot = list(value, 'runcmd').map(commandLine);
    },
    timezone: (value) => {
      data.timezone = matching(text(value, 'timezone'), /^[A-Za-z][A-Za-z0-9_+/-]*$/, 'a time zone');
    },
  });
  return data;
}

/** AnilloError BAD_OPTION for what is not understood or not supported. */
export function parseUserData(source: string): UserData {
  if (source.startsWith('#!')) return { ...NO_USER_DATA, firstBoot: [scriptLine(source)] };
  if (!/^#cloud-config[ \t]*\r?(\n|$)/.test(source))
    throw refuse('begins with neither "#cloud-config" nor "#!"; other kinds are not supported here.');
  return cloudConfig(source);
}

/** A script of any interpreter, as a line of a shell script. */
function scriptLine(source: string): string {
  const encoded = Buffer.from(source).toString('base64');
  return `script=$(mktemp) && echo ${encoded} | base64 -d > "$script" && chmod 700 "$script" && "$script"; rm -f "$script"`;
}
