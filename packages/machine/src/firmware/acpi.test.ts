import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { BoardModel } from '../boards/board-model.ts';
import { PC } from '../boards/pc.ts';
import { Q35 } from '../boards/q35.ts';
import { pcMemoryMap, MIB } from '../boards/memory-map.ts';
import { ACPI_FILES, acpiLoaderScript, placeAcpi } from './acpi.ts';
import { buildPcTables, placePcTables } from './pc-tables.ts';

const SERIAL = [
  { port: 0x3f8, irq: 4 },
  { port: 0x2f8, irq: 3 },
];
const IOMMU = { table: { signature: 'DMAR', revision: 1, body: new Uint8Array(36) } };
const PANIC = { node: { path: 'PEVT', hardwareId: 'QEMU0001', numbers: { PEST: 0x505 }, ports: [{ start: 0x505, byteCount: 1 }] } };

const tablesOf = ({ layout, pciInterrupts, hasIommu }: BoardModel = PC) =>
  buildPcTables({
    map: pcMemoryMap(512 * MIB, 0, layout),
    cpuModel: 'x86-64-v3',
    cpuCount: 1,
    suspends: true,
    serialPorts: SERIAL,
    pciInterrupts,
    ecam: layout.ecam,
    hotPlugDevices: [3, 4, 31],
    parts: hasIommu ? [PANIC, IOMMU] : [PANIC],
  });

function lowMemory(model: BoardModel): { bytes: Uint8Array; data: DataView } {
  const bytes = new Uint8Array(0x100000);
  for (const s of placePcTables(tablesOf(model), SERIAL)) {
    assert.ok(s.address + s.byteCount <= bytes.length);
    bytes.set(s.bytes, s.address);
  }
  return { bytes, data: new DataView(bytes.buffer) };
}

const sum = (bytes: Uint8Array): number => bytes.reduce((a, b) => (a + b) & 0xff, 0);
const signature = (bytes: Uint8Array, at: number): string => String.fromCharCode(...bytes.subarray(at, at + 4));

/** Every table by signature, found as an operating system finds them. */
function findTables(model: BoardModel): Map<string, Uint8Array> {
  const { bytes, data } = lowMemory(model);
  let rsdp = 0;
  for (let at = 0xe0000; at < 0x100000; at += 16) if (String.fromCharCode(...bytes.subarray(at, at + 8)) === 'RSD PTR ') rsdp = at;
  assert.equal(sum(bytes.subarray(rsdp, rsdp + 20)), 0);
  assert.equal(sum(bytes.subarray(rsdp, rsdp + 36)), 0);
  assert.equal(bytes[rsdp + 15], 2);
  const found = new Map<string, Uint8Array>();
  const take = (at: number): number => {
    const table = bytes.subarray(at, at + data.getUint32(at + 4, true));
    found.set(signature(bytes, at), table);
    return at;
  };
  const rsdt = take(data.getUint32(rsdp + 16, true));
  const xsdt = take(Number(data.getBigUint64(rsdp + 24, true)));
  const count = (data.getUint32(xsdt + 4, true) - 36) / 8;
  assert.equal((data.getUint32(rsdt + 4, true) - 36) / 4, count);
  for (let i = 0; i < count; i++) {
    const at = take(Number(data.getBigUint64(xsdt + 36 + 8 * i, true)));
    assert.equal(data.getUint32(rsdt + 36 + 4 * i, true), at);
  }
  const fadt = found.get('FACP') as Uint8Array;
  const fadtData = new DataView(fadt.buffer, fadt.byteOffset);
  take(fadtData.getUint32(36, true));
  assert.equal(take(fadtData.getUint32(40, true)), Number(fadtData.getBigUint64(140, true)));
  return found;
}

test('every table is found from the RSDP and sums to zero', () => {
  const tables = findTables(PC);
  assert.deepEqual([...tables.keys()].sort(), ['APIC', 'DSDT', 'FACP', 'FACS', 'HPET', 'RSDT', 'XSDT']);
  const more = findTables(Q35);
  assert.deepEqual([...more.keys()].sort(), ['APIC', 'DMAR', 'DSDT', 'FACP', 'FACS', 'HPET', 'MCFG', 'RSDT', 'XSDT']);
  const mcfg = more.get('MCFG') as Uint8Array;
  assert.deepEqual([new DataView(mcfg.buffer, mcfg.byteOffset).getUint32(44, true), mcfg[54], mcfg[55]], [0xb0000000, 0, 255]);
  for (const [name, bytes] of tables) if (name !== 'FACS') assert.equal(sum(bytes), 0, name);
  assert.equal(tables.get('FACP')?.length, 276);
});

test('the loader script does what placing does', () => {
  const image = tablesOf().acpi;
  const at = 0x7ff0000;
  const files: Record<string, Uint8Array> = { [ACPI_FILES.tables]: image.tables.slice(), [ACPI_FILES.rsdp]: image.rsdp.slice() };
  const script = acpiLoaderScript(image);
  const data = new DataView(script.buffer);
  const name = (from: number): string => String.fromCharCode(...script.subarray(from, from + 56)).replace(/\0.*$/s, '');
  assert.equal(script.length % 128, 0);
  for (let c = 0; c < script.length; c += 128) {
    const code = data.getUint32(c, true);
    const file = files[name(c + 4)];
    assert.ok(file, name(c + 4));
    const view = new DataView(file.buffer);
    if (code === 2) {
      assert.equal(name(c + 60), ACPI_FILES.tables);
      const offset = data.getUint32(c + 116, true);
      view.setUint32(offset, view.getUint32(offset, true) + at, true);
      assert.ok([4, 8].includes(script[c + 120]));
    } else if (code === 3) {
      const start = data.getUint32(c + 64, true);
      file[data.getUint32(c + 60, true)] = -sum(file.subarray(start, start + data.getUint32(c + 68, true))) & 0xff;
    } else assert.equal(code, 1);
  }
  const placed = placeAcpi(image, at);
  assert.deepEqual(files[ACPI_FILES.tables], placed.tables);
  assert.deepEqual(files[ACPI_FILES.rsdp], placed.rsdp);
});

const hasIasl = spawnSync('iasl', ['-v']).status === 0;

for (const model of [PC, Q35])
  test(`iasl disassembles every table of ${model.name} without a warning`, {
    skip: hasIasl ? false : 'iasl (acpica-tools) is not installed',
  }, () => {
    const folder = mkdtempSync(join(tmpdir(), 'anillo-acpi-'));
    try {
      for (const [name, bytes] of findTables(model)) {
        const file = join(folder, `${name}.dat`);
        writeFileSync(file, bytes);
        const result = spawnSync('iasl', ['-d', file], { encoding: 'utf8' });
        assert.equal(result.status, 0, name);
        assert.doesNotMatch(result.stdout + result.stderr, /warning|error|invalid|unknown/i, name);
      }
      const source = join(folder, 'DSDT.dsl');
      for (const expected of [
        /_S3.*Package \(0x04\)/s,
        /_S5.*Package \(0x04\)/s,
        /PNP0A03/,
        /PNP0C0F/,
        /_PRT/,
        /PNP0501/,
        /PNP0B00/,
        /PNP0303/,
        /QEMU0001/,
        /PNP0103/,
        /Method \(_E01/,
        /Notify \(S1F, Arg1\)/,
        /Device \(S03\)[^}]*_SUN, 0x03[^}]*_EJ0[^}]*HPEJ = 0x08/,
        ...(model === Q35 ? [/Method \(_OSC, 4/] : []),
      ])
        assert.match(readFileSync(source, 'utf8'), expected);
      const again = spawnSync('iasl', [source], { encoding: 'utf8' });
      assert.match(again.stdout, /0 Errors, 0 Warnings, 0 Remarks/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
