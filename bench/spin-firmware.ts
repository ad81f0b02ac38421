// A firmware image without a guest operating system: it writes its first mark within some 200 instructions of the reset, works through a table of 64
// words the wanted number of times, says what came out, and ends the machine by isa-debug-exit at port 0xf4. Serial port COM1, 32-bit protected mode.

const IMAGE_BYTES = 0x10000;
const RESET_VECTOR = 0xfff0;

/** [machine code, assembly text]. The code begins at 0xffff0000, where CS has its base after the reset. */
const PROGRAM: readonly (readonly [string, string])[] = [
  ['fa', 'cli'],
  ['2e 66 0f 01 16 18 00', 'lgdtl %cs:gdtr'],
  ['0f 20 c0', 'movl %cr0, %eax'],
  ['0c 01', 'orb $1, %al'],
  ['0f 22 c0', 'movl %eax, %cr0'],
  ['66 ea 38 00 ff ff 08 00', 'ljmpl $8, $protected'],
  ['17 00 20 00 ff ff 66 90', 'gdtr: 23 bytes at gdt'],
  ['00 00 00 00 00 00 00 00', 'gdt: null'],
  ['ff ff 00 00 00 9b cf 00', 'flat code'],
  ['ff ff 00 00 00 93 cf 00', 'flat data'],
  ['66 b8 10 00', 'protected: movw $16, %ax'],
  ['8e d8', 'movw %ax, %ds'],
  ['8e c0', 'movw %ax, %es'],
  ['8e d0', 'movw %ax, %ss'],
  ['bc 00 80 00 00', 'movl $0x8000, %esp'],
  ['fc', 'cld'],
  ['be da 00 ff ff', 'movl $begun, %esi'],
  ['e8 68 00 00 00', 'call print'],
  ['31 ed', 'xorl %ebp, %ebp'],
  ['bb TURNS', 'movl $TURNS, %ebx'],
  ['b9 40 00 00 00', 'outer: movl $64, %ecx'],
  ['bf 00 00 01 00', 'movl $0x10000, %edi'],
  ['8b 07', 'inner: movl (%edi), %eax'],
  ['8d 14 88', 'leal (%eax,%ecx,4), %edx'],
  ['c1 c2 07', 'roll $7, %edx'],
  ['31 d0', 'xorl %edx, %eax'],
  ['01 d8', 'addl %ebx, %eax'],
  ['89 07', 'movl %eax, (%edi)'],
  ['83 c7 04', 'addl $4, %edi'],
  ['a8 01', 'testb $1, %al'],
  ['74 02', 'jz even'],
  ['01 c5', 'addl %eax, %ebp'],
  ['49', 'even: decl %ecx'],
  ['75 e6', 'jnz inner'],
  ['e8 33 00 00 00', 'call leaf'],
  ['4b', 'decl %ebx'],
  ['75 d4', 'jnz outer'],
  ['be f4 00 ff ff', 'movl $done, %esi'],
  ['e8 2b 00 00 00', 'call print'],
  ['b9 08 00 00 00', 'movl $8, %ecx'],
  ['c1 c5 04', 'digit: roll $4, %ebp'],
  ['89 e8', 'movl %ebp, %eax'],
  ['24 0f', 'andb $15, %al'],
  ['04 41', "addb $'A', %al"],
  ['e8 25 00 00 00', 'call put'],
  ['e2 f0', 'loop digit'],
  ['b0 0a', "movb $'\\n', %al"],
  ['e8 1c 00 00 00', 'call put'],
  ['31 c0', 'xorl %eax, %eax'],
  ['66 ba f4 00', 'movw $0xf4, %dx'],
  ['ef', 'outl %eax, %dx'],
  ['f4', 'hang: hlt'],
  ['eb fd', 'jmp hang'],
  ['55', 'leaf: pushl %ebp'],
  ['31 cd', 'xorl %ecx, %ebp'],
  ['5d', 'popl %ebp'],
  ['c3', 'ret'],
  ['ac', 'print: lodsb'],
  ['84 c0', 'testb %al, %al'],
  ['74 07', 'jz printed'],
  ['e8 03 00 00 00', 'call put'],
  ['eb f4', 'jmp print'],
  ['c3', 'printed: ret'],
  ['88 c4', 'put: movb %al, %ah'],
  ['66 ba fd 03', 'movw $0x3fd, %dx'],
  ['ec', 'busy: inb %dx, %al'],
  ['a8 20', 'testb $0x20, %al'],
  ['74 fb', 'jz busy'],
  ['88 e0', 'movb %ah, %al'],
  ['66 ba f8 03', 'movw $0x3f8, %dx'],
  ['ee', 'outb %al, %dx'],
  ['c3', 'ret'],
];

const TEXTS = 'ANILLO-BENCH spin begin\r\n\0ANILLO-BENCH spin - \0';
/** `jmp` to the begin of the image: 16-bit, relative to what follows it. */
const RESET_CODE = [0xe9, 0x0d, 0x00];

/** `turns` of some 720 instructions each. */
export function spinFirmware(turns: number): Uint8Array {
  const count = Buffer.alloc(4);
  count.writeUInt32LE(turns);
  const code = PROGRAM.map(([bytes]) => bytes.replace('TURNS', count.toString('hex')).replaceAll(' ', '')).join('');
  const image = Buffer.alloc(IMAGE_BYTES, 0xff);
  const codeBytes = image.write(code, 'hex');
  image.write(TEXTS, codeBytes, 'latin1');
  image.set(RESET_CODE, RESET_VECTOR);
  return image;
}
