; SPDX-License-Identifier: MIT
; A boot disk that tells what its keyboard and mouse send, and shows pictures that do not move.
;
; Every byte of the keyboard goes to port E9h, every byte of the mouse to COM1. 'R' on both: ready.
;   F1: text, all colours and characters     F2: 320x200, 256 colours     F3: 800x600, 32 bits a pixel
;   F4: from now on listens to the power button and powers off when it is pressed
;   F5: says that it listens, but does not
%include "boot.inc"

PM1_STS equ 0x600
PM1_EN  equ 0x602
PM1_CNT equ 0x604
POWER_BUTTON equ 0x100

    call text
    cli
    mov word [9 * 4], on_key
    mov word [9 * 4 + 2], 0
    mov word [0x74 * 4], on_mouse
    mov word [0x74 * 4 + 2], 0
    call set_up_mouse
    in al, 0xa1
    and al, 0xef
    out 0xa1, al
    in al, 0x21
    and al, 0xf9                    ; keyboard and the second controller
    out 0x21, al
    mov al, 'R'
    out 0xe9, al
    mov dx, 0x3f8
    out dx, al
wait_for_work:
    sti
    hlt
    cli
    mov al, 0
    xchg al, [picture]
    cmp al, 0x3b
    je .f1
    cmp al, 0x3c
    je .f2
    cmp al, 0x3d
    je .f3
    cmp al, 0x3e
    je .f4
    cmp al, 0x3f
    je .f5
    jmp .power
.f1:
    sti
    call text
    jmp .done
.f2:
    sti
    call colours256
    jmp .done
.f3:
    sti
    call truecolour
    jmp .done
.f4:
    mov byte [listens], 1
.f5:
    mov dx, PM1_EN
    mov ax, POWER_BUTTON
    out dx, ax
.done:
    mov al, '!'                     ; not a scan code that any key of the test makes
    out 0xe9, al
.power:
    cmp byte [listens], 0
    je wait_for_work
    mov dx, PM1_STS
    in ax, dx
    test ax, POWER_BUTTON
    jz wait_for_work
    mov dx, PM1_CNT
    mov ax, 0x2000                  ; SLP_EN, SLP_TYP 0: soft off
    out dx, ax
    jmp wait_for_work

on_key:
    push ax
    in al, 0x60
    out 0xe9, al
    test al, 0x80
    jz .no_release
    and al, 0x7f                    ; at the release, so that the picture's '!' comes after it
    mov [picture], al
.no_release:
    mov al, 0x20
    out 0x20, al
    pop ax
    iret

on_mouse:
    push ax
    push dx
    in al, 0x60
    mov dx, 0x3f8
    out dx, al
    mov al, 0x20
    out 0xa0, al
    out 0x20, al
    pop dx
    pop ax
    iret

; --- 8042 and mouse, polled

wait_input:
    in al, 0x64
    test al, 2
    jnz wait_input
    ret
read_byte:
    in al, 0x64
    test al, 1
    jz read_byte
    in al, 0x60
    ret
mouse_command:                      ; ah, and its acknowledgement
    call wait_input
    mov al, 0xd4
    out 0x64, al
    call wait_input
    mov al, ah
    out 0x60, al
    call read_byte
    ret
set_up_mouse:
    call wait_input
    mov al, 0xa8
    out 0x64, al
    mov si, knock
.next:
    lodsb
    mov ah, al
    call mouse_command
    cmp si, knock_end
    jb .next
    call wait_input
    mov al, 0x60                    ; command byte: both interrupts, translation
    out 0x64, al
    call wait_input
    mov al, 0x47
    out 0x60, al
    ret
knock: db 0xf3, 200, 0xf3, 100, 0xf3, 80, 0xf4 ; a wheel mouse, reporting
knock_end:

; --- pictures

text:
    mov ax, 3
    int 0x10
    mov ah, 1                       ; no cursor
    mov cx, 0x2000
    int 0x10
    mov ax, 0x1003                  ; bright backgrounds, nothing blinks
    mov bx, 0
    int 0x10
    push es
    mov ax, 0xb800
    mov es, ax
    xor di, di
    xor ax, ax
    mov cx, 80 * 25
.next:
    stosw
    add ax, 0x0301
    loop .next
    pop es
    ret

colours256:
    mov ax, 0x13
    int 0x10
    push es
    mov ax, 0xa000
    mov es, ax
    xor di, di
    xor bx, bx                      ; row
.row:
    xor cx, cx
.pixel:
    mov ax, bx
    xor al, cl
    stosb
    inc cx
    cmp cx, 320
    jb .pixel
    inc bx
    cmp bx, 200
    jb .row
    pop es
    ret

; Bochs VBE: index at 1CEh, data at 1CFh; the picture through 64 KiB banks.
truecolour:
    mov si, vbe
.register:
    lodsw
    mov bx, ax
    lodsw
    mov cx, ax
    mov dx, 0x1ce
    mov ax, bx
    out dx, ax
    inc dx
    mov ax, cx
    out dx, ax
    cmp si, vbe_end
    jb .register
    push es
    mov ax, 0xa000
    mov es, ax
    xor ebp, ebp                    ; pixel number
    xor bx, bx                      ; bank
.bank:
    mov dx, 0x1ce
    mov ax, 5
    out dx, ax
    inc dx
    mov ax, bx
    out dx, ax
    xor di, di
.pixel:
    mov eax, ebp
    xor edx, edx
    mov ecx, 800
    div ecx                         ; eax: row, edx: column
    shl eax, 8
    or eax, edx
    mov [es:di], eax
    inc ebp
    add di, 4
    jnz .pixel
    inc bx
    cmp bx, 30                      ; 800 * 600 * 4 / 65536
    jb .bank
    pop es
    ret
vbe: dw 4, 0, 1, 800, 2, 600, 3, 32, 4, 1
vbe_end:

picture: db 0
listens: db 0
SECTORS equ ($ - $$ - 1) / 512
    times (SECTORS + 1) * 512 - ($ - $$) db 0
    times 64 * 512 - ($ - $$) db 0
