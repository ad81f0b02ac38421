// A server of 9P2000.L: a message in, its answer out. Several may be under way; data goes between the tree and the caller's buffers without a copy. Whatever a
// client sends is answered, at worst with Rlerror; what it can make the server remember is bounded.

import { gather, partOf, scatter } from '../chain.ts';
import { FidTable } from './fid-table.ts';
import { ERRNO, type FileTree, FileTreeError } from './file-tree.ts';
import { HEADER_BYTES, MessageReader, MessageWriter } from './message.ts';
import { NameTree } from './name-tree.ts';
import { REQUESTS, type Session } from './requests.ts';

const TYPE = { error: 7, version: 100, flush: 108, read: 116, write: 118, readdir: 40 } as const;
const VERSION = '9P2000.L';
const SMALLEST_MESSAGE = 4096;
const LARGEST_MESSAGE = 1024 * 1024 + 24;
/** In front of the data of Rread and Twrite. */
const READ_HEAD_BYTES = 11;
const WRITE_HEAD_BYTES = 23;
/** An answer without data: at most a walk of 16 names, or a link's target. */
const ANSWER_BYTES = 8192;
const ERROR_BYTES = 11;
const NO_TAG = 0xffff;

type Views = readonly Uint8Array[];

export class NinePServer {
  readonly #tree: FileTree;
  #session: Session;
  #messageBytes = 0;
  readonly #underWay = new Map<number, Promise<number>>();

  constructor(tree: FileTree) {
    this.#tree = tree;
    this.#session = this.#newSession();
  }

  #newSession(): Session {
    const names = new NameTree();
    return { tree: this.#tree, names, fids: new FidTable(names) };
  }

  get fidCount(): number {
    return this.#session.fids.count;
  }

  /** The client is gone: nothing of it stays open. */
  async reset(): Promise<void> {
    const { fids } = this.#session;
    this.#session = this.#newSession();
    this.#messageBytes = 0;
    await fids.clear();
  }

  /** Answers into `reply` and gives the answer's size; 0: there is no room even for an error, or no message. Buffers are lent until it resolves. */
  serve(request: Views, reply: Views): Promise<number> {
    const head = new Uint8Array(HEADER_BYTES);
    if (gather(request, 0, head) < HEADER_BYTES) return Promise.resolve(0);
    const view = new DataView(head.buffer);
    const [size, type, tag] = [view.getUint32(0, true), head[4], view.getUint16(5, true)];
    const before = type === TYPE.flush ? this.#flushed(request) : undefined;
    const answer = this.#answer(request, reply, { size, type, tag }, before).finally(() => {
      if (this.#underWay.get(tag) === answer) this.#underWay.delete(tag);
    });
    this.#underWay.set(tag, answer);
    return answer;
  }

  /** What Tflush asks to be done with has its answer first. */
  #flushed(request: Views): Promise<number> | undefined {
    const bytes = new Uint8Array(HEADER_BYTES + 2);
    gather(request, 0, bytes);
    return this.#underWay.get(new DataView(bytes.buffer).getUint16(HEADER_BYTES, true));
  }

  async #answer(
    request: Views,
    reply: Views,
    head: { size: number; type: number; tag: number },
    before: Promise<number> | undefined,
  ): Promise<number> {
    const { size, type, tag } = head;
    const room = reply.reduce((sum, part) => sum + part.length, 0);
    if (room < ERROR_BYTES) return 0;
    try {
      await before;
      const given = request.reduce((sum, part) => sum + part.length, 0);
      const isVersion = type === TYPE.version;
      if (size < HEADER_BYTES || size > given || size > (isVersion ? SMALLEST_MESSAGE : this.#messageBytes))
        throw new FileTreeError('EPROTO');
      const bytes = new Uint8Array(type === TYPE.write ? Math.min(size, WRITE_HEAD_BYTES) : size);
      gather(request, 0, bytes);
      const from = new MessageReader(bytes);
      const most = Math.min(room, isVersion ? SMALLEST_MESSAGE : this.#messageBytes);
      if (type === TYPE.read) return await this.#read(from, reply, tag, most);
      const to = new MessageWriter(Math.min(most, type === TYPE.readdir ? LARGEST_MESSAGE : ANSWER_BYTES));
      if (isVersion) await this.#version(from, to, tag);
      else if (type === TYPE.write) to.u32(await this.#write(from, request, size));
      else if (type !== TYPE.flush) await this.#request(type)(this.#session, from, to);
      return scatter(reply, 0, to.head(type + 1, tag).bytes.subarray(0, to.length));
    } catch (error) {
      const errno = error instanceof FileTreeError ? error.errno : ERRNO.EIO;
      return scatter(reply, 0, new MessageWriter(ERROR_BYTES).u32(errno).head(TYPE.error, tag).bytes);
    }
  }

  #request(type: number): (session: Session, from: MessageReader, to: MessageWriter) => Promise<void> {
    const request = REQUESTS.get(type);
    if (request === undefined) throw new FileTreeError('EOPNOTSUPP');
    return request;
  }

  /** Starts over: all fids are forgotten. */
  async #version(from: MessageReader, to: MessageWriter, tag: number): Promise<void> {
    const [wanted, version] = [from.u32(), from.text()];
    if (tag !== NO_TAG || wanted < SMALLEST_MESSAGE) throw new FileTreeError('EINVAL');
    await this.reset();
    const isOurs = version === VERSION || version.startsWith(`${VERSION}.`);
    const messageBytes = Math.min(wanted, LARGEST_MESSAGE);
    if (isOurs) this.#messageBytes = messageBytes;
    to.u32(messageBytes).text(isOurs ? VERSION : 'unknown');
  }

  async #read(from: MessageReader, reply: Views, tag: number, most: number): Promise<number> {
    const { opened, attribute } = this.#session.fids.get(from.u32());
    const offset = from.offset();
    const into = partOf(reply, READ_HEAD_BYTES, Math.min(from.u32(), most - READ_HEAD_BYTES));
    let count: number;
    if (attribute !== undefined && attribute.writes === undefined) count = scatter(into, 0, attribute.value.subarray(offset));
    else if (opened !== undefined && !opened.file.isFolder) count = await opened.use((file) => file.read(offset, into));
    else throw new FileTreeError(opened === undefined ? 'EBADF' : 'EISDIR');
    const head = new MessageWriter(READ_HEAD_BYTES).u32(count).head(TYPE.read + 1, tag, READ_HEAD_BYTES + count);
    scatter(reply, 0, head.bytes);
    return READ_HEAD_BYTES + count;
  }

  async #write(from: MessageReader, request: Views, size: number): Promise<number> {
    const { opened, attribute } = this.#session.fids.get(from.u32());
    const [offset, count] = [from.offset(), from.u32()];
    if (count > size - WRITE_HEAD_BYTES) throw new FileTreeError('EPROTO');
    if (this.#tree.isReadOnly) throw new FileTreeError('EROFS');
    const data = partOf(request, WRITE_HEAD_BYTES, count);
    if (attribute?.writes !== undefined) {
      if (offset !== attribute.writes.filled || offset + count > attribute.value.length) throw new FileTreeError('ENOSPC');
      attribute.writes.filled += gather(data, 0, attribute.value.subarray(offset, offset + count));
      return count;
    }
    if (opened === undefined || opened.file.isFolder) throw new FileTreeError('EBADF');
    return await opened.use((file) => file.write(offset, data));
  }
}
