// SPDX-License-Identifier: MIT
// run(): enter a snippet with a chosen register state, come back by whatever exception ends it (32-bit).
#define R(n) (4 * n)
    .text
    .code32
    .globl run_enter, run_leave, vector_table
// void run_enter(struct state *s)
run_enter:
    pushl %ebx
    pushl %ebp
    pushl %esi
    pushl %edi
    pushfl
    movl 24(%esp), %eax
    movl %esp, run_esp
    movl R(10)(%eax), %ecx  // eflags
    movl R(9)(%eax), %edx   // cs
    testl $0x20000, %ecx
    jnz 1f
    testl $3, %edx
    jnz 2f
    movw R(11)(%eax), %ss   // same level: IRET pops no stack
    movl R(4)(%eax), %esp
    jmp 3f
1:  pushl R(14)(%eax)       // to VM86: GS, FS, DS, ES come from the frame
    pushl R(13)(%eax)
    pushl R(12)(%eax)
    pushl R(15)(%eax)
2:  pushl R(11)(%eax)
    pushl R(4)(%eax)
3:  pushl %ecx
    pushl %edx
    pushl R(8)(%eax)
    testl $0x20000, %ecx
    jnz 4f
    movw R(15)(%eax), %es
    movw R(13)(%eax), %fs
    movw R(14)(%eax), %gs
    movw R(12)(%eax), %ds
4:  movl %cs:R(1)(%eax), %ecx
    movl %cs:R(2)(%eax), %edx
    movl %cs:R(3)(%eax), %ebx
    movl %cs:R(5)(%eax), %ebp
    movl %cs:R(6)(%eax), %esi
    movl %cs:R(7)(%eax), %edi
    movl %cs:R(0)(%eax), %eax
    .globl run_iret
run_iret:
    iretl
run_leave:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl run_esp, %esp
    popfl
    popl %edi
    popl %esi
    popl %ebp
    popl %ebx
    ret

common:
    pushal
    pushl %ds
    pushl %es
    pushl %fs
    pushl %gs
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    cld
    movl %esp, %ebx
    andl $-16, %esp
    subl $12, %esp
    pushl %ebx
    call exc_dispatch   // returns only for a hooked interrupt
    movl %ebx, %esp
    popl %gs
    popl %fs
    popl %es
    popl %ds
    popal
    addl $8, %esp
    iretl

#include "vectors.inc"
    .section .bss
    .balign 4
run_esp:
    .long 0
    .section .note.GNU-stack, "", @progbits
