// apt with state and cache of its own in one folder: the system's sources and keyrings are read, nothing of the system is written.
// apt checks the signatures of the lists and the checksums of the packages, as always.

import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AnilloError } from '@anillo/base/anillo-error';

export const NO_APT = `this host has no apt and dpkg, with which the default guest is fetched.
Pass a kernel and an initial RAM disk: anillo run --kernel FILE --initrd FILE --append 'console=ttyS0'`;

export interface DebianPackage {
  readonly name: string;
  readonly version: string;
  readonly depends: readonly string[];
}

interface ProgramResult {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** apt says what it does many times a second; silent for so long, it hangs. */
const SILENCE_MS = 120_000;

const quoted = (path: string): string => `"${path}"`;

/** Hooks of the system (docker-clean and the like) are cleared: they would touch the system's own cache. */
function configuration(folder: string, architecture: string): string {
  return `#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Update::Post-Invoke-Stats;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
#clear APT::Architectures;
APT::Architecture "${architecture}";
APT::Architectures { "${architecture}"; };
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "20";
Acquire::https::Timeout "20";
Dir::State ${quoted(join(folder, 'state'))};
Dir::State::status ${quoted(join(folder, 'status'))};
Dir::Cache ${quoted(join(folder, 'cache'))};
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Dir::Log ${quoted(join(folder, 'log'))};
`;
}

export class PrivateApt {
  readonly #folder: string;
  readonly #onPercent: (percent: number) => void;

  /** `folder` exists and is empty; the caller removes it. */
  constructor(folder: string, architecture: 'amd64' | 'i386', onPercent: (percent: number) => void) {
    if (/["\\\n]/.test(folder))
      throw new AnilloError('FILE', `The cache folder ${folder} has a quote or backslash in its name; set XDG_CACHE_HOME to another.`);
    this.#folder = folder;
    this.#onPercent = onPercent;
    for (const part of ['state/lists/partial', 'cache/archives/partial', 'log', 'packages'])
      mkdirSync(join(folder, part), { recursive: true });
    writeFileSync(join(folder, 'status'), '');
    writeFileSync(join(folder, 'apt.conf'), configuration(folder, architecture));
  }

  #run(program: 'apt-get' | 'apt-cache', args: readonly string[]): Promise<ProgramResult> {
    return new Promise((done, fail) => {
      const child = spawn(program, ['-c', join(this.#folder, 'apt.conf'), '-o', 'APT::Status-Fd=3', ...args], {
        cwd: join(this.#folder, 'packages'),
        stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
        env: { ...process.env, LC_ALL: 'C.UTF-8', APT_CONFIG: '' },
      });
      const output = ['', ''];
      let lastPercent = 0;
      const watchdog = setTimeout(() => {
        child.kill();
        fail(new AnilloError('NETWORK', `${program} has done nothing for ${SILENCE_MS / 1000} seconds; try again, or pass --kernel.`));
      }, SILENCE_MS);
      [child.stdout, child.stderr].forEach((stream, index) => {
        stream?.setEncoding('utf8').on('data', (text: string) => {
          output[index] += text;
        });
      });
      child.stdio[3]?.on('data', (text: Buffer) => {
        const percent = Number(/^dlstatus:\d+:([\d.]+):/m.exec(text.toString())?.[1] ?? 0);
        if (percent === lastPercent) return;
        lastPercent = percent;
        watchdog.refresh();
        this.#onPercent(percent);
      });
      child.on('error', (cause: NodeJS.ErrnoException) => {
        clearTimeout(watchdog);
        fail(cause.code === 'ENOENT' ? new AnilloError('UNSUPPORTED', NO_APT, { cause }) : cause);
      });
      child.on('close', (code) => {
        clearTimeout(watchdog);
        if (/No space left on device/.test(output[1])) fail(Object.assign(new Error(output[1]), { code: 'ENOSPC' }));
        else done({ status: code ?? 1, stdout: output[0], stderr: output[1] });
      });
    });
  }

  /** One unreachable source among several does no harm; whether the wanted package is there shows afterwards. */
  async update(): Promise<{ readonly complete: boolean; readonly message: string }> {
    const result = await this.#run('apt-get', ['update']);
    return { complete: result.status === 0 && !/^[WE]:/m.test(result.stderr), message: result.stderr };
  }

  /** The newest version that the sources offer. */
  async show(name: string): Promise<DebianPackage | undefined> {
    const { stdout } = await this.#run('apt-cache', ['show', '--no-all-versions', name]);
    const field = (key: string): string | undefined => new RegExp(`^${key}: (.*)$`, 'm').exec(stdout)?.[1];
    const found = field('Package');
    const version = field('Version');
    if (found !== name || version === undefined) return undefined;
    const depends = (field('Depends') ?? '').split(',').map((part) => part.trim().split(' ')[0]);
    return { name, version, depends };
  }

  /** Path of the .deb. */
  async download(name: string): Promise<string> {
    const result = await this.#run('apt-get', ['download', name]);
    const folder = join(this.#folder, 'packages');
    const file = readdirSync(folder).find((entry) => entry.startsWith(`${name}_`) && entry.endsWith('.deb'));
    if (result.status === 0 && file !== undefined) return join(folder, file);
    const reason = /^E: (.*)$/m.exec(result.stderr)?.[1] ?? `apt-get ended with status ${result.status}`;
    throw new AnilloError('NETWORK', `Debian's package ${name} could not be fetched (${reason}); try again, or pass --kernel.`);
  }

  /** Paths of the .deb files of these packages and of all that they depend on, down to the C library; nothing counts as installed. */
  async downloadWithDependencies(names: readonly string[]): Promise<readonly string[]> {
    const result = await this.#run('apt-get', ['install', '--download-only', '--yes', '--no-install-recommends', ...names]);
    const folder = join(this.#folder, 'cache/archives');
    const files = readdirSync(folder).filter((entry) => entry.endsWith('.deb'));
    if (result.status === 0 && files.length > 0) return files.map((file) => join(folder, file));
    const reason = /^E: (.*)$/m.exec(result.stderr)?.[1] ?? `apt-get ended with status ${result.status}`;
    throw new AnilloError('NETWORK', `Debian's packages ${names.join(', ')} could not be fetched (${reason}); try again.`);
  }
}
