// Registers as gdb counts them, and the target description that tells it so (gdb manual, "Target Descriptions" and "i386 Features").
// The order of this table is the order of the `g` packet.

export interface GdbRegister {
  readonly name: string;
  readonly bits: 16 | 32 | 64 | 80 | 128;
  readonly type: string;
}

interface Feature {
  readonly name: string;
  readonly prelude?: string;
  readonly registers: readonly GdbRegister[];
}

export type GdbArchitecture = 'i386:x86-64' | 'i386';

const FLAG_NAMES: readonly (readonly [string, number])[] = [
  ['CF', 0],
  ['PF', 2],
  ['AF', 4],
  ['ZF', 6],
  ['SF', 7],
  ['TF', 8],
  ['IF', 9],
  ['DF', 10],
  ['OF', 11],
  ['NT', 14],
  ['RF', 16],
  ['VM', 17],
  ['AC', 18],
  ['VIF', 19],
  ['VIP', 20],
  ['ID', 21],
];

const FLAGS_TYPE = `<flags id="x86_eflags" size="4">${FLAG_NAMES.map(([name, bit]) => `<field name="${name}" start="${bit}" end="${bit}"/>`).join('')}</flags>`;

const VECTOR_TYPES =
  '<vector id="v4f" type="ieee_single" count="4"/><vector id="v2d" type="ieee_double" count="2"/><vector id="v16i8" type="int8" count="16"/>' +
  '<vector id="v8i16" type="int16" count="8"/><vector id="v4i32" type="int32" count="4"/><vector id="v2i64" type="int64" count="2"/>' +
  '<union id="vec128"><field name="v4_float" type="v4f"/><field name="v2_double" type="v2d"/><field name="v16_int8" type="v16i8"/>' +
  '<field name="v8_int16" type="v8i16"/><field name="v4_int32" type="v4i32"/><field name="v2_int64" type="v2i64"/><field name="uint128" type="uint128"/></union>';

const list = (names: string, bits: GdbRegister['bits'], type: string): GdbRegister[] =>
  names.split(' ').map((name) => ({ name, bits, type }));
const range = (prefix: string, count: number): string => Array.from({ length: count }, (_, index) => `${prefix}${index}`).join(' ');

function features(architecture: GdbArchitecture): readonly Feature[] {
  const wide = architecture === 'i386:x86-64';
  const bits = wide ? 64 : 32;
  const general = wide
    ? [
        ...list('rax rbx rcx rdx rsi rdi', 64, 'int64'),
        ...list('rbp rsp', 64, 'data_ptr'),
        ...list('r8 r9 r10 r11 r12 r13 r14 r15', 64, 'int64'),
        ...list('rip', 64, 'code_ptr'),
      ]
    : [
        ...list('eax ecx edx ebx', 32, 'int32'),
        ...list('esp ebp', 32, 'data_ptr'),
        ...list('esi edi', 32, 'int32'),
        ...list('eip', 32, 'code_ptr'),
      ];
  return [
    {
      name: 'org.gnu.gdb.i386.core',
      prelude: FLAGS_TYPE,
      registers: [
        ...general,
        ...list('eflags', 32, 'x86_eflags'),
        ...list('cs ss ds es fs gs', 32, 'int32'),
        ...list(range('st', 8), 80, 'i387_ext'),
        ...list('fctrl fstat ftag fiseg fioff foseg fooff fop', 32, 'int'),
      ],
    },
    {
      name: 'org.gnu.gdb.i386.sse',
      prelude: VECTOR_TYPES,
      registers: [...list(range('xmm', wide ? 16 : 8), 128, 'vec128'), ...list('mxcsr', 32, 'int')],
    },
    ...(wide ? [{ name: 'org.gnu.gdb.i386.segments', registers: list('fs_base gs_base', 64, 'int64') }] : []),
    {
      name: 'org.anillo.x86.system',
      registers: [
        ...list('cr0 cr2 cr3 cr4', bits, bits === 64 ? 'int64' : 'int32'),
        ...(wide ? list('cr8 efer k_gs_base', 64, 'int64') : []),
      ],
    },
  ];
}

export interface GdbDescription {
  readonly registers: readonly GdbRegister[];
  readonly pc: string;
  readonly targetXml: string;
}

export function gdbDescription(architecture: GdbArchitecture): GdbDescription {
  const all = features(architecture);
  const body = all
    .map(({ name, prelude = '', registers }) => {
      const lines = registers.map((register) => `<reg name="${register.name}" bitsize="${register.bits}" type="${register.type}"/>`);
      return `<feature name="${name}">${prelude}${lines.join('')}</feature>`;
    })
    .join('');
  return {
    registers: all.flatMap((feature) => feature.registers),
    pc: architecture === 'i386' ? 'eip' : 'rip',
    targetXml: `<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd"><target version="1.0"><architecture>${architecture}</architecture>${body}</target>`,
  };
}
