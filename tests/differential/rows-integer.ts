// General-purpose instructions (SDM 2 and APM 3), without those that need state across instructions: strings, stack, branches are in
// special-instructions.ts. Undefined flags as SDM 1 appendix A lists them.

import { parseRows, type Row } from './instruction-row.ts';

const hex = (n: number): string => n.toString(16).padStart(2, '0');
const CONDITION_READS = ['o', 'o', 'c', 'c', 'z', 'z', 'cz', 'cz', 's', 's', 'p', 'p', 'so', 'so', 'zso', 'zso'];
const CONDITION_NAME = ['o', 'no', 'b', 'ae', 'e', 'ne', 'be', 'a', 's', 'ns', 'p', 'np', 'l', 'ge', 'le', 'g'];

function arithmetic(): string {
  const lines: string[] = [];
  for (const [i, name] of ['add', 'or', 'adc', 'sbb', 'and', 'sub', 'xor', 'cmp'].entries()) {
    const logic = name === 'or' || name === 'and' || name === 'xor';
    const flags = `${logic ? 'u=a m=oszpc' : 'm=oszapc'}${name === 'adc' || name === 'sbb' ? ' r=c' : ''}`;
    const lock = name === 'cmp' ? '' : 'lock';
    lines.push(`${name} ${hex(i * 8)} Eb,Gb ${lock} ${flags}`, `${name} ${hex(i * 8 + 1)} Ev,Gv ${lock} ${flags}`);
    lines.push(`${name} ${hex(i * 8 + 2)} Gb,Eb ${flags}`, `${name} ${hex(i * 8 + 3)} Gv,Ev ${flags}`);
    lines.push(`${name} ${hex(i * 8 + 4)} Ib imp=ax ${flags}`, `${name} ${hex(i * 8 + 5)} Iz imp=ax ov ${flags}`);
    lines.push(
      `${name} 80/${i} Eb,Ib ${lock} ${flags}`,
      `${name} 81/${i} Ev,Iz ${lock} ${flags}`,
      `${name} 83/${i} Ev,Ib ${lock} ${flags}`,
    );
    lines.push(`${name} 82/${i} Eb,Ib i64 ${lock} ${flags}`);
  }
  return lines.join('\n');
}

function shifts(): string {
  const kinds = ['rotate', 'rotate', 'carry', 'carry', 'logical', 'logical', 'logical', 'arithmetic'];
  const lines: string[] = [];
  for (const [i, name] of ['rol', 'ror', 'rcl', 'rcr', 'shl', 'shr', 'sal', 'sar'].entries()) {
    const options = `shift=${kinds[i]}${kinds[i] === 'carry' ? ' r=c' : ''}`;
    for (const [op, operands] of Object.entries({ c0: 'Eb,Ib', c1: 'Ev,Ib', d0: 'Eb,1', d1: 'Ev,1', d2: 'Eb,CL', d3: 'Ev,CL' })) {
      lines.push(`${name} ${op}/${i} ${operands} ${options}`);
    }
  }
  return lines.join('\n');
}

function conditional(): string {
  return CONDITION_NAME.map(
    (c, i) => `set${c} 0f.${hex(0x90 + i)} Eb r=${CONDITION_READS[i]}\ncmov${c} 0f.${hex(0x40 + i)} Gv,Ev r=${CONDITION_READS[i]}`,
  ).join('\n');
}

const BASE = `
test 84 Eb,Gb u=a m=oszpc
test 85 Ev,Gv u=a m=oszpc
test a8 Ib imp=ax u=a m=oszpc
test a9 Iz imp=ax ov u=a m=oszpc
test f6/0 Eb,Ib u=a m=oszpc
test f7/0 Ev,Iz u=a m=oszpc
test f6/1 Eb,Ib u=a m=oszpc
test f7/1 Ev,Iz u=a m=oszpc
not f6/2 Eb lock
not f7/2 Ev lock
neg f6/3 Eb lock m=oszapc
neg f7/3 Ev lock m=oszapc
mul f6/4 Eb imp=ax u=szap m=oc
mul f7/4 Ev imp=ax+dx u=szap m=oc
imul f6/5 Eb imp=ax u=szap m=oc
imul f7/5 Ev imp=ax+dx u=szap m=oc
div f6/6 Eb imp=ax u=oszapc divide
div f7/6 Ev imp=ax+dx u=oszapc divide
idiv f6/7 Eb imp=ax u=oszapc divide
idiv f7/7 Ev imp=ax+dx u=oszapc divide
imul 0f.af Gv,Ev u=szap m=oc
imul 69 Gv,Ev,Iz u=szap m=oc
imul 6b Gv,Ev,Ib u=szap m=oc
inc fe/0 Eb lock m=oszap
inc ff/0 Ev lock m=oszap
dec fe/1 Eb lock m=oszap
dec ff/1 Ev lock m=oszap
inc 40+r Zv i64 m=oszap
dec 48+r Zv i64 m=oszap
shld 0f.a4 Ev,Gv,Ib shift=double
shrd 0f.ac Ev,Gv,Ib shift=double
shld 0f.a5 Ev,Gv,CL shift=double
shrd 0f.ad Ev,Gv,CL shift=double
bt 0f.a3 Ev,Gv u=osap m=c bitoffset
bts 0f.ab Ev,Gv lock u=osap m=c bitoffset
btr 0f.b3 Ev,Gv lock u=osap m=c bitoffset
btc 0f.bb Ev,Gv lock u=osap m=c bitoffset
bt 0f.ba/4 Ev,Ib u=osap m=c
bts 0f.ba/5 Ev,Ib lock u=osap m=c
btr 0f.ba/6 Ev,Ib lock u=osap m=c
btc 0f.ba/7 Ev,Ib lock u=osap m=c
bsf 0f.bc Gv,Ev u=osapc m=z
bsr 0f.bd Gv,Ev u=osapc m=z
xadd 0f.c0 Eb,Gb lock m=oszapc
xadd 0f.c1 Ev,Gv lock m=oszapc
cmpxchg 0f.b0 Eb,Gb lock imp=ax m=oszapc cmpxchg
cmpxchg 0f.b1 Ev,Gv lock imp=ax m=oszapc cmpxchg
cmpxchg8b 0f.c7/1 Mq lock imp=ax+dx+bx+cx m=z cmpxchg w0
xchg 86 Eb,Gb lock
xchg 87 Ev,Gv lock
xchg 90+r Zv imp=ax
mov 88 Eb,Gb
mov 89 Ev,Gv
mov 8a Gb,Eb
mov 8b Gv,Ev
mov c6/0 Eb,Ib
mov c7/0 Ev,Iz
mov b0+r Zb,Ib
mov b8+r Zv,Iv
mov a0 Ob imp=ax
mov a1 Ov imp=ax
mov a2 Ob imp=ax
mov a3 Ov imp=ax
movzx 0f.b6 Gv,Eb
movzx 0f.b7 Gv,Ew
movsx 0f.be Gv,Eb
movsx 0f.bf Gv,Ew
movsxd 63 Gy,Ed o64
lea 8d Gv,M0
bswap 0f.c8+r Zy
lahf 9f r=szapc imp=ax
sahf 9e m=szapc imp=ax
cbw 98 imp=ax ov
cwd 99 imp=ax+dx ov
stc f9 m=c
clc f8 m=c
cmc f5 m=c r=c
cld fc
std fd
nop 90
nop 0f.1f/0 Ev noaccess
endbr f3.0f.1e fixed=fa
pause f3.90
prefetch 0f.18/0 M0
prefetch 0f.18/1 M0
prefetch 0f.18/2 M0
prefetch 0f.18/3 M0
prefetchw 0f.0d/1 M0
aaa 37 i64 imp=ax u=oszp m=ac r=a
aas 3f i64 imp=ax u=oszp m=ac r=a
daa 27 i64 imp=ax u=o m=szapc r=ac
das 2f i64 imp=ax u=o m=szapc r=ac
aam d4 Ib i64 imp=ax u=oac m=szp
aad d5 Ib i64 imp=ax u=oac m=szp
salc d6 i64 imp=ax r=c
arpl 63 Ew,Gw i64 m=z
bound 62 Gv,M8 i64
into ce i64 r=o
`;

const STACK = `
push 50+r Zv f64 imp=sp
pop 58+r Zv f64 imp=sp
push 68 Iz f64 imp=sp
push 6a Ib f64 imp=sp
push ff/6 Ev f64 imp=sp
pop 8f/0 Ev f64 imp=sp
pushf 9c f64 imp=sp r=oszapc
pusha 60 ov i64 imp=sp
popa 61 ov i64 imp=ax+cx+dx+bx+sp+bp+si+di
`;

const FAULTING = `
ud2 0f.0b
ud1 0f.b9 Gd,Rd
int3 cc
int1 f1
hlt f4
cli fa
in ec
out ee
clts 0f.06
wbinvd 0f.09
rdmsr 0f.32
`;

const BMI1 = `
tzcnt f3.0f.bc Gv,Ev u=osap m=zc
andn vex.0f38.f2 Gy,By,Ey u=ap m=oszc
bextr vex.0f38.f7 Gy,Ey,By u=sap m=ozc bextr
blsr vex.0f38.f3/1 By,Ey u=ap m=oszc
blsmsk vex.0f38.f3/2 By,Ey u=ap m=oszc
blsi vex.0f38.f3/3 By,Ey u=ap m=oszc
`;

const BMI2 = `
bzhi vex.0f38.f5 Gy,Ey,By u=ap m=oszc
mulx vex.f2.0f38.f6 Gy,By,Ey imp=dx
pdep vex.f2.0f38.f5 Gy,By,Ey
pext vex.f3.0f38.f5 Gy,By,Ey
rorx vex.f2.0f3a.f0 Gy,Ey,Ib
sarx vex.f3.0f38.f7 Gy,Ey,By
shlx vex.66.0f38.f7 Gy,Ey,By
shrx vex.f2.0f38.f7 Gy,Ey,By
`;

export const INTEGER_ROWS: readonly Row[] = [
  ...parseRows('base', ['base'], `${arithmetic()}\n${conditional()}\n${BASE}`),
  ...parseRows('shift', ['base'], shifts()),
  ...parseRows('stack', ['base'], STACK),
  ...parseRows('fault', ['base'], FAULTING),
  ...parseRows('cx16', ['cx16'], 'cmpxchg16b 0f.c7/1 Mdq lock o64 w1 al imp=ax+dx+bx+cx m=z cmpxchg'),
  ...parseRows('popcnt', ['popcnt'], 'popcnt f3.0f.b8 Gv,Ev m=oszapc'),
  ...parseRows('lzcnt', ['lzcnt'], 'lzcnt f3.0f.bd Gv,Ev u=osap m=zc'),
  ...parseRows('movbe', ['movbe'], 'movbe 0f38.f0 Gv,Mv\nmovbe 0f38.f1 Mv,Gv'),
  ...parseRows('adx', ['adx'], 'adcx 66.0f38.f6 Gy,Ey r=c m=c\nadox f3.0f38.f6 Gy,Ey r=o m=o'),
  ...parseRows('bmi1', ['bmi1'], BMI1),
  ...parseRows('bmi2', ['bmi2'], BMI2),
  ...parseRows('sse4_2', ['sse4_2'], 'crc32 f2.0f38.f0 Gy,Eb\ncrc32 f2.0f38.f1 Gv,Ev'),
  ...parseRows(
    'sse2',
    ['sse2'],
    'movnti 0f.c3 My,Gy\nlfence 0f.ae fixed=e8\nmfence 0f.ae fixed=f0\nsfence 0f.ae fixed=f8\nclflush 0f.ae/7 Mb',
  ),
];
