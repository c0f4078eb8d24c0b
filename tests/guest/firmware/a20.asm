; SPDX-License-Identifier: MIT
; A boot sector that drives the A20 gate by every route and looks at the first two megabytes. Status: a bit for each step
; that did what it should, 3Fh in all; isa-debug-exit at F4h.
bits 16
org 7C00h
        xor     ax, ax
        mov     ds, ax
        mov     ss, ax
        mov     sp, 7C00h
        dec     ax
        mov     es, ax                  ; FFFF:0510 is 100500h
        xor     bx, bx
        mov     word [500h], 1111h      ; on, as the firmware leaves it
        mov     word [es:510h], 2222h
        cmp     word [500h], 1111h
        jne     port92
        or      bl, 1
port92: in      al, 92h
        and     al, 0FDh
        out     92h, al
        mov     word [es:510h], 3333h   ; wraps to 500h
        cmp     word [500h], 3333h
        jne     back
        or      bl, 2
back:   in      al, 92h
        or      al, 2
        out     92h, al
        cmp     word [es:510h], 2222h   ; what was there all along
        jne     kbd
        or      bl, 4
kbd:    call    ready
        mov     al, 0D1h                ; write output port
        out     64h, al
        call    ready
        mov     al, 0DDh                ; A20 low, no reset
        out     60h, al
        call    ready
        cmp     word [es:510h], 3333h
        jne     bios
        or      bl, 8
bios:   mov     ax, 2401h
        int     15h
        cmp     word [es:510h], 2222h
        jne     state
        or      bl, 10h
state:  mov     ax, 2402h
        int     15h
        cmp     al, 1
        jne     done
        or      bl, 20h
done:   mov     al, bl
        out     0F4h, al
        hlt
ready:  in      al, 64h
        test    al, 2
        jnz     ready
        ret
times 510-($-$$) db 0
dw 0AA55h
