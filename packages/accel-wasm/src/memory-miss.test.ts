import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACCESS_KIND, MISS_RESULT } from '@anillo/codegen/slow-access';
import { EXIT, type GuestCpu, type Translation } from '@anillo/ir/frontend';
import { VcpuHeader } from '@anillo/ir/vcpu-header';
import { gpa } from '@anillo/base/gpa';
import { RegionMemory } from '@anillo/memory/region-memory';
import { CodePages } from './code-pages.ts';
import { MemoryMiss, type MissParts } from './memory-miss.ts';

const RAM = 0x1_0000;
const RAM_BYTES = 0x4000;
const GRANULES = RAM + RAM_BYTES;
const WRITE_BYTE = ACCESS_KIND.WRITE;
const at = VcpuHeader.offset;

/** A vCPU with flat memory; the page at 0x1000 holds code in its first 64 bytes. */
function rig() {
  const buffer = new ArrayBuffer(GRANULES + 0x1000);
  const codePages = new CodePages(buffer, GRANULES, RAM + RAM_BYTES);
  codePages.add(RAM + 0x1000, 16);
  const words = new Uint32Array(buffer);
  const translate = (_access: number, into: Translation): boolean => {
    Object.assign(into, { gpa: words[at.accessAddress >>> 2], grants: 7, pageBytes: 4096, isGlobal: false });
    return true;
  };
  const parts = {
    buffer,
    state: 0,
    cpu: { translate } as unknown as GuestCpu,
    memory: new RegionMemory(buffer, [{ start: gpa(0), byteCount: RAM_BYTES, kind: 'ram', offset: RAM }]),
    ports: {},
    tlb: { fill: () => {} },
    cache: { codePages },
    watchpoints: { isActive: false },
  } as unknown as MissParts;
  const miss = new MemoryMiss(parts);
  const bytes = new Uint8Array(buffer);
  const store = (address: number, value: number): number => {
    words[at.accessAddress >>> 2] = address;
    words[at.accessData >>> 2] = value;
    return miss.serve(0, WRITE_BYTE);
  };
  return { store, bytes, exitReason: () => words[at.exitReason >>> 2] };
}

test('a store into code leaves the block, unless it changes nothing; beside code it is done', () => {
  const { store, bytes, exitReason } = rig();
  bytes[RAM + 0x1008] = 0xc3;
  assert.equal(store(0x1008, 0xc3), MISS_RESULT.DONE);
  assert.equal(store(0x1008, 0x90), MISS_RESULT.LEAVE);
  assert.deepEqual([exitReason(), bytes[RAM + 0x1008]], [EXIT.STALE_CODE, 0xc3]);
  assert.equal(store(0x1080, 0x90), MISS_RESULT.DONE);
  assert.equal(bytes[RAM + 0x1080], 0x90);
});
