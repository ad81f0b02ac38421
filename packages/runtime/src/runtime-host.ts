// What the library needs of the host it runs on. `#host` (package.json, "imports") is Node's; a bundler that works for browsers takes theirs.

import type { ImageHost } from '@anillo/disk/disk-format';
import type { Runtime } from '@anillo/codegen/runtime-module';
import type { Clock } from '@anillo/net/clock';
import type { FramePort } from '@anillo/net/frame-port';
import type { FrameTap } from '@anillo/net/frame-tap';
import type { HostEndpoint, HostNetwork } from '@anillo/net/host-network';
import type { FileTree } from '@anillo/devices/virtio/9p/file-tree';
import type { VsockBackend } from '@anillo/devices/virtio/vsock/vsock-backend';
import type { MachineHost } from '@anillo/machine/machine-host';

/** Keeps the translator's generated runtime module between runs; never fails its caller. */
export interface RuntimeSource {
  /** `isShared`: the module for memories that several threads share. */
  load(isShared: boolean): Runtime | undefined;
  save(isShared: boolean, runtime: Runtime): void;
}

/** Keeps translations between runs; never fails its caller. */
export interface TranslationSource {
  load(key: string): Uint8Array | undefined;
  save(key: string, translations: Uint8Array): void;
}

/** A path of a Unix socket, or an address and a port. */
export type SocketPlace = { readonly path: string } | HostEndpoint;

/** What networks of machines are made of. All of them are AnilloError NETWORK, FILE or UNSUPPORTED where they cannot be had. */
export interface HostLinks {
  readonly network: HostNetwork;
  readonly clock: Clock;
  /** A switch of several processes. `wanted`: addresses for a card at the port, best first; one of them is granted. */
  joinSwitch(path: string, port: FramePort, wanted: readonly number[]): Promise<{ readonly mac: number; close(): void }>;
  openTap(name: string, port: FramePort): { close(): void };
  /** Streams of frames as QEMU has them. */
  connectFrames(place: SocketPlace, port: FramePort): Promise<{ close(): void }>;
  listenForFrames(place: SocketPlace, portFor: () => FramePort, portGone: (port: FramePort) => void): Promise<{ close(): void }>;
  bindFrames(local: HostEndpoint, remote: HostEndpoint, port: FramePort): Promise<{ close(): void }>;
  /** `onError`: it cannot be written to any more. */
  openCapture(path: string, onError: (sentence: string) => void): { addInterface(name: string): FrameTap; close(): void };
}

export interface RuntimeHost extends Pick<MachineHost, 'nowNs' | 'wallMs'> {
  /** One for each machine. */
  createEventLoop(): Omit<MachineHost, 'nowNs' | 'wallMs'>;
  /** A file that the user named: a path, in a browser a URL. AnilloError FILE, in which `what` names the file's part ("kernel"). */
  readFile(place: string, what: string): Promise<Uint8Array>;
  /** How to read that file again later, at once; undefined where that cannot be. AnilloError FILE as well. */
  rereader(place: string, what: string): (() => Uint8Array) | undefined;
  /** Files of the host as disk images; absent: there are none. Loaded when the first is opened. */
  openImages?(): Promise<ImageHost>;
  /** Sockets of the host for networks; absent: there are none. Loaded when the first is opened. */
  openSockets?(): Promise<HostLinks>;
  /** A folder of the host's to be shared; absent: there are none. AnilloError FILE or UNSUPPORTED. */
  openFolder?(options: {
    readonly path: string;
    readonly isReadOnly?: boolean;
    readonly ownership?: 'mapped' | 'none';
  }): Promise<FileTree & Disposable>;
  /** Unix sockets for a machine's vsock, around a path; absent: there are none. AnilloError FILE. */
  openVsock?(path: string): Promise<VsockBackend & Disposable>;
  /** From a cryptographic generator. */
  fillRandom(words: Uint32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>): void;
  /** Undefined where nothing is kept. */
  openRuntimeSource(fingerprint: string): RuntimeSource | undefined;
  /** What is kept between runs of what was translated, for the translator with this fingerprint; undefined where nothing is kept. */
  openTranslations(fingerprint: string): TranslationSource | undefined;
  /** Says which state of the translator this is, by the times at which its sources were changed (quick), or by what they say. */
  fingerprint(by: 'time' | 'content'): string;
  /** Before the first machine is made: what the JavaScript engine is to know, where it can be told. */
  tuneEngine(): void;
}
