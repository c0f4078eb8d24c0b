// SPDX-License-Identifier: MIT
// run(): enter a snippet with a whole chosen register state, come back by whatever exception ends it.
#define R(n) (8 * n)
    .text
    .globl run_enter, run_leave, vector_table
// void run_enter(struct state *s): IRETQ into s.
run_enter:
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    pushfq
    movq %rsp, run_rsp
    movl R(20)(%rdi), %eax
    movl %eax, %ds
    movl %eax, %es
    pushq R(19)(%rdi)   // ss
    pushq R(4)(%rdi)    // rsp
    pushq R(18)(%rdi)   // rflags
    pushq R(17)(%rdi)   // cs
    pushq R(16)(%rdi)   // rip
    movq R(0)(%rdi), %rax
    movq R(1)(%rdi), %rcx
    movq R(2)(%rdi), %rdx
    movq R(3)(%rdi), %rbx
    movq R(5)(%rdi), %rbp
    movq R(6)(%rdi), %rsi
    movq R(8)(%rdi), %r8
    movq R(9)(%rdi), %r9
    movq R(10)(%rdi), %r10
    movq R(11)(%rdi), %r11
    movq R(12)(%rdi), %r12
    movq R(13)(%rdi), %r13
    movq R(14)(%rdi), %r14
    movq R(15)(%rdi), %r15
    movq R(7)(%rdi), %rdi
    .globl run_iret
run_iret:
    iretq
run_leave:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movq run_rsp, %rsp
    popfq
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    ret

common:
    pushq %r15
    pushq %r14
    pushq %r13
    pushq %r12
    pushq %r11
    pushq %r10
    pushq %r9
    pushq %r8
    pushq %rdi
    pushq %rsi
    pushq %rbp
    pushq %rsp
    pushq %rbx
    pushq %rdx
    pushq %rcx
    pushq %rax
    cld
    movq %rsp, %rdi
    andq $-16, %rsp
    movq %rdi, %rbx
    call exc_dispatch   // returns only for a hooked interrupt
    movq %rbx, %rsp
    popq %rax
    popq %rcx
    popq %rdx
    popq %rbx
    addq $8, %rsp
    popq %rbp
    popq %rsi
    popq %rdi
    popq %r8
    popq %r9
    popq %r10
    popq %r11
    popq %r12
    popq %r13
    popq %r14
    popq %r15
    addq $16, %rsp
    iretq

#include "vectors.inc"
    .section .bss
    .balign 8
run_rsp:
    .quad 0
    .section .note.GNU-stack, "", @progbits
