; SPDX-License-Identifier: MIT
; How fast a guest draws: a boot sector for vga_bench.py, which times the letters that it sends on COM1.
%include "boot.inc"

SECTORS equ 2
MODE_INFO equ 0x6000
SCROLLS equ 4000
PLANE_FILLS equ 20
BLITS equ 100
BLIT_BYTES equ 1024 * 768 * 4
SOURCE equ 0x1000000

    mov dx, COM1 + 3
    mov al, 3
    out dx, al
    mov ax, 3
    int 0x10
    mov al, 'a' ; real mode, text: fill by STOSW
    call send16
    mov ax, 0xb800
    mov es, ax
    mov dx, SCROLLS
.fill:
    xor di, di
    mov cx, 2000
    mov ax, dx
    rep stosw
    dec dx
    jnz .fill
    mov al, 'b' ; scroll by MOVSW
    call send16
    push ds
    mov ax, 0xb800
    mov ds, ax
    mov dx, SCROLLS
.scroll:
    mov si, 160
    xor di, di
    mov cx, 24 * 80
    rep movsw
    mov cx, 80
    mov ax, dx
    rep stosw
    dec dx
    jnz .scroll
    pop ds
    mov al, 'c' ; character by character
    call send16
    mov dx, SCROLLS
.chars:
    xor di, di
.char:
    mov [es:di], dx
    add di, 2
    cmp di, 4000
    jb .char
    dec dx
    jnz .chars
    mov ax, 0x12
    int 0x10
    mov al, 'p' ; four planes: fill by STOSB
    call send16
    mov ax, 0xa000
    mov es, ax
    mov dx, PLANE_FILLS
.plane:
    xor di, di
    mov cx, 38400
    mov ax, dx
    rep stosb
    dec dx
    jnz .plane
    mov al, 'q' ; write mode 3, bit by bit
    call send16
    mov dx, 0x3ce
    mov ax, 0x0305
    out dx, ax
    mov dx, PLANE_FILLS
.mode3:
    xor di, di
.dot:
    mov al, [es:di]
    mov al, dl
    mov [es:di], al
    inc di
    cmp di, 38400
    jb .dot
    dec dx
    jnz .mode3
    mov al, 'd'
    call send16
    xor ax, ax
    mov es, ax
    mov di, MODE_INFO
    mov ax, 0x4f01
    mov cx, 0x144 ; 1024x768, 32 bits
    int 0x10
    mov ax, 0x4f02
    mov bx, 0x4144
    int 0x10
    cli
    lgdt [gdt_pointer]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmp 8:flat

SENDER send16

gdt:
    dq 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
    dw $ - gdt - 1
    dd gdt

bits 32
flat:
    mov ax, 16
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov ebp, [MODE_INFO + 0x28]
    mov al, 'e' ; 1024x768x32 by REP MOVSD
    call send
    mov ebx, BLITS
.blit:
    mov esi, SOURCE
    mov edi, ebp
    mov ecx, BLIT_BYTES / 4
    rep movsd
    dec ebx
    jnz .blit
    mov al, 'f' ; pixel by pixel
    call send
    mov ebx, BLITS
.frame:
    mov edi, ebp
    mov ecx, BLIT_BYTES / 4
.pixel:
    mov eax, ecx
    imul eax, ebx
    mov [edi], eax
    add edi, 4
    dec ecx
    jnz .pixel
    dec ebx
    jnz .frame
    mov al, '.'
    call send
    hlt
    jmp $ - 1

SENDER send
    times 512 * (SECTORS + 1) - ($ - $$) db 0
