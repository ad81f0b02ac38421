# The part of the host executor that runs as machine code: entry() forks with a raw clone(2) and returns the child's pid (or a negative errno). The
# child empties its low 4 GiB and maps the areas of memory-map.ts there; then, for each byte that it reads from its pipe, it runs the case records of
# the batch and writes a byte back. It shares nothing writable with V8 but the arena. Each case ends by a signal, be it that of the UD2 behind its
# code, and comes back through `fault`.
#
# assemble-trampoline.ts assembles this file (GNU as, objcopy) and
# rewrites host-trampoline.ts. Offsets of records: test-case.ts. Arena: code at 0, control block at 0x2000, stack up to 0x5000, signal stack above.

.intel_syntax noprefix
.text
start:
.set control, start + 0x2000
.set caseCount, control + 0
.set caseIndex, control + 8
.set caseTable, control + 16
.set resultTable, control + 24
.set codeFile, control + 32
.set codeAlias, control + 40
.set setupStep, control + 48
.set setupError, control + 56
.set result, control + 80
.set commandPipe, control + 88     # read end, write end (the write end is closed here)
.set replyPipe, control + 96
.set stackTop, start + 0x5000
.set signalStack, start + 0x8000
.set SIGNAL_STACK_BYTES, 0x18000

.set CODE_BASE, 0x10000000
.set DATA_BASE, 0x20000000
.set READ_ONLY_BASE, 0x20002000
.set CASE_STRIDE, 9408
.set RESULT_STRIDE, 9216
.set FPU, 192
.set VECTOR, 168
.set ERROR_CODE, 172
.set FAULT_ADDRESS, 176
.set SIGNAL, 184
.set CODE_OFFSET, 1024
.set CODE_BYTES, 1032
.set CODE, 1088
.set CASE_DATA, 1216
.set RESULT_DATA, 1024

entry:
  mov eax, 56                   # clone(0): a fork whose end raises no signal here
  xor edi, edi
  xor esi, esi
  xor edx, edx
  xor r10d, r10d
  xor r8d, r8d
  syscall
  test eax, eax
  jz child
  ret

# Set-up: each step writes its number first, so that a child that leaves early tells which call failed.
.macro step number
  mov qword ptr [rip + setupStep], \number
.endm
.macro check
  test rax, rax
  js setup_failed
.endm

child:
  lea rsp, [rip + stackTop]
  step 1
  mov eax, 157                  # prctl(PR_SET_PDEATHSIG, SIGKILL)
  mov edi, 1
  mov esi, 9
  syscall
  check
  step 2
  mov eax, 157                  # prctl(PR_SET_DUMPABLE, 0): no core files
  mov edi, 4
  xor esi, esi
  syscall
  check
  step 3
  mov eax, 11                   # munmap(0, 4 GiB): what node keeps down there must not answer a case's wild read
  xor edi, edi
  mov rsi, 0x100000000
  syscall
  check
  step 4
  mov edi, CODE_BASE
  mov esi, 0x2000
  mov edx, 5                    # R-X
  mov r10d, 0x8011              # MAP_SHARED|MAP_FIXED|MAP_POPULATE: bit P of an error code must not depend on earlier cases
  mov r8d, [rip + codeFile]
  xor r9d, r9d
  mov eax, 9
  syscall
  check
  step 5
  mov edi, DATA_BASE
  mov esi, 0x2000
  mov edx, 3
  mov r10d, 0x8032              # MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED|MAP_POPULATE
  mov r8d, -1
  xor r9d, r9d
  mov eax, 9
  syscall
  check
  step 6
  mov edi, READ_ONLY_BASE
  mov esi, 0x1000
  mov edx, 1
  mov r10d, 0x8011
  mov r8d, [rip + codeFile]
  mov r9d, 0x2000
  mov eax, 9
  syscall
  check
  step 7
  mov qword ptr [rip + action + 16], 0
  lea rax, [rip + fault]
  mov [rip + action], rax
  lea rax, [rip + signalStack]
  mov [rip + alternate], rax
  mov eax, 131                  # sigaltstack
  lea rdi, [rip + alternate]
  xor esi, esi
  syscall
  check
  step 8
  mov r12, (1 << 4) | (1 << 5) | (1 << 7) | (1 << 8) | (1 << 11)
  mov ebx, 1
next_signal:
  bt r12, rbx
  jnc skip_signal
  mov eax, 13                   # rt_sigaction
  mov edi, ebx
  lea rsi, [rip + action]
  xor edx, edx
  mov r10d, 8
  syscall
  check
skip_signal:
  inc ebx
  cmp ebx, 12
  jb next_signal
  step 9
  mov eax, 14                   # rt_sigprocmask(SIG_SETMASK, all but the cases' signals)
  mov edi, 2
  lea rsi, [rip + blocked]
  xor edx, edx
  mov r10d, 8
  syscall
  check
  step 10
  mov eax, 3                    # close
  mov edi, [rip + commandPipe + 4]
  syscall
  check
  mov eax, 3
  mov edi, [rip + replyPipe]
  syscall
  check
  step 11
  mov eax, 157                  # prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT): a stray SYSCALL other than read, write and exit kills the child
  mov edi, 22
  mov esi, 1
  xor edx, edx
  syscall
  check
  step 12                       # ready
  mov eax, 0x2b
  mov ds, eax
  mov es, eax

next_batch:
  xor eax, eax                  # read
  mov edi, [rip + commandPipe]
  lea rsi, [rip + message]
  mov edx, 1
  syscall
  cmp rax, 1
  je next_case
  xor edi, edi
  jmp leave

setup_failed:
  mov [rip + setupError], rax
  mov edi, 101
leave:
  mov eax, 60                   # exit
  syscall

next_case:
  mov rcx, [rip + caseIndex]
  cmp rcx, [rip + caseCount]
  jae finished
  imul rbx, rcx, CASE_STRIDE
  add rbx, [rip + caseTable]
  imul rax, rcx, RESULT_STRIDE
  add rax, [rip + resultTable]
  mov [rip + result], rax
  lea rsi, [rbx + CASE_DATA]
  mov edi, DATA_BASE
  mov ecx, 1024
  rep movsq
  mov rdi, [rbx + CODE_OFFSET]
  add rdi, [rip + codeAlias]
  lea rsi, [rbx + CODE]
  mov rcx, [rbx + CODE_BYTES]
  rep movsb
  mov eax, 7
  xor edx, edx
  xrstor64 [rbx + FPU]
  mov rsp, rbx                  # the record begins with the general registers, then the frame of iretq
  pop rax
  pop rcx
  pop rdx
  pop rbx
  lea rsp, [rsp + 8]
  pop rbp
  pop rsi
  pop rdi
  pop r8
  pop r9
  pop r10
  pop r11
  pop r12
  pop r13
  pop r14
  pop r15
  iretq                         # serializes too: the code page was written through its alias

finished:
  mov eax, 1                    # write
  mov edi, [rip + replyPipe + 4]
  lea rsi, [rip + message]
  mov edx, 1
  syscall
  jmp next_batch

fault:                          # rdi = signal, rsi = siginfo, rdx = ucontext; leaves without sigreturn (SA_NODEFER: no mask to restore)
  push 0x202
  popfq
  mov rbx, [rip + result]
  mov [rbx + SIGNAL], edi
  mov eax, [rsi + 8]
  mov [rbx + SIGNAL + 4], eax
  add rdx, 40                   # uc_mcontext
.macro register from, to
  mov rax, [rdx + \from]
  mov [rbx + \to], rax
.endm
  register 104, 0
  register 112, 8
  register 96, 16
  register 88, 24
  register 120, 32
  register 80, 40
  register 72, 48
  register 64, 56
  register 0, 64
  register 8, 72
  register 16, 80
  register 24, 88
  register 32, 96
  register 40, 104
  register 48, 112
  register 56, 120
  register 128, 128
  register 136, 144
  register 176, FAULT_ADDRESS
  mov eax, [rdx + 160]
  mov [rbx + VECTOR], eax
  mov eax, [rdx + 152]
  mov [rbx + ERROR_CODE], eax
  mov rsi, [rdx + 184]          # the signal frame's XSAVE image
  lea rdi, [rbx + FPU]
  mov ecx, 104
  rep movsq
  mov rcx, [rip + caseIndex]    # nothing of the code stays for a later case to read
  imul rdx, rcx, CASE_STRIDE
  add rdx, [rip + caseTable]
  mov rdi, [rdx + CODE_OFFSET]
  add rdi, [rip + codeAlias]
  mov rcx, [rdx + CODE_BYTES]
  xor eax, eax
  rep stosb
  mov esi, DATA_BASE
  lea rdi, [rbx + RESULT_DATA]
  mov ecx, 1024
  rep movsq
  inc qword ptr [rip + caseIndex]
  jmp next_case

# Written by the child once; they lie in the control page, not here.
.set action, control + 128      # handler, flags, restorer, mask
.set alternate, control + 160   # ss_sp, ss_flags, ss_size
.set blocked, control + 192
.set message, control + 200
