// SPDX-License-Identifier: MIT
// Enters a test case on the host CPU, and comes back from the signal that ends it.
//
// struct native_block (native.c): 0 gpr[16], 128 rip, 136 rflags, 144 fs, 152 gs, 160 host rsp, 168 host fs,
// 176 host gs, 184 cs, 192 ss, 200 XSAVE area, 208 component mask, 216 fs at the end, 224 gs at the end.
        .intel_syntax noprefix
        .text
        .hidden native_block
        .globl  native_enter, native_leave, native_signal_thunk
        .type   native_enter, @function
native_enter:
        push    rbx
        push    rbp
        push    r12
        push    r13
        push    r14
        push    r15
        lea     rbx, [rip + native_block]
        mov     [rbx + 160], rsp
        rdfsbase rax
        mov     [rbx + 168], rax
        rdgsbase rax
        mov     [rbx + 176], rax
        mov     eax, [rbx + 208]
        xor     edx, edx
        mov     rcx, [rbx + 200]
        xrstor64 [rcx]
        mov     eax, 0x2b
        mov     ds, eax
        mov     es, eax
        mov     rax, [rbx + 144]
        wrfsbase rax
        mov     rax, [rbx + 152]
        wrgsbase rax
        push    [rbx + 192]             // IRETQ's frame: SS, RSP, RFLAGS, CS, RIP
        push    [rbx + 32]
        push    [rbx + 136]
        push    [rbx + 184]
        push    [rbx + 128]
        mov     rax, [rbx + 0]
        mov     rcx, [rbx + 8]
        mov     rdx, [rbx + 16]
        mov     rbp, [rbx + 40]
        mov     rsi, [rbx + 48]
        mov     rdi, [rbx + 56]
        mov     r8, [rbx + 64]
        mov     r9, [rbx + 72]
        mov     r10, [rbx + 80]
        mov     r11, [rbx + 88]
        mov     r12, [rbx + 96]
        mov     r13, [rbx + 104]
        mov     r14, [rbx + 112]
        mov     r15, [rbx + 120]
        mov     rbx, [rbx + 24]
        iretq

// The signal handler's first instructions: the test's FS base, AC and NT are still in force, so no C yet.
        .type   native_signal_thunk, @function
native_signal_thunk:
        push    2
        popfq
        lea     rcx, [rip + native_block]
        rdfsbase rax
        mov     [rcx + 216], rax
        rdgsbase rax
        mov     [rcx + 224], rax
        xor     eax, eax
        mov     fs, eax
        mov     gs, eax
        mov     rax, [rcx + 168]
        wrfsbase rax
        mov     rax, [rcx + 176]
        wrgsbase rax
        jmp     native_signal

// Leaves the handler for good: back to the caller of native_enter.
        .type   native_leave, @function
native_leave:
        mov     rsp, [rip + native_block + 160]
        pop     r15
        pop     r14
        pop     r13
        pop     r12
        pop     rbp
        pop     rbx
        ret
        .section .note.GNU-stack, "", @progbits
