import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { GdbServer, parseListenAddress } from './gdb-server.ts';
import { ScriptedTarget } from './scripted-target.ts';

interface Peer {
  readonly target: ScriptedTarget;
  readonly server: GdbServer;
  readonly socket: Socket;
  ask(body: string): Promise<string>;
  next(): Promise<string>;
  kills: number;
}

const packet = (body: string): string =>
  `$${body}#${(Buffer.from(body, 'latin1').reduce((sum, byte) => sum + byte, 0) & 0xff).toString(16).padStart(2, '0')}`;

async function withPeer(use: (peer: Peer) => Promise<void>): Promise<void> {
  const target = new ScriptedTarget();
  target.resume();
  let kills = 0;
  const server = await GdbServer.listen({ listen: '127.0.0.1:0', target, onKill: () => kills++ });
  const socket = connect(server.port, '127.0.0.1');
  socket.on('error', () => {});
  let received = '';
  socket.setEncoding('latin1').on('data', (text: string) => {
    received += text;
  });
  const next = async (): Promise<string> => {
    for (let turn = 0; turn < 2000; turn++) {
      const found = /\$([^#]*)#../.exec(received);
      if (found !== null) {
        received = received.slice(found.index + found[0].length);
        return found[1];
      }
      await delay(1);
    }
    throw new Error(`no packet in "${received}"`);
  };
  try {
    await use({
      target,
      server,
      socket,
      next,
      ask: (body) => {
        socket.write(packet(body), 'latin1');
        return next();
      },
      get kills() {
        return kills;
      },
    });
  } finally {
    target.ended = true;
    socket.destroy();
    await server.close(0);
  }
}

test('attaching stops the guest; registers and memory are read and written', () =>
  withPeer(async ({ target, ask }) => {
    assert.match(await ask('qSupported:swbreak+;hwbreak+'), /PacketSize=4000;.*QStartNoAckMode\+/);
    assert.equal(await ask('QStartNoAckMode'), 'OK');
    assert.equal(await ask('?'), 'T05thread:1;');
    assert.equal(target.running, false);
    assert.equal(await ask('P0=8877665544332211'), 'OK');
    assert.equal(await ask('p0'), '8877665544332211');
    assert.ok((await ask('g')).startsWith('8877665544332211'));
    assert.equal(await ask('pffff'), 'E16');
    assert.equal(await ask('P0=12'), 'E16');
    assert.equal(await ask('M100,3:0a0b0c'), 'OK');
    assert.equal(await ask('mff,5'), '900a0b0c90');
    assert.equal(await ask('X200,3:#\x7d\x04'.replace('#', 'z')), 'E16');
    assert.equal(await ask('X200,2:z\x7d\x04'), 'OK');
    assert.equal(await ask('m200,2'), '7a24');
    assert.equal(await ask('mfffe,10'), '9090', 'as much as there is');
    assert.equal(await ask('m10000,1'), 'E0e');
    assert.equal(await ask('m-1,zz'), 'E16');
    assert.equal(await ask('vMustReplyEmpty'), '');
    const xml = await ask('qXfer:features:read:target.xml:0,3ff0');
    assert.match(xml, /^l<\?xml.*<architecture>i386:x86-64<\/architecture>.*name="rax".*name="fs_base".*name="efer"/);
  }));

test('breakpoints, watchpoints, steps and Ctrl-C', () =>
  withPeer(async ({ target, ask, next, socket }) => {
    await ask('qSupported:swbreak+;hwbreak+');
    target.pc = 0x100n;
    assert.equal(await ask('s'), 'T05thread:1;');
    assert.equal(target.pc, 0x101n);
    assert.equal(await ask('Z0,180,1'), 'OK');
    assert.equal(await ask('vCont;c'), 'T05swbreak:;thread:1;');
    assert.equal(target.pc, 0x180n);
    assert.equal(await ask('Z1,180,1'), 'OK');
    assert.equal(await ask('z0,180,1'), 'OK');
    assert.deepEqual([...target.breakpoints], [0x180n], 'the hardware breakpoint at the same place stays');
    assert.equal(await ask('z1,180,1'), 'OK');
    assert.equal(target.breakpoints.size, 0);
    target.memory[0x1f0] = 0x88;
    target.registers.get('rdi')?.set([0, 0x50]);
    assert.equal(await ask('Z2,5000,1'), 'OK');
    assert.equal(await ask('c'), 'T05watch:5000;thread:1;');
    assert.equal(await ask('z2,5000,1'), 'OK');
    socket.write(packet('c'));
    await delay(20);
    assert.equal(target.running, true);
    socket.write('\x03');
    assert.equal(await next(), 'T02thread:1;');
    assert.equal(await ask('Z9,0,1'), '');
    assert.equal(await ask('Z0,xyz,1'), 'E16');
  }));

test('each vCPU is a thread', () =>
  withPeer(async ({ target, ask, next, socket }) => {
    assert.equal(await ask('qfThreadInfo'), 'm1,2');
    assert.equal(await ask('qsThreadInfo'), 'l');
    assert.equal(await ask('qThreadExtraInfo,2'), Buffer.from('CPU 1').toString('hex'));
    assert.deepEqual([await ask('T2'), await ask('T3'), await ask('Hg3'), await ask('qC')], ['OK', 'E16', 'E16', 'QC1']);
    assert.equal(await ask('vCont;s:2;c'), 'T05thread:2;');
    assert.equal(target.secondSteps, 1);
    assert.equal(await ask('qC'), 'QC2');
    assert.equal(await ask('p0'), '0100000000000000', 'registers of the thread that stopped');
    assert.equal(await ask('P0=8877665544332211'), 'E16');
    assert.equal(await ask('Hg1'), 'OK');
    assert.equal(await ask('P0=8877665544332211'), 'OK');
    assert.equal(await ask('p0'), '8877665544332211');
    assert.equal(await ask('Hc2'), 'OK');
    assert.equal(await ask('s'), 'T05thread:2;');
    assert.equal(await ask('vCont;s:9'), 'E16');
    await ask('qSupported:swbreak+;hwbreak+');
    await ask('Z0,20000,1');
    socket.write(packet('vCont;c'));
    for (let turn = 0; turn < 200 && !target.running; turn++) await delay(1);
    target.ended = true;
    target.stop({ kind: 'debug', reason: 'breakpoint', address: 0x20000n }, 1);
    assert.equal(await next(), 'T05swbreak:;thread:2;');
    assert.equal(await ask('?'), 'T05swbreak:;thread:2;');
  }));

test('a debugger that leaves takes its breakpoints along and the guest runs on', () =>
  withPeer(async ({ target, ask, socket }) => {
    await ask('Z0,180,1');
    socket.destroy();
    for (let turn = 0; turn < 200 && !target.running; turn++) await delay(5);
    assert.equal(target.breakpoints.size, 0);
    assert.equal(target.running, true);
  }));

test('kill ends the machine, detach does not', async () => {
  await withPeer(async (peer) => {
    assert.equal(await peer.ask('D'), 'OK');
    assert.deepEqual([peer.kills, peer.target.running], [0, true]);
  });
  await withPeer(async (peer) => {
    await peer.ask('?');
    peer.socket.write(packet('k'));
    await once(peer.socket, 'close');
    assert.equal(peer.kills, 1);
  });
});

test('a hostile peer gets nowhere', () =>
  withPeer(async ({ ask, socket, server }) => {
    socket.write('$'.repeat(50_000));
    socket.write(`$${'m'.repeat(100_000)}#00`);
    socket.write('$m0,ffffffffffffffff#00$#zz+-+-\x00\xff');
    socket.write(packet('m0,ffffffffffffffff'));
    socket.write(packet('qXfer:features:read:target.xml:ffffffff,ffffffff'));
    socket.write(packet('G'));
    socket.write(packet('vCont;'));
    await delay(50);
    const second = connect(server.port, '127.0.0.1');
    await once(second, 'close');
    socket.write(packet('qC'));
    for (let turn = 0; ; turn++) {
      const reply = await ask('qC');
      if (reply === 'QC1') break;
      assert.ok(turn < 20);
    }
  }));

test('a port in use and addresses that are none', async () => {
  const target = new ScriptedTarget();
  const first = await GdbServer.listen({ listen: '127.0.0.1:0', target, onKill: () => {} });
  await assert.rejects(GdbServer.listen({ listen: `127.0.0.1:${first.port}`, target, onKill: () => {} }), {
    code: 'NETWORK',
    message: /is in use; choose another port/,
  });
  await first.close(0);
  assert.deepEqual(parseListenAddress(':1234'), { host: '127.0.0.1', port: 1234 });
  assert.deepEqual(parseListenAddress('[::1]:99'), { host: '::1', port: 99 });
  for (const text of ['', 'x', 'host:', ':99999', 'a b:1']) assert.throws(() => parseListenAddress(text), { code: 'BAD_OPTION' });
});

const hasGdb = spawnSync('gdb', ['--version']).status === 0;

test('gdb itself connects, reads, breaks and steps', { skip: hasGdb ? false : 'gdb is not installed' }, async () => {
  const target = new ScriptedTarget();
  const server = await GdbServer.listen({ listen: '127.0.0.1:0', target, onKill: () => {} });
  target.pc = 0x100n;
  const commands = [
    `target remote 127.0.0.1:${server.port}`,
    'set var $rbx = 0x1234',
    'set var $xmm1.v4_int32[2] = 7',
    'stepi',
    'info threads',
    'hbreak *0x140',
    'continue',
    'info registers rip rbx cr3',
    'print $xmm1.v4_int32',
    'x/2xb 0x140',
    'set var *(char*)0x150 = 0x55',
    'watch *(char*)0x5000',
    'detach',
  ];
  const gdb = spawn('gdb', ['-nx', '-batch', ...commands.flatMap((command) => ['-ex', command])]);
  let output = '';
  for (const stream of [gdb.stdout, gdb.stderr])
    stream.on('data', (text: Buffer) => {
      output += text.toString();
    });
  await once(gdb, 'close');
  target.ended = true;
  await server.close(0);
  assert.match(output, /rip\s+0x140/, output);
  assert.match(output, /\* 1 .*\(CPU 0\)[\s\S]* 2 .*\(CPU 1\)/);
  assert.match(output, /rbx\s+0x1234/);
  assert.match(output, /\$1 = \{0, 0, 7, 0\}/);
  assert.match(output, /0x140:\s+0x90\s+0x90/);
  assert.equal(target.memory[0x150], 0x55);
  assert.equal(target.breakpoints.size, 0);
});
