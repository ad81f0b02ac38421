import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cpuModel } from './cpu-model.ts';
import { buildOpcodeTable, Decoder, emptyDecoded } from './decode.ts';
import { SYSTEM_ROWS } from './insn/system.ts';

const decoder = new Decoder(buildOpcodeTable(SYSTEM_ROWS, cpuModel('max')));

test('MOV to and from control and debug registers names a register whatever ModRM.mod says', () => {
  for (const opcode of [0x20, 0x21, 0x22, 0x23]) {
    for (const mod of [0x00, 0x40, 0x80, 0xc0]) {
      const d = emptyDecoded();
      // rm 100 would be a SIB byte in a memory operand.
      assert.equal(decoder.decode(Uint8Array.of(0x0f, opcode, mod | 0x04, 0x90, 0x90, 0x90, 0x90, 0x90), 0, 64, false, d), 'ok');
      assert.deepEqual([d.byteCount, d.mod, d.reg, d.rm], [3, 3, 0, 4]);
    }
  }
});
