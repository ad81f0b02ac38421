// One client of QMP (QEMU's docs/interop/qmp-spec): greeting, negotiation of capabilities (there are none), commands one after the other, events in between.

import { AnilloError } from '@anillo/base/anillo-error';
import { JsonObjects } from './json-objects.ts';
import { checkArguments, QMP_COMMANDS, QMP_VERSION, type QmpArguments, type QmpContext, QmpError } from './qmp-commands.ts';

export interface QmpPeer {
  send(text: string): void;
  /** Ends the connection. */
  end(): void;
}

interface Request {
  readonly execute: string;
  readonly arguments: QmpArguments;
  readonly id: unknown;
}

/** Commands that wait for the one before them. */
const MOST_WAITING = 64;

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

function parseRequest(text: string): Request {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new QmpError('GenericError', 'This is no JSON; write one object for each command.');
  }
  const { execute, arguments: args = {}, id, ...rest } = isObject(value) ? value : {};
  if (typeof execute !== 'string')
    throw new QmpError('GenericError', 'A command is { "execute": NAME, "arguments": { ... } }; \'execute\' is missing.');
  if (!isObject(args)) throw new QmpError('GenericError', "'arguments' is an object.");
  const [key] = Object.keys(rest);
  if (key !== undefined) throw new QmpError('GenericError', `A command has no member '${key}'.`);
  return { execute, arguments: args, id };
}

export class QmpSession {
  readonly #context: QmpContext;
  readonly #peer: QmpPeer;
  readonly #objects = new JsonObjects();
  readonly #waiting: string[] = [];
  #isBusy = false;
  #isReady = false;

  constructor(context: QmpContext, peer: QmpPeer) {
    this.#context = context;
    this.#peer = peer;
    this.#send({ QMP: { version: QMP_VERSION, capabilities: [] } });
  }

  #send(message: object): void {
    this.#peer.send(`${JSON.stringify(message)}\r\n`);
  }

  receive(text: string): void {
    const objects = this.#objects.push(text);
    if (objects === undefined || this.#waiting.length + objects.length > MOST_WAITING) {
      this.#sendError(
        new QmpError('GenericError', 'This is no stream of commands; write one object for each, and read the answers.'),
        undefined,
      );
      this.#peer.end();
      return;
    }
    this.#waiting.push(...objects);
    if (!this.#isBusy) void this.#serve();
  }

  async #serve(): Promise<void> {
    this.#isBusy = true;
    for (let text = this.#waiting.shift(); text !== undefined; text = this.#waiting.shift()) {
      let id: unknown;
      try {
        const request = parseRequest(text);
        id = request.id;
        const answer = await this.#execute(request);
        this.#send(id === undefined ? { return: answer } : { return: answer, id });
      } catch (error) {
        this.#sendError(error, id);
      }
    }
    this.#isBusy = false;
  }

  async #execute({ execute: name, arguments: args }: Request): Promise<unknown> {
    if (name === 'qmp_capabilities' && !this.#isReady) {
      this.#isReady = true;
      return {};
    }
    if (!this.#isReady) throw new QmpError('CommandNotFound', "Expecting capabilities negotiation with 'qmp_capabilities'");
    const command = Object.hasOwn(QMP_COMMANDS, name) ? QMP_COMMANDS[name] : undefined;
    if (command === undefined)
      throw new QmpError('CommandNotFound', `The command ${name} has not been found; query-commands tells which there are.`);
    checkArguments(name, command, args);
    return command.run(this.#context, args);
  }

  #sendError(error: unknown, id: unknown): void {
    if (!(error instanceof QmpError) && !(error instanceof AnilloError)) throw error;
    const said = { class: error instanceof QmpError ? error.errorClass : 'GenericError', desc: error.message };
    this.#send(id === undefined ? { error: said } : { error: said, id });
  }

  event(name: string, data?: object): void {
    if (!this.#isReady) return;
    const now = Date.now();
    const timestamp = { seconds: Math.floor(now / 1000), microseconds: (now % 1000) * 1000 };
    this.#send(data === undefined ? { event: name, timestamp } : { event: name, data, timestamp });
  }
}
