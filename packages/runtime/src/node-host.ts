// Node.js as the library's host.

import { randomFillSync } from 'node:crypto';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { createEventLoop } from '@anillo/host-node/event-loop';
import { hostFileRereader, readHostFile } from '@anillo/host-node/file';
import { hostNowNs, hostWallMs, threadNs } from '@anillo/host-node/host-clock';
import { RuntimeStore } from '@anillo/host-node/runtime-store';
import { memoryReleaser } from '@anillo/host-node/release-memory';
import { sourceFingerprint } from '@anillo/host-node/source-fingerprint';
import { TranslationStore } from '@anillo/host-node/translation-store';
import { startProcessorThread } from './node-threads.ts';
import type { RuntimeHost } from './runtime-host.ts';

/** What the translator's runtime module is generated from, and what translations depend on. */
const GENERATOR_MODULES = [
  '@anillo/base/struct',
  '@anillo/ir/ops',
  '@anillo/codegen/emit',
  '@anillo/isa-x86/frontend',
  '@anillo/accel-wasm/memory-plan',
] as const;

const generatorFolders = (): string[] => GENERATOR_MODULES.map((module) => dirname(fileURLToPath(import.meta.resolve(module))));

/** Loaded when a guest gives the first page. */
const releaseMemory = (buffer: ArrayBufferLike, offset: number, byteCount: number): void => memoryReleaser()?.(buffer, offset, byteCount);

export const host: RuntimeHost = {
  nowNs: hostNowNs,
  wallMs: hostWallMs,
  createEventLoop: () => ({ ...createEventLoop(), threadNs, startThread: startProcessorThread, releaseMemory }),
  readFile: readHostFile,
  rereader: hostFileRereader,
  openImages: async () => {
    const [{ openFileStore }, { createTemporaryStore }, { NODE_CODECS }] = await Promise.all([
      import('@anillo/host-node/file-store'),
      import('@anillo/host-node/image-files'),
      import('@anillo/host-node/node-codecs'),
    ]);
    return {
      codecs: NODE_CODECS,
      openTemporary: createTemporaryStore,
      openStore: (name, beside, isReadOnly) => openFileStore(beside === '' ? name : resolve(dirname(beside), name), { isReadOnly }),
    };
  },
  openSockets: async () => {
    const [{ NodeNetwork }, { networkClock }, { SharedSwitch }, { LinuxTap }, sockets, { CaptureFile }] = await Promise.all([
      import('@anillo/host-node/node-network'),
      import('@anillo/host-node/network-clock'),
      import('@anillo/host-node/shared-switch'),
      import('@anillo/host-node/linux-tap'),
      import('@anillo/host-node/frame-socket'),
      import('@anillo/host-node/capture-file'),
    ]);
    return {
      network: new NodeNetwork(),
      clock: networkClock,
      joinSwitch: (path, port, wanted) => SharedSwitch.join({ path, port, wanted }),
      openTap: (name, port) => LinuxTap.open(name, port),
      connectFrames: sockets.connectFrameSocket,
      listenForFrames: sockets.listenForFrames,
      bindFrames: sockets.bindFrameDatagrams,
      openCapture: (path, onError) => new CaptureFile(path, onError),
    };
  },
  openFolder: async (options) => new (await import('@anillo/host-node/host-folder')).HostFolder(options),
  openVsock: async (path) => (await import('@anillo/host-node/unix-vsock')).UnixVsock.open(path),
  fillRandom: (words) => void randomFillSync(words),
  openRuntimeSource: (fingerprint) => new RuntimeStore(fingerprint),
  openTranslations: (fingerprint) => new TranslationStore(fingerprint),
  fingerprint: (by) => sourceFingerprint(generatorFolders(), by),
  // V8 moves a function to its optimising compiler after this many bytes executed; its own default (13 million) suits programs without a run-time
  // compiler of their own. Measured on a boot: a sixth less time (docs/adr/0006-tiers.md).
  tuneEngine: () => setFlagsFromString('--wasm-tiering-budget=3000000'),
};
