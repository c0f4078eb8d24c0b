; SPDX-License-Identifier: MIT
; A boot sector that sets one video mode after another through the VGA BIOS and draws a pattern in each.
; When a picture is ready it sends a letter on COM1, 'A' for the first, and goes on when it gets a byte; '.' is
; the end.
%include "boot.inc"

SECTORS equ 4

    mov dx, COM1 + 3
    mov al, 3 ; 8n1
    out dx, al
    mov si, table
.next:
    mov ax, [si]
    cmp ax, 0xffff
    je .end
    call set_mode
    jc .skip
    call [si + 2]
.skip:
    mov al, [letter]
    inc byte [letter]
    call send
    call receive
    add si, 4
    jmp .next
.end:
    mov al, '.'
    call send
    hlt
    jmp $ - 1

; AX: a VBE mode from 100h on. CF: there is none.
set_mode:
    cmp ax, 0x100
    jae .vbe
    push ax
    int 0x10
    pop ax
    int 0x10 ; SeaBIOS programs the CRTC before it moves it between 3B4h and 3D4h
    mov ah, 1 ; no cursor: it blinks
    mov cx, 0x2000
    int 0x10
    clc
    ret
.vbe:
    mov bx, ax
    mov ax, 0x4f02
    int 0x10
    cmp ax, 0x004f
    je .ok
    stc
    ret
.ok:
    clc
    ret

SENDER send

receive:
    mov dx, COM1 + 5
.wait:
    in al, dx
    test al, 1
    jz .wait
    mov dx, COM1
    in al, dx
    ret

; --- patterns

; Characters up to 7Fh in all colours with a dark background; the line-drawing ones on top.
text_mono:
    mov ax, 0xb000
    jmp text_at
text:
    mov ax, 0xb800
text_at:
    mov es, ax
    xor di, di
    xor cx, cx
.cell:
    mov ax, cx
    and al, 0x7f
    mov bx, cx
    shr bx, 3
    mov ah, bl
    and ah, 0x7f
    cmp cx, 32
    jae .put
    add al, 0xc0
    mov ah, 0x1e
.put:
    stosw
    inc cx
    cmp cx, 2000
    jb .cell
    ret

cga:
    mov ax, 0xb800
    mov es, ax
    xor di, di
.byte:
    mov ax, di
    shr ax, 5
    xor ax, di
    stosb
    cmp di, 0x4000
    jb .byte
    ret

planes:
    mov ax, 0xa000
    mov es, ax
    mov bl, 1
.plane:
    mov dx, 0x3c4
    mov al, 2
    mov ah, bl
    out dx, ax
    xor di, di
.byte:
    mov ax, di
    mov cl, bl
    shr ax, cl
    add al, bl
    stosb
    test di, di
    jnz .byte
    shl bl, 1
    cmp bl, 16
    jb .plane
    ; Write mode 2 through the bit mask, with XOR: a diagonal.
    mov dx, 0x3ce
    mov ax, 0x0205
    out dx, ax
    mov ax, 0x1803
    out dx, ax
    mov cx, 300
    xor di, di
    mov bl, 0x80
.dot:
    mov dx, 0x3ce
    mov al, 8
    mov ah, bl
    out dx, ax
    mov al, [es:di]
    mov byte [es:di], 15
    add di, 80
    ror bl, 1
    adc di, 0
    loop .dot
    ret

linear:
    mov ax, 0xa000
    mov es, ax
    xor di, di
.byte:
    mov ax, di
    shr ax, 6
    add ax, di
    stosb
    test di, di
    jnz .byte
    ; By now the window may be RAM to the guest. Behind the next OUT each store reaches every fourth byte only.
    mov bx, 0x0102
    mov cx, 4
.map:
    mov dx, 0x3c4
    mov ax, bx
    out dx, ax
    mov byte [es:di], bh
    mov byte [es:di + 1], bh
    mov byte [es:di + 2], bh
    mov byte [es:di + 3], bh
    add di, 321
    shl bh, 1
    loop .map
    ret

; As much as the largest mode shows, in banks of 64 KiB.
banked:
    xor bp, bp
.bank:
    mov ax, 0x4f05
    xor bx, bx
    mov dx, bp
    int 0x10
    mov ax, 0xa000
    mov es, ax
    xor di, di
.word:
    mov ax, di
    shr ax, 6
    imul ax, ax, 67
    add ax, bp
    stosw
    test di, di
    jnz .word
    inc bp
    cmp bp, 48
    jb .bank
    ret

letter: db 'A'
table:
    dw 0x00, text
    dw 0x01, text
    dw 0x02, text
    dw 0x03, text
    dw 0x04, cga
    dw 0x05, cga
    dw 0x06, cga
    dw 0x07, text_mono
    dw 0x0d, planes
    dw 0x0e, planes
    dw 0x0f, planes
    dw 0x10, planes
    dw 0x11, planes
    dw 0x12, planes
    dw 0x13, linear
    dw 0x101, banked ; 640x480, 8
    dw 0x110, banked ; 15
    dw 0x111, banked ; 16
    dw 0x112, banked ; 24
    dw 0x142, banked ; 32
    dw 0x144, banked ; 1024x768, 32
    dw 0x03, text    ; and back
    dw 0xffff
    times 512 * (SECTORS + 1) - ($ - $$) db 0
