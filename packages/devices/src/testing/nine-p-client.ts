// A client of 9P2000.L for tests: requests as Linux writes them; an Rlerror is thrown with its errno.

import { MessageReader, MessageWriter } from '../virtio/9p/message.ts';
import type { FileTree } from '../virtio/9p/file-tree.ts';
import { NinePServer } from '../virtio/9p/server.ts';

const MESSAGE_BYTES = 65_536;
const NO_FID = 0xffffffff;

export interface ClientStat {
  readonly id: bigint;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly byteCount: number;
}

export class NinePClient {
  readonly server: NinePServer;
  #next = 1;

  constructor(tree: FileTree) {
    this.server = new NinePServer(tree);
  }

  /** Bytes as they are; the answer's. */
  async send(bytes: Uint8Array): Promise<Uint8Array> {
    const reply = new Uint8Array(MESSAGE_BYTES);
    return reply.slice(0, await this.server.serve([bytes], [reply]));
  }

  async request(type: number, write: (to: MessageWriter) => void, tag = 1): Promise<MessageReader> {
    const to = new MessageWriter(MESSAGE_BYTES);
    write(to);
    const answer = await this.send(to.head(type, tag).bytes.slice(0, to.length));
    const reader = new MessageReader(answer);
    if (answer[4] === 7) {
      const errno = reader.u32();
      throw Object.assign(new Error(`errno ${errno}`), { errno });
    }
    return reader;
  }

  async mount(): Promise<void> {
    await this.request(100, (to) => to.u32(MESSAGE_BYTES).text('9P2000.L'), 0xffff);
    await this.attach(0, '');
  }

  attach(fid: number, name: string): Promise<MessageReader> {
    return this.request(104, (to) => to.u32(fid).u32(NO_FID).text('root').text(name).u32(0));
  }

  async end(): Promise<void> {
    await this.server.reset();
  }

  async walk(from: number, names: readonly string[]): Promise<number> {
    const fid = this.#next++;
    const answer = await this.request(110, (to) => {
      to.u32(from).u32(fid).u16(names.length);
      for (const name of names) to.text(name);
    });
    if (answer.u16() < names.length) throw Object.assign(new Error('not all was found'), { errno: 2 });
    return fid;
  }

  open(fid: number, flags: number): Promise<MessageReader> {
    return this.request(12, (to) => to.u32(fid).u32(flags));
  }

  create(fid: number, name: string, flags: number, mode: number): Promise<MessageReader> {
    return this.request(14, (to) => to.u32(fid).text(name).u32(flags).u32(mode).u32(0));
  }

  symlink(fid: number, name: string, target: string): Promise<MessageReader> {
    return this.request(16, (to) => to.u32(fid).text(name).text(target).u32(0));
  }

  mknod(fid: number, name: string, mode: number, major: number, minor: number): Promise<MessageReader> {
    return this.request(18, (to) => to.u32(fid).text(name).u32(mode).u32(major).u32(minor).u32(0));
  }

  async readlink(fid: number): Promise<string> {
    return (await this.request(22, (to) => to.u32(fid))).text();
  }

  async getattr(fid: number): Promise<ClientStat> {
    const answer = await this.request(24, (to) => to.u32(fid).u64(0x7ff));
    answer.u64();
    answer.u8();
    answer.u32();
    const [id, mode, uid, gid] = [answer.u64(), answer.u32(), answer.u32(), answer.u32()];
    answer.u64();
    answer.u64();
    return { id, mode, uid, gid, byteCount: answer.offset() };
  }

  #setattr(fid: number, valid: number, mode: number, byteCount: number): Promise<MessageReader> {
    return this.request(26, (to) => {
      to.u32(fid).u32(valid).u32(mode).u32(0).u32(0).u64(byteCount);
      for (let i = 0; i < 4; i++) to.u64(0);
    });
  }

  chmod(fid: number, mode: number): Promise<MessageReader> {
    return this.#setattr(fid, 1, mode, 0);
  }

  truncate(fid: number, byteCount: number): Promise<MessageReader> {
    return this.#setattr(fid, 8, 0, byteCount);
  }

  xattr(fid: number, name: string): Promise<MessageReader> {
    return this.request(30, (to) =>
      to
        .u32(fid)
        .u32(this.#next++)
        .text(name),
    );
  }

  async list(fid: number, byteCount = 8192): Promise<string[]> {
    const names: string[] = [];
    for (let position = 0n; ; ) {
      const answer = await this.request(40, (to) => to.u32(fid).u64(position).u32(byteCount));
      let left = answer.u32();
      if (left === 0) return names;
      for (; left > 0; ) {
        answer.u8();
        answer.u32();
        answer.u64();
        position = answer.u64();
        answer.u8();
        const name = answer.text();
        names.push(name);
        left -= 24 + name.length;
      }
    }
  }

  link(folder: number, file: number, name: string): Promise<MessageReader> {
    return this.request(70, (to) => to.u32(folder).u32(file).text(name));
  }

  mkdir(fid: number, name: string, mode: number): Promise<MessageReader> {
    return this.request(72, (to) => to.u32(fid).text(name).u32(mode).u32(0));
  }

  renameat(from: number, name: string, into: number, newName: string): Promise<MessageReader> {
    return this.request(74, (to) => to.u32(from).text(name).u32(into).text(newName));
  }

  unlinkat(fid: number, name: string, flags: number): Promise<MessageReader> {
    return this.request(76, (to) => to.u32(fid).text(name).u32(flags));
  }

  async read(fid: number, offset: number, byteCount: number): Promise<Uint8Array> {
    const answer = await this.request(116, (to) => to.u32(fid).u64(offset).u32(byteCount));
    return Uint8Array.from({ length: answer.u32() }, () => answer.u8());
  }

  async write(fid: number, offset: number, data: Uint8Array): Promise<number> {
    const answer = await this.request(118, (to) => {
      to.u32(fid).u64(offset).u32(data.length);
      for (const byte of data) to.u8(byte);
    });
    return answer.u32();
  }
}
