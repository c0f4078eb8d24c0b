; SPDX-License-Identifier: MIT
; Integer benchmarks for 16-bit real mode and, with -DPM32, for 32-bit protected mode with segments that have bases and
; limits: a disk image that the BIOS boots. Each kernel prints a line on port E9h, "name cycles checksum" in
; hexadecimal, cycles by RDTSC (the least of several chunks); the last line is "end", and isa-debug-exit ends the run.
;
; One source for both: the registers' names are macros (A = AX or EAX, ...), W is the word of the mode, so that the
; 32-bit kernels work on 32-bit words.

%ifdef PM32
 %define A eax
 %define B ebx
 %define C ecx
 %define D edx
 %define S esi
 %define T edi
 %define P ebp
 %define SPR esp
 %define WORD_T dword
 %define W 4
 %define ACC_LODS lodsd
 %define ACC_STOS stosd
 %define ACC_MOVS movsd
 %define ARG 8
 EXTRA_SEL equ 20h
%else
 %define A ax
 %define B bx
 %define C cx
 %define D dx
 %define S si
 %define T di
 %define P bp
 %define SPR sp
 %define WORD_T word
 %define W 2
 %define ACC_LODS lodsw
 %define ACC_STOS stosw
 %define ACC_MOVS movsw
 %define ARG 4
 EXTRA_SEL equ 4000h
%endif

CODE equ 1000h                  ; paragraphs: code, data, stack, second data segment
DATA equ 2000h
STACK equ 3000h
EXTRA equ 4000h
SECTORS equ 16

; --- the boot sector: loads the rest behind itself

        bits 16
        section boot start=0 vstart=0
        jmp 7c0h:boot
boot:   mov ax, 7c0h
        mov ds, ax
        mov ax, CODE
        mov es, ax
        xor bx, bx
        mov ax, 200h | SECTORS  ; AH 2: read, CHS
        mov cx, 2               ; cylinder 0, sector 2
        xor dh, dh
        int 13h
        jc boot_fail
        cli
%ifdef PM32
        lgdt [gdtr]
        mov eax, cr0
        or al, 1
        mov cr0, eax
        jmp 8:start
gdtr:   dw gdt_end - gdt - 1
        dd 7c00h + gdt
        align 8
gdt:    dq 0
        dw 0ffffh, 0, 9a01h, 0040h      ; 08: code at 10000h, 64 KiB, 32-bit
        dw 0ffffh, 0, 9202h, 0040h      ; 10: data at 20000h
        dw 0ffffh, 0, 9203h, 0040h      ; 18: stack at 30000h
        dw 0ffffh, 0, 9204h, 0040h      ; 20: data at 40000h
gdt_end:
%else
        jmp CODE:start
%endif
boot_fail:
        mov al, 'F'
        out 0e9h, al
        mov al, 1
        out 0f4h, al
        hlt
        times 510 - ($ - $$) db 0
        dw 0aa55h

; --- the programme, at offset 0 of its segment

        section programme start=512 vstart=0
%ifdef PM32
        bits 32
%endif
start:
%ifdef PM32
        mov ax, 10h
        mov ds, ax
        mov ax, 18h
        mov ss, ax
        mov ax, 20h
        mov es, ax
        xor eax, eax
        mov fs, ax
        mov gs, ax
%else
        mov ax, DATA
        mov ds, ax
        mov ax, STACK
        mov ss, ax
        mov ax, EXTRA
        mov es, ax
%endif
        mov SPR, 0f000h
        cld

        jmp main

; --- output

put_char:                       ; al
        out 0e9h, al
        ret

put_hex:                        ; eax, 8 digits
        push C
        mov C, 8
.digit: rol eax, 4
        push eax
        and al, 15
        cmp al, 10
        sbb al, 69h
        das
        out 0e9h, al
        pop eax
        dec C
        jnz .digit
        pop C
        ret

print_line:                     ; cs:S name; cycles at fff0, checksum at ffe8
        mov al, [cs:S]
        inc S
        test al, al
        jz .name
        call put_char
        jmp print_line
.name:  mov al, ' '
        call put_char
        mov eax, [0fff4h]
        call put_hex
        mov eax, [0fff0h]
        call put_hex
        mov al, ' '
        call put_char
        xor eax, eax
        mov A, [0ffe8h]
        call put_hex
        mov al, 10
        call put_char
        ret

; --- sieve: primes below 8192, a byte each
sieve_init:
        ret
sieve:
        xor S, S
        mov al, 1
.fill:  mov [S], al
        inc S
        cmp S, 8192
        jb .fill
        xor D, D                ; count
        mov S, 2
.next:  cmp byte [S], 0
        je .skip
        inc D
        mov B, S
        add B, S
.cross: cmp B, 8192
        jae .skip
        mov byte [B], 0
        add B, S
        jmp .cross
.skip:  inc S
        cmp S, 8192
        jb .next
        mov A, D
        ret

; --- fib: recursion through a stack frame
fib_init:
        ret
fib:
        mov A, 18
        push A
        call fib_n
        add SPR, W
        ret
fib_n:
        push P
        mov P, SPR
        push S
        mov A, [P+ARG]
        cmp A, 2
        jb .leaf
        dec A
        push A
        call fib_n
        add SPR, W
        mov S, A
        mov A, [P+ARG]
        sub A, 2
        push A
        call fib_n
        add SPR, W
        add A, S
.leaf:  pop S
        mov SPR, P
        pop P
        ret

; --- sort: insertion sort of 256 words
sort_init:
        ret
sort:
        mov A, 12345            ; the same numbers each time
        xor S, S
.fill:  mov D, 25173
        mul D
        add A, 13849
        and A, 7fffh
        mov [S+2000h], A
        add S, W
        cmp S, 256*W
        jb .fill
        mov S, W
.outer: mov A, [S+2000h]
        mov B, S
.inner: mov D, [B+2000h-W]
        cmp D, A
        jbe .place
        mov [B+2000h], D
        sub B, W
        jnz .inner
.place: mov [B+2000h], A
        add S, W
        cmp S, 256*W
        jb .outer
        mov A, [2000h+128*W]
        xor A, [2000h]
        ret

; --- crc: CCITT, bit by bit, over 1 KiB
crc_init:
        xor S, S
        mov A, 77
.fill:  imul A, A, 93
        add A, 17
        mov [S+3000h], al
        inc S
        cmp S, 1024
        jb .fill
        ret
crc:
        mov S, 3000h
        mov C, 1024
        mov D, 0ffffh
.byte:  mov al, [S]
        inc S
        xor dh, al
        push C
        mov C, 8
.bit:   shl dx, 1
        jnc .no
        xor dx, 1021h
.no:    loop .bit
        pop C
        loop .byte
        mov A, D
        ret

; --- upcase: words counted and copied to the other segment, upper case, byte by byte
upcase_init:
        xor S, S
        mov A, 1
.fill:  imul A, A, 77
        add A, 31
        mov dl, ah
        and dl, 31
        add dl, 'a'
        cmp dl, 'z'
        jbe .put
        mov dl, ' '
.put:   mov [S+4000h], dl
        inc S
        cmp S, 4096
        jb .fill
        ret
upcase:
        mov S, 4000h
        xor T, T
        mov C, 4096
        xor D, D                ; words
        mov bl, ' '
.next:  lodsb
        cmp al, ' '
        je .store
        cmp bl, ' '
        jne .upper
        inc D
.upper: sub al, 32
.store: mov bl, al
        stosb
        loop .next
        mov A, D
        ret

; --- matrix: 16 by 16, words
matrix_init:
        xor S, S
        mov A, 5
.fill:  imul A, A, 29
        add A, 3
        mov [S+6000h], A
        mov [S+6800h], A
        add S, W
        cmp S, 256*W
        jb .fill
        ret
matrix:
        xor S, S                ; row
        mov P, 0
.row:   mov WORD_T [7ff0h], 0   ; column
.col:   mov T, [7ff0h]
        mov C, 16
        xor B, B
        push S
.dot:   mov A, [S+6000h]
        imul A, [T+6800h]
        add B, A
        add S, W
        add T, 16*W
        dec C
        jnz .dot
        pop S
        add P, B
        mov T, [7ff0h]
        mov [es:T+8000h], B
        add T, W
        mov [7ff0h], T
        cmp T, 16*W
        jb .col
        add S, 16*W
        cmp S, 256*W
        jb .row
        mov A, P
        ret

; --- farcall: a far call for each of 256 items, a far pointer loaded, the item through it
farcall_init:
        mov A, EXTRA_SEL
        mov S, 0
.fill:  mov [S+5000h], S        ; offset
        mov [S+5000h+W], ax
        add S, 8
        cmp S, 2048
        jb .fill
        mov A, far_item
        mov [5900h], A
        mov ax, cs
        mov [5900h+W], ax
        ret
farcall:
        push es
        xor S, S
        xor P, P
.next:  call WORD_T far [5900h]
        add S, 8
        cmp S, 2048
        jb .next
        pop es
        mov A, P
        ret
far_item:
        les T, [S+5000h]
        mov A, [es:T]
        inc A
        mov [es:T], A
        add P, A
        retf

; --- copy: blocks of 64 words to the other segment with REP MOVS and back with MOVS and LOOP
copy_init:
        ret
copy:
        mov D, 64
        xor A, A
.again: mov S, 3000h
        mov T, 9000h
        mov C, 64
        rep ACC_MOVS
        mov S, 3000h
        mov C, 32
.one:   ACC_MOVS
        loop .one
        dec D
        jnz .again
        mov A, T
        ret

; --- all of them

; name, repetitions: its checksum is in A. They are done CHUNKS times over and the shortest time counts: the host has
; other things to do, too.
CHUNKS equ 12
%macro bench 2
        call %1_init
        mov dword [0fff0h], -1
        mov dword [0fff4h], 0
        mov WORD_T [0ffd8h], CHUNKS
%%chunk:
        rdtsc
        mov [0ffd0h], eax
        mov WORD_T [0ffe0h], %2
%%again:
        call %1
        dec WORD_T [0ffe0h]
        jnz %%again
        mov [0ffe8h], A
        rdtsc
        sub eax, [0ffd0h]
        cmp eax, [0fff0h]
        jae %%longer
        mov [0fff0h], eax
%%longer:
        dec WORD_T [0ffd8h]
        jnz %%chunk
        mov S, %%text
        call print_line
        jmp %%done
%defstr %%name %1
%%text: db %%name, 0
%%done:
%endmacro

main:
        bench sieve, 40
        bench fib, 40
        bench sort, 100
        bench crc, 150
        bench upcase, 150
        bench matrix, 150
        bench farcall, 100
        bench copy, 100
        mov al, 'e'
        call put_char
        mov al, 'n'
        call put_char
        mov al, 'd'
        call put_char
        mov al, 10
        call put_char
        mov al, 0
        out 0f4h, al
        hlt

        times SECTORS * 512 - ($ - $$) db 0
