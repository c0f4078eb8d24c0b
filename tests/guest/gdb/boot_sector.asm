; SPDX-License-Identifier: MIT
; A boot sector to be stepped through: real mode, then 32-bit and 64-bit code, by symbols that gdb.py reads from the map.
        bits 16
        org 0x7c00
start:  cli
        xor ax, ax
        mov ss, ax
        mov sp, 0x7c00
        mov ax, 0x1000
        mov ds, ax
        mov word [0x10], 0x1234         ; linear 10010h
        mov cx, 3
again:  inc word [0x10]
        loop again
        jmp 0x0700:other - 0x7000       ; the same byte by another segment
other:  mov bx, cs
        xor ax, ax
        mov ds, ax
        lgdt [gdtr]
        mov eax, cr0
        or al, 1
        mov cr0, eax
        jmp dword 0x08:code32

        bits 32
code32: mov ax, 0x10
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov edi, 0x20000                ; PML4, PDPT, PD: 2 MiB, identity
        xor eax, eax
        mov ecx, 3 * 1024
        rep stosd
        mov dword [0x20000], 0x21003
        mov dword [0x21000], 0x22003
        mov dword [0x22000], 0x83
        mov eax, 0x20000
paging: mov cr3, eax
        mov eax, cr4
        or eax, 0x220                   ; PAE, OSFXSR
        mov cr4, eax
        mov ecx, 0xc0000080
        rdmsr
        or ah, 1                        ; LME
        wrmsr
        mov eax, cr0
        or eax, 0x80000000
        mov cr0, eax
        jmp 0x18:code64

        bits 64
code64: mov rax, 0x123456789abcdef0
        mov [0x30000], rax
        movq xmm1, rax
last:   mov al, 0x31
        out 0xf4, al                    ; isa-debug-exit
        hlt
        jmp last

        align 8
gdt:    dq 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff
gdtr:   dw gdtr - gdt - 1
        dd gdt
        times 510 - ($ - $$) db 0
        dw 0xaa55
[map symbols boot_sector.map]
