// SPDX-License-Identifier: MIT
// Entry to and exit from one rewritten instruction: loads and saves the sixteen general registers and the
// arithmetic flags. The state is in thread-local storage (struct thunk_tls in thunk.c), so that no register is
// needed to reach it.
    .text

#define TLS(off) %fs:thunk_tls@tpoff+(off)
#define FLAGS TLS(128)
#define TARGET TLS(136)
#define HOST_RSP TLS(144)

    .globl thunk_enter, thunk_exit, thunk_fault
    .hidden thunk_enter, thunk_exit, thunk_fault
    .type thunk_enter, @function

// int thunk_enter(void): 0, or 1 if the instruction faulted on the host.
thunk_enter:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, HOST_RSP
    pushq FLAGS
    popfq
    mov TLS(0), %rax
    mov TLS(8), %rcx
    mov TLS(16), %rdx
    mov TLS(24), %rbx
    mov TLS(40), %rbp
    mov TLS(48), %rsi
    mov TLS(56), %rdi
    mov TLS(64), %r8
    mov TLS(72), %r9
    mov TLS(80), %r10
    mov TLS(88), %r11
    mov TLS(96), %r12
    mov TLS(104), %r13
    mov TLS(112), %r14
    mov TLS(120), %r15
    mov TLS(32), %rsp
    jmp *TARGET

thunk_exit:
    mov %rax, TLS(0)
    mov %rcx, TLS(8)
    mov %rdx, TLS(16)
    mov %rbx, TLS(24)
    mov %rsp, TLS(32)
    mov %rbp, TLS(40)
    mov %rsi, TLS(48)
    mov %rdi, TLS(56)
    mov %r8, TLS(64)
    mov %r9, TLS(72)
    mov %r10, TLS(80)
    mov %r11, TLS(88)
    mov %r12, TLS(96)
    mov %r13, TLS(104)
    mov %r14, TLS(112)
    mov %r15, TLS(120)
    mov HOST_RSP, %rsp
    pushfq
    popq FLAGS
    mov $0, %eax
    jmp 1f

thunk_fault: // the signal handler resumes here
    mov HOST_RSP, %rsp
    mov $1, %eax
1:  cld
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret

    .size thunk_enter, . - thunk_enter
    .section .note.GNU-stack, "", @progbits
