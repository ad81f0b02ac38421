// x87 (SDM 1 chapter 8): every encoding. Where the manual says that C0, C2 and C3 are undefined they are left out of the comparison (fu=023).

import { parseRows, type Row } from './instruction-row.ts';

const hex = (n: number): string => n.toString(16).padStart(2, '0');

function arithmetic(): string {
  const lines: string[] = [];
  const names = ['fadd', 'fmul', 'fcom', 'fcomp', 'fsub', 'fsubr', 'fdiv', 'fdivr'];
  for (const [i, name] of names.entries()) {
    const effect = name.startsWith('fcom') ? 'fm=0123' : 'fu=023 fm=1';
    lines.push(
      `${name} d8/${i} Mss ${effect}`,
      `${name} dc/${i} Msd ${effect}`,
      `fi${name.slice(1)} da/${i} Md ${effect}`,
      `fi${name.slice(1)} de/${i} Mw ${effect}`,
    );
    lines.push(`${name} d8:${hex(0xc0 + i * 8)}+i ${effect}`);
    if (name.startsWith('fcom')) continue;
    // The register forms with ST(i) as destination swap sub and subr, div and divr; the names here are the d8 row's.
    lines.push(`${name}_i dc:${hex(0xc0 + i * 8)}+i ${effect}`, `${name}p de:${hex(0xc0 + i * 8)}+i ${effect}`);
  }
  return lines.join('\n');
}

function moves(): string {
  const reads = ['c', 'z', 'cz', 'p'];
  const names = ['b', 'e', 'be', 'u'];
  return reads
    .map(
      (r, i) =>
        `fcmov${names[i]} da:${hex(0xc0 + i * 8)}+i r=${r} fu=023 fm=1\nfcmovn${names[i]} db:${hex(0xc0 + i * 8)}+i r=${r} fu=023 fm=1`,
    )
    .join('\n');
}

const X87 = `
fld d9/0 Mss fu=023 fm=1
fst d9/2 Mss fu=023 fm=1
fstp d9/3 Mss fu=023 fm=1
fldenv d9/4 M28 env fm=0123
fldcw d9/5 Mw fu=0123 fcw
fnstenv d9/6 M28 last fr=0123 storenv
fnstcw d9/7 Mw fu=0123
fild db/0 Md fu=023 fm=1
fisttp db/1 Md fu=023 fm=1
fist db/2 Md fu=023 fm=1
fistp db/3 Md fu=023 fm=1
fld db/5 Mt fu=023 fm=1
fstp db/7 Mt fu=023 fm=1
fld dd/0 Msd fu=023 fm=1
fisttp dd/1 Mq fu=023 fm=1
fst dd/2 Msd fu=023 fm=1
fstp dd/3 Msd fu=023 fm=1
frstor dd/4 M108 env fm=0123
fnsave dd/6 M108 last fr=0123 fm=0123 storenv
fnstsw dd/7 Mw fr=0123
fild df/0 Mw fu=023 fm=1
fisttp df/1 Mw fu=023 fm=1
fist df/2 Mw fu=023 fm=1
fistp df/3 Mw fu=023 fm=1
fbld df/4 Mbcd fu=023 fm=1
fild df/5 Mq fu=023 fm=1
fbstp df/6 Mt fu=023 fm=1
fistp df/7 Mq fu=023 fm=1
fld d9:c0+i fu=023 fm=1
fxch d9:c8+i fu=023 fm=1
fnop d9:d0 fu=0123
fchs d9:e0 fu=023 fm=1
fabs d9:e1 fu=023 fm=1
ftst d9:e4 fm=0123
fxam d9:e5 fm=0123
fld1 d9:e8 fu=023 fm=1
fldl2t d9:e9 fu=023 fm=1
fldl2e d9:ea fu=023 fm=1
fldpi d9:eb fu=023 fm=1
fldlg2 d9:ec fu=023 fm=1
fldln2 d9:ed fu=023 fm=1
fldz d9:ee fu=023 fm=1
fxtract d9:f4 fu=023 fm=1
fprem1 d9:f5 fm=0123
fdecstp d9:f6 fu=023 fm=1
fincstp d9:f7 fu=023 fm=1
fprem d9:f8 fm=0123
fsqrt d9:fa fu=023 fm=1
frndint d9:fc fu=023 fm=1
fscale d9:fd fu=023 fm=1
fucompp da:e9 fm=0123
fnclex db:e2 fu=0123
fninit db:e3 fm=0123
fucomi db:e8+i m=oszapc fu=023 fm=1
fcomi db:f0+i m=oszapc fu=023 fm=1
ffree dd:c0+i fu=0123
fst dd:d0+i fu=023 fm=1
fstp dd:d8+i fu=023 fm=1
fucom dd:e0+i fm=0123
fucomp dd:e8+i fm=0123
fcompp de:d9 fm=0123
fnstsw df:e0 imp=ax fr=0123
fucomip df:e8+i m=oszapc fu=023 fm=1
fcomip df:f0+i m=oszapc fu=023 fm=1
fwait 9b
fxsave 0f.ae/0 M512 last al16 fr=0123 storefx
fxrstor 0f.ae/1 M512 al16 fm=0123 fximage
`;

const TRANSCENDENTAL = `
f2xm1 d9:f0 last approx=x87 fu=0123
fyl2x d9:f1 last approx=x87 fu=0123
fptan d9:f2 last approx=x87 fu=013 fm=2
fpatan d9:f3 last approx=x87 fu=0123
fyl2xp1 d9:f9 last approx=x87 fu=0123
fsincos d9:fb last approx=x87 fu=013 fm=2
fsin d9:fe last approx=x87 fu=013 fm=2
fcos d9:ff last approx=x87 fu=013 fm=2
`;

export const X87_ROWS: readonly Row[] = [
  ...parseRows('x87', ['fpu'], `${arithmetic()}\n${moves()}\n${X87}`),
  ...parseRows('transcendental', ['fpu'], TRANSCENDENTAL),
];
