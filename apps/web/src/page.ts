// The page: one machine in a worker, its serial console, three buttons. What it boots is in the page's address: ?kernel=URL&initrd=URL&append=TEXT&memory=SIZE
// and cpu, machine, bios, accel as the command `anillo run` has them. Without kernel and bios: the default guest of the server (tools/web-server.ts).

import { SerialConsole } from './serial-console.ts';
import type { FromWorker, ToWorker, WebMachineOptions } from './worker-messages.ts';

const SIZE = { rows: 24, columns: 80 };
const OPTIONS = ['kernel', 'initrd', 'append', 'bios', 'memory', 'cpu', 'machine', 'accel'] as const;
const DEFAULT_APPEND = `console=ttyS0 quiet anillo.rows=${SIZE.rows} anillo.cols=${SIZE.columns}`;

function machineOptions(address: URL): WebMachineOptions {
  const given = Object.fromEntries(
    OPTIONS.flatMap((name) => {
      const value = address.searchParams.get(name);
      return value === null ? [] : [[name, value]];
    }),
  ) as WebMachineOptions;
  // A worker's own address is another folder's.
  const url = (place: string): string => new URL(place, address).href;
  const { kernel, initrd, bios, append } = given;
  if (kernel !== undefined || bios !== undefined)
    return {
      ...given,
      ...(typeof kernel === 'string' && { kernel: url(kernel) }),
      ...(typeof initrd === 'string' && { initrd: url(initrd) }),
      ...(typeof bios === 'string' && { bios: url(bios) }),
    };
  return {
    ...given,
    kernel: url('guest/kernel'),
    initrd: url(typeof initrd === 'string' ? initrd : 'guest/initrd'),
    append: append === undefined ? DEFAULT_APPEND : `${DEFAULT_APPEND} ${append}`,
  };
}

function element(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new ReferenceError(`the page has no element "${id}"`);
  return found;
}

const worker = new Worker(new URL('machine-worker.js', import.meta.url), { type: 'module' });
const tell = (message: ToWorker): void => worker.postMessage(message);
const status = element('status');
const console = new SerialConsole(element('console'), SIZE, (bytes) => tell({ kind: 'type', bytes }));

/** `data-state` is for style sheets and for whoever drives the page. */
function say(state: 'loading' | 'running' | 'ended' | 'failed', text: string): void {
  document.body.dataset.state = state;
  status.textContent = text;
}

worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
  if (data.kind === 'output') console.write(data.bytes);
  else if (data.kind === 'started') say('running', data.description);
  else if (data.kind === 'ended') say('ended', data.detail);
  else say('failed', data.message);
};
worker.onerror = (event) => say('failed', event.message || 'The worker could not be loaded; build the page again.');
for (const kind of ['power-button', 'reset', 'stop'] as const) element(kind).onclick = () => tell({ kind });

say('loading', 'Loading the guest...');
tell({ kind: 'start', options: machineOptions(new URL(location.href)) });
element('console').focus();
