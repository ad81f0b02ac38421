// MMX, SSE to SSE4.2, AES, PCLMULQDQ, SHA, AVX, AVX2, FMA and F16C. The VEX and MMX forms of SSE instructions come from the SSE rows.

import { parseRows, type Row } from './instruction-row.ts';

const hex = (n: number): string => n.toString(16).padStart(2, '0');

/** The four-fold families: np ps, 66 pd, f3 ss, f2 sd. */
function fourfold(): { sse: string; sse2: string } {
  const sse: string[] = [];
  const sse2: string[] = [];
  for (const [name, op] of Object.entries({ add: '58', mul: '59', sub: '5c', min: '5d', div: '5e', max: '5f' })) {
    sse.push(`${name}ps 0f.${op} Vps,Wps v3`, `${name}ss f3.0f.${op} Vss,Wss v3s`);
    sse2.push(`${name}pd 66.0f.${op} Vpd,Wpd v3`, `${name}sd f2.0f.${op} Vsd,Wsd v3s`);
  }
  for (const [name, op] of Object.entries({ and: '54', andn: '55', or: '56', xor: '57', unpckl: '14', unpckh: '15' })) {
    sse.push(`${name}ps 0f.${op} Vps,Wps v3`);
    sse2.push(`${name}pd 66.0f.${op} Vpd,Wpd v3`);
  }
  for (const [name, op] of Object.entries({ ucomis: '2e', comis: '2f' })) {
    sse.push(`${name}s 0f.${op} Vss,Wss v2s m=oszapc`);
    sse2.push(`${name}d 66.0f.${op} Vsd,Wsd v2s m=oszapc`);
  }
  for (const [name, op] of Object.entries({ cvttss2si: '2c', cvtss2si: '2d' })) sse.push(`${name} f3.0f.${op} Gy,Wss v2s`);
  for (const [name, op] of Object.entries({ cvttsd2si: '2c', cvtsd2si: '2d' })) sse2.push(`${name} f2.0f.${op} Gy,Wsd v2s`);
  return { sse: sse.join('\n'), sse2: sse2.join('\n') };
}

const SSE = `
movups 0f.10 Vps,Wps v2 mu
movups 0f.11 Wps,Vps v2 mu
movss f3.0f.10 Vss,Mss v2s
movss f3.0f.10 Vss,Uss v3s
movss f3.0f.11 Mss,Vss v2s
movss f3.0f.11 Uss,Vss v3s
movlps 0f.12 Vps,Mq v3x
movlps 0f.13 Mq,Vps v2x
movhlps 0f.12 Vps,Ups v3x
movhps 0f.16 Vps,Mq v3x
movhps 0f.17 Mq,Vps v2x
movlhps 0f.16 Vps,Ups v3x
movaps 0f.28 Vps,Wps v2 al
movaps 0f.29 Wps,Vps v2 al
movntps 0f.2b Mps,Vps v2 al
cvtpi2ps 0f.2a Vps,Qq
cvttps2pi 0f.2c Pq,W/2ps
cvtps2pi 0f.2d Pq,W/2ps
cvtsi2ss f3.0f.2a Vss,Ey v3s
movmskps 0f.50 Gd,Ups v2
sqrtps 0f.51 Vps,Wps v2
sqrtss f3.0f.51 Vss,Wss v3s
rsqrtps 0f.52 Vps,Wps v2 approx=f32 last
rsqrtss f3.0f.52 Vss,Wss v3s approx=f32 last
rcpps 0f.53 Vps,Wps v2 approx=f32 last
rcpss f3.0f.53 Vss,Wss v3s approx=f32 last
cmpps 0f.c2 Vps,Wps,Ib v3 predicate
cmpss f3.0f.c2 Vss,Wss,Ib v3s predicate
shufps 0f.c6 Vps,Wps,Ib v3
ldmxcsr 0f.ae/2 Md v2x mxcsr
stmxcsr 0f.ae/3 Md v2x
maskmovq 0f.f7 Pq,Nq imp=di maskmov
movntq 0f.e7 Mq,Pq
pshufw 0f.70 Pq,Qq,Ib
`;

const SSE2 = `
movupd 66.0f.10 Vpd,Wpd v2 mu
movupd 66.0f.11 Wpd,Vpd v2 mu
movsd f2.0f.10 Vsd,Msd v2s
movsd f2.0f.10 Vsd,Usd v3s
movsd f2.0f.11 Msd,Vsd v2s
movsd f2.0f.11 Usd,Vsd v3s
movlpd 66.0f.12 Vpd,Mq v3x
movlpd 66.0f.13 Mq,Vpd v2x
movhpd 66.0f.16 Vpd,Mq v3x
movhpd 66.0f.17 Mq,Vpd v2x
movapd 66.0f.28 Vpd,Wpd v2 al
movapd 66.0f.29 Wpd,Vpd v2 al
movntpd 66.0f.2b Mpd,Vpd v2 al
cvtpi2pd 66.0f.2a Vpd,Qq
cvttpd2pi 66.0f.2c Pq,Wpd
cvtpd2pi 66.0f.2d Pq,Wpd
cvtsi2sd f2.0f.2a Vsd,Ey v3s
movmskpd 66.0f.50 Gd,Upd v2
sqrtpd 66.0f.51 Vpd,Wpd v2
sqrtsd f2.0f.51 Vsd,Wsd v3s
cvtps2pd 0f.5a Vpd,W/2ps v2
cvtpd2ps 66.0f.5a Vps,Wpd v2
cvtss2sd f3.0f.5a Vsd,Wss v3s
cvtsd2ss f2.0f.5a Vss,Wsd v3s
cvtdq2ps 0f.5b Vps,Wx v2
cvtps2dq 66.0f.5b Vx,Wps v2
cvttps2dq f3.0f.5b Vx,Wps v2
cvtdq2pd f3.0f.e6 Vpd,W/2x v2
cvtpd2dq f2.0f.e6 Vx,Wpd v2
cvttpd2dq 66.0f.e6 Vx,Wpd v2
cmppd 66.0f.c2 Vpd,Wpd,Ib v3 predicate
cmpsd f2.0f.c2 Vsd,Wsd,Ib v3s predicate
shufpd 66.0f.c6 Vpd,Wpd,Ib v3
movd 66.0f.6e Vx,Ey v2x
movd 66.0f.7e Ey,Vx v2x
movd 0f.6e Pq,Ey
movd 0f.7e Ey,Pq
movq 0f.6f Pq,Qq
movq 0f.7f Qq,Pq
movq f3.0f.7e Vx,Wq v2x
movq 66.0f.d6 Wq,Vx v2x
movdqa 66.0f.6f Vx,Wx v2 al
movdqa 66.0f.7f Wx,Vx v2 al
movdqu f3.0f.6f Vx,Wx v2 mu
movdqu f3.0f.7f Wx,Vx v2 mu
movntdq 66.0f.e7 Mx,Vx v2 al
movq2dq f3.0f.d6 Vx,Nq
movdq2q f2.0f.d6 Pq,Uq
maskmovdqu 66.0f.f7 Vx,Ux imp=di maskmov v2x
pshufd 66.0f.70 Vx,Wx,Ib v2i
pshufhw f3.0f.70 Vx,Wx,Ib v2i
pshuflw f2.0f.70 Vx,Wx,Ib v2i
pmovmskb 66.0f.d7 Gd,Ux v2i mmxext
pinsrw 66.0f.c4 Vx,E2,Ib v3x mmxext
pextrw 66.0f.c5 Gd,Ux,Ib v2x mmxext
psrlw 66.0f.71/2 Ux,Ib v3i vd mmx
psraw 66.0f.71/4 Ux,Ib v3i vd mmx
psllw 66.0f.71/6 Ux,Ib v3i vd mmx
psrld 66.0f.72/2 Ux,Ib v3i vd mmx
psrad 66.0f.72/4 Ux,Ib v3i vd mmx
pslld 66.0f.72/6 Ux,Ib v3i vd mmx
psrlq 66.0f.73/2 Ux,Ib v3i vd mmx
psrldq 66.0f.73/3 Ux,Ib v3i vd
psllq 66.0f.73/6 Ux,Ib v3i vd mmx
pslldq 66.0f.73/7 Ux,Ib v3i vd
emms 0f.77
`;

/** Packed integer instructions Vx,Wx with 66.0f. and an MMX form: opcode name. */
const PACKED = `60 punpcklbw half|61 punpcklwd half|62 punpckldq half|63 packsswb|64 pcmpgtb|65 pcmpgtw|66 pcmpgtd|67 packuswb|68 punpckhbw|69 punpckhwd|6a punpckhdq
6b packssdw|74 pcmpeqb|75 pcmpeqw|76 pcmpeqd|d1 psrlw count|d2 psrld count|d3 psrlq count|d5 pmullw|d8 psubusb|d9 psubusw|db pand|dc paddusb|dd paddusw|df pandn
e1 psraw count|e2 psrad count|e5 pmulhw|e8 psubsb|e9 psubsw|eb por|ec paddsb|ed paddsw|ef pxor|f1 psllw count|f2 pslld count|f3 psllq count|f5 pmaddwd
f8 psubb|f9 psubw|fa psubd|fc paddb|fd paddw|fe paddd`;
const PACKED_EXT = 'da pminub|de pmaxub|ea pminsw|ee pmaxsw|e0 pavgb|e3 pavgw|e4 pmulhuw|f6 psadbw';
const PACKED_2 = 'd4 paddq|fb psubq|f4 pmuludq';
const PACKED_SSE2_ONLY = '6c punpcklqdq|6d punpckhqdq';
const PACKED_SSSE3 =
  '00 pshufb|01 phaddw|02 phaddd|03 phaddsw|04 pmaddubsw|05 phsubw|06 phsubd|07 phsubsw|08 psignb|09 psignw|0a psignd|0b pmulhrsw';
const PACKED_SSE41 =
  '28 pmuldq|29 pcmpeqq|2b packusdw|38 pminsb|39 pminsd|3a pminuw|3b pminud|3c pmaxsb|3d pmaxsd|3e pmaxuw|3f pmaxud|40 pmulld';

/** punpckl reads 4 bytes only in its MMX form; shift counts are 16 bytes even in 256-bit forms. */
function packed(list: string, map: string, mmx: string): string {
  return list
    .split(/[|\n]/)
    .map((entry) => {
      const [op, name, extra] = entry.trim().split(' ');
      return `${name} 66.${map}.${op} Vx,${extra === 'count' ? 'Wdq' : 'Wx'} v3i ${mmx} ${extra ?? ''}`;
    })
    .join('\n');
}

const SSE3 = `
addsubps f2.0f.d0 Vps,Wps v3
addsubpd 66.0f.d0 Vpd,Wpd v3
haddps f2.0f.7c Vps,Wps v3
haddpd 66.0f.7c Vpd,Wpd v3
hsubps f2.0f.7d Vps,Wps v3
hsubpd 66.0f.7d Vpd,Wpd v3
movddup f2.0f.12 Vpd,Wsd v2x
movsldup f3.0f.12 Vps,Wps v2
movshdup f3.0f.16 Vps,Wps v2
lddqu f2.0f.f0 Vx,Mx v2 mu
`;

const SSSE3 = `
pabsb 66.0f38.1c Vx,Wx v2i mmx
pabsw 66.0f38.1d Vx,Wx v2i mmx
pabsd 66.0f38.1e Vx,Wx v2i mmx
palignr 66.0f3a.0f Vx,Wx,Ib v3i mmx
`;

function extensions(opcode: number, name: string): string {
  const kinds = ['bw /2x', 'bd /4x', 'bq /8x', 'wd /2x', 'wq /4x', 'dq /2x'];
  return kinds.map((kind, i) => `${name}${kind.slice(0, 2)} 66.0f38.${hex(opcode + i)} Vx,W${kind.slice(3)} v2i`).join('\n');
}

const SSE41 = `
pblendvb 66.0f38.10 Vx,Wx
blendvps 66.0f38.14 Vps,Wps
blendvpd 66.0f38.15 Vpd,Wpd
ptest 66.0f38.17 Vx,Wx v2 m=oszapc
movntdqa 66.0f38.2a Vx,Mx v2i al
phminposuw 66.0f38.41 Vx,Wx v2x
roundps 66.0f3a.08 Vps,Wps,Ib v2
roundpd 66.0f3a.09 Vpd,Wpd,Ib v2
roundss 66.0f3a.0a Vss,Wss,Ib v3s
roundsd 66.0f3a.0b Vsd,Wsd,Ib v3s
blendps 66.0f3a.0c Vps,Wps,Ib v3
blendpd 66.0f3a.0d Vpd,Wpd,Ib v3
pblendw 66.0f3a.0e Vx,Wx,Ib v3i
pextrb 66.0f3a.14 E1,Vx,Ib v2x
pextrw 66.0f3a.15 E2,Vx,Ib v2x
pextrd 66.0f3a.16 Ey,Vx,Ib v2x
extractps 66.0f3a.17 Ed,Vx,Ib v2x
pinsrb 66.0f3a.20 Vx,E1,Ib v3x
insertps 66.0f3a.21 Vps,Wss,Ib v3x
pinsrd 66.0f3a.22 Vx,Ey,Ib v3x
dpps 66.0f3a.40 Vps,Wps,Ib v3
dppd 66.0f3a.41 Vpd,Wpd,Ib v3x
mpsadbw 66.0f3a.42 Vx,Wx,Ib v3i
`;

const SSE42 = `
pcmpgtq 66.0f38.37 Vx,Wx v3i
pcmpestrm 66.0f3a.60 Vx,Wx,Ib v2x mu imp=ax+dx m=oszapc lengths
pcmpestri 66.0f3a.61 Vx,Wx,Ib v2x mu imp=ax+dx+cx m=oszapc lengths
pcmpistrm 66.0f3a.62 Vx,Wx,Ib v2x mu m=oszapc
pcmpistri 66.0f3a.63 Vx,Wx,Ib v2x mu imp=cx m=oszapc
`;

const AES = `
aesimc 66.0f38.db Vx,Wx v2x
aesenc 66.0f38.dc Vx,Wx v3x
aesenclast 66.0f38.dd Vx,Wx v3x
aesdec 66.0f38.de Vx,Wx v3x
aesdeclast 66.0f38.df Vx,Wx v3x
aeskeygenassist 66.0f3a.df Vx,Wx,Ib v2x
`;

const SHA = `
sha1nexte 0f38.c8 Vx,Wx
sha1msg1 0f38.c9 Vx,Wx
sha1msg2 0f38.ca Vx,Wx
sha256rnds2 0f38.cb Vx,Wx
sha256msg1 0f38.cc Vx,Wx
sha256msg2 0f38.cd Vx,Wx
sha1rnds4 0f3a.cc Vx,Wx,Ib
`;

const AVX = `
vmovddup vex.f2.0f.12 Vpd,Wpd l1
vbroadcastss vex.66.0f38.18 Vps,Mss w0
vbroadcastsd vex.66.0f38.19 Vpd,Msd w0 l1
vbroadcastf128 vex.66.0f38.1a Vx,Mdq w0 l1
vtestps vex.66.0f38.0e Vps,Wps w0 m=oszapc
vtestpd vex.66.0f38.0f Vpd,Wpd w0 m=oszapc
vmaskmovps vex.66.0f38.2c Vps,Hps,Mps w0 masked
vmaskmovpd vex.66.0f38.2d Vpd,Hpd,Mpd w0 masked
vmaskmovps vex.66.0f38.2e Mps,Hps,Vps w0 masked
vmaskmovpd vex.66.0f38.2f Mpd,Hpd,Vpd w0 masked
vpermilps vex.66.0f38.0c Vps,Hps,Wps w0
vpermilpd vex.66.0f38.0d Vpd,Hpd,Wpd w0
vpermilps vex.66.0f3a.04 Vps,Wps,Ib w0
vpermilpd vex.66.0f3a.05 Vpd,Wpd,Ib w0
vperm2f128 vex.66.0f3a.06 Vx,Hx,Wx,Ib w0 l1
vinsertf128 vex.66.0f3a.18 Vx,Hx,Wdq,Ib w0 l1
vextractf128 vex.66.0f3a.19 Wdq,Vx,Ib w0 l1
vblendvps vex.66.0f3a.4a Vps,Hps,Wps,Lx w0
vblendvpd vex.66.0f3a.4b Vpd,Hpd,Wpd,Lx w0
vpblendvb vex.66.0f3a.4c Vx,Hx,Wx,Lx w0 l0
vzeroupper vex.0f.77 l0
vzeroall vex.0f.77 l1
`;

const AVX2 = `
vpblendvb vex.66.0f3a.4c Vx,Hx,Wx,Lx w0 l1
vbroadcastss vex.66.0f38.18 Vps,Ups w0
vbroadcastsd vex.66.0f38.19 Vpd,Upd w0 l1
vpbroadcastb vex.66.0f38.78 Vx,W1 w0
vpbroadcastw vex.66.0f38.79 Vx,W2 w0
vpbroadcastd vex.66.0f38.58 Vx,W4 w0
vpbroadcastq vex.66.0f38.59 Vx,W8 w0
vbroadcasti128 vex.66.0f38.5a Vx,Mdq w0 l1
vpsrlvd vex.66.0f38.45 Vx,Hx,Wx w0 counts
vpsrlvq vex.66.0f38.45 Vx,Hx,Wx w1 counts
vpsravd vex.66.0f38.46 Vx,Hx,Wx w0 counts
vpsllvd vex.66.0f38.47 Vx,Hx,Wx w0 counts
vpsllvq vex.66.0f38.47 Vx,Hx,Wx w1 counts
vpblendd vex.66.0f3a.02 Vx,Hx,Wx,Ib w0
vpermps vex.66.0f38.16 Vps,Hps,Wps w0 l1
vpermd vex.66.0f38.36 Vx,Hx,Wx w0 l1
vpermq vex.66.0f3a.00 Vx,Wx,Ib w1 l1
vpermpd vex.66.0f3a.01 Vpd,Wpd,Ib w1 l1
vperm2i128 vex.66.0f3a.46 Vx,Hx,Wx,Ib w0 l1
vinserti128 vex.66.0f3a.38 Vx,Hx,Wdq,Ib w0 l1
vextracti128 vex.66.0f3a.39 Wdq,Vx,Ib w0 l1
vpmaskmovd vex.66.0f38.8c Vx,Hx,Mx w0 masked
vpmaskmovq vex.66.0f38.8c Vx,Hx,Mx w1 masked
vpmaskmovd vex.66.0f38.8e Mx,Hx,Vx w0 masked
vpmaskmovq vex.66.0f38.8e Mx,Hx,Vx w1 masked
vpgatherdd vex.66.0f38.90 Vx,Xd,Hx w0
vpgatherdq vex.66.0f38.90 Vx,Xd,Hx w1
vpgatherqd vex.66.0f38.91 Vx,Xq,Hx w0
vpgatherqq vex.66.0f38.91 Vx,Xq,Hx w1
vgatherdps vex.66.0f38.92 Vps,Xd,Hps w0
vgatherdpd vex.66.0f38.92 Vpd,Xd,Hpd w1
vgatherqps vex.66.0f38.93 Vps,Xq,Hps w0
vgatherqpd vex.66.0f38.93 Vpd,Xq,Hpd w1
`;

function fma(): string {
  const lines: string[] = [];
  for (const [high, order] of [
    [0x90, '132'],
    [0xa0, '213'],
    [0xb0, '231'],
  ] as const) {
    for (const [low, name] of [
      [6, 'fmaddsub'],
      [7, 'fmsubadd'],
      [8, 'fmadd'],
      [0xa, 'fmsub'],
      [0xc, 'fnmadd'],
      [0xe, 'fnmsub'],
    ] as const) {
      lines.push(
        `v${name}${order}ps vex.66.0f38.${hex(high + low)} Vps,Hps,Wps w0`,
        `v${name}${order}pd vex.66.0f38.${hex(high + low)} Vpd,Hpd,Wpd w1`,
      );
      if (low < 8) continue;
      lines.push(
        `v${name}${order}ss vex.66.0f38.${hex(high + low + 1)} Vss,Hss,Wss w0 l0 lig`,
        `v${name}${order}sd vex.66.0f38.${hex(high + low + 1)} Vsd,Hsd,Wsd w1 l0 lig`,
      );
    }
  }
  return lines.join('\n');
}

const F16C = `
vcvtph2ps vex.66.0f38.13 Vps,W/2ph w0
vcvtps2ph vex.66.0f3a.1d W/2ph,Vps,Ib w0
`;

export const VECTOR_ROWS: readonly Row[] = [
  ...parseRows('sse', ['sse'], `${fourfold().sse}\n${SSE}`),
  ...parseRows('sse2', ['sse2'], `${fourfold().sse2}\n${SSE2}\n${packed(PACKED, '0f', 'mmx')}\n${packed(PACKED_EXT, '0f', 'mmxext')}`),
  ...parseRows('sse2', ['sse2'], `${packed(PACKED_2, '0f', 'mmx2')}\n${packed(PACKED_SSE2_ONLY, '0f', '')}`),
  ...parseRows('sse3', ['sse3'], SSE3),
  ...parseRows('ssse3', ['ssse3'], `${SSSE3}\n${packed(PACKED_SSSE3, '0f38', 'mmx')}`),
  ...parseRows(
    'sse4_1',
    ['sse4_1'],
    `${SSE41}\n${packed(PACKED_SSE41, '0f38', '')}\n${extensions(0x20, 'pmovsx')}\n${extensions(0x30, 'pmovzx')}`,
  ),
  ...parseRows('sse4_2', ['sse4_2'], SSE42),
  ...parseRows('aes', ['aes'], AES),
  ...parseRows('pclmulqdq', ['pclmulqdq'], 'pclmulqdq 66.0f3a.44 Vx,Wx,Ib v3x'),
  ...parseRows('sha', ['sha_ni'], SHA),
  ...parseRows('avx', ['avx'], AVX),
  ...parseRows('avx2', ['avx2'], AVX2),
  ...parseRows('fma', ['fma'], fma()),
  ...parseRows('f16c', ['f16c'], F16C),
];
