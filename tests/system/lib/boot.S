// SPDX-License-Identifier: MIT
// Boot: the Linux boot-protocol header, the 16-bit setup code, and the 32- and 64-bit entries.
//
// A loader may come in by any of three doors and all lead to test_main with the same state:
//   setup (offset 0x200 of the file)   real mode: what a BIOS loader such as QEMU's jumps to
//   start32 (payload + 0)              flat protected mode, paging off
//   start64 (payload + 0x200)          long mode, identity-mapped: what ring3 -kernel jumps to
// Field offsets: Linux Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header".

    .section .setup, "ax"
    .code16
    .org 0x1f1
    .byte 1                 // setup_sects: one sector after the boot sector
    .word 0                 // root_flags
    .long payload_paras     // syssize
    .word 0, 0xffff, 0      // ram_size, vid_mode, root_dev
    .word 0xaa55
    .byte 0xeb, setup - 0x202 // 0x200: jump over the header
    .ascii "HdrS"
    .word 0x020c            // protocol version
    .long 0                 // realmode_swtch
    .word 0, 0              // start_sys_seg, kernel_version
    .byte 0, 1              // type_of_loader, loadflags = LOADED_HIGH
    .word 0
    .long 0x100000          // code32_start
    .long 0, 0, 0           // ramdisk_image, ramdisk_size, bootsect_kludge
    .word 0
    .byte 0, 0
    .long 0                 // cmd_line_ptr
    .long 0x7fffffff        // initrd_addr_max
    .long 0x100000          // kernel_alignment
    .byte 1, 20             // relocatable_kernel, min_alignment
    .word 3                 // xloadflags: XLF_KERNEL_64 | XLF_CAN_BE_LOADED_ABOVE_4G
    .long 255               // cmdline_size
    .long 0
    .quad 0
    .long 0, 0              // payload_offset, payload_length
    .quad 0                 // setup_data
    .quad 0x100000          // pref_address
    .long memory_bytes      // init_size
    .long 0, 0              // handover_offset, kernel_info_offset
setup:
    cli
    xorl %eax, %eax
    movw %cs, %ax
    subw $0x20, %ax         // the loader enters at setup_seg + 0x20
    movw %ax, %ds
    shll $4, %eax
    addl $setup_gdt, %eax
    movl %eax, setup_gdtr + 2
    lgdtl setup_gdtr
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    movw $0x18, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    ljmpl $0x10, $0x100000
    .balign 8
setup_gdt:
    .quad 0, 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
setup_gdtr:
    .word 31
    .long 0

    .section .start, "awx"
    .globl _start32
    .code32
_start32:
    cli
    cld
    movl $boot_stack_top, %esp
    movl $_bss, %edi
    movl $_end, %ecx
    subl %edi, %ecx
    xorl %eax, %eax
    rep stosb
#ifdef TEST32
    lgdt gdtr
    ljmp $0x08, $1f
1:  movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movl $0x00000033, %eax  // PE, MP, ET, NE
    movl %eax, %cr0
    movl $0x600, %eax       // OSFXSR, OSXMMEXCPT
    movl %eax, %cr4
    fninit
    call env_init
    call test_main
    call tap_done
#else
    movl $0x620, %eax       // PAE, OSFXSR, OSXMMEXCPT
    movl %eax, %cr4
    movl $boot_pml4, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx  // IA32_EFER: SCE, LME, NXE
    rdmsr
    orl $0x901, %eax
    wrmsr
    movl $0x80010033, %eax  // PG, WP, NE, ET, MP, PE
    movl %eax, %cr0
    lgdt gdtr
    ljmp $0x08, $enter64
#endif

    .code64
    .org 0x200              // the 64-bit entry of the boot protocol
    .globl _start64
_start64:
    cli
    cld
    leaq _start64 - 0x200(%rip), %rsi
    movl $0x100000, %edi
    cmpq %rdi, %rsi
    je 1f
    movl $image_bytes, %ecx // a loader that relocated the payload: copy it to where it was linked
    rep movsb
1:  movl $2f, %eax
    jmp *%rax
2:  movl $boot_stack_top, %esp
    movl $gdtr, %eax
    lgdt (%rax)
#ifdef TEST32
    // Out of long mode again, SDM vol. 3A, section 10.8.5.4 "Switching Out of IA-32e Mode Operation".
    pushq $0x08             // code32 of this image's GDT: compatibility mode for now
    movl $3f, %eax
    pushq %rax
    lretq
    .code32
3:  movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl %cr0, %eax
    andl $0x7fffffff, %eax
    movl %eax, %cr0
    movl $0xc0000080, %ecx
    xorl %eax, %eax
    xorl %edx, %edx
    wrmsr
    xorl %eax, %eax
    movl %eax, %cr4
    movl $_start32, %eax
    jmp *%eax
#else
    movl $_bss, %edi
    movl $_end, %ecx
    subl %edi, %ecx
    xorl %eax, %eax
    rep stosb
    movl $boot_pml4, %eax
    movq %rax, %cr3
    movl $0x620, %eax
    movq %rax, %cr4
    movl $0xc0000080, %ecx
    movl $0x901, %eax       // SCE, LME, NXE
    xorl %edx, %edx
    wrmsr
    movl $0x80010033, %eax
    movq %rax, %cr0
    pushq $0x08
    pushq $enter64
    lretq
enter64:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movl $boot_stack_top, %esp
    fninit
    call env_init
    call test_main
    call tap_done
#endif
    .globl debug_exit
#ifdef TEST32
    .code32
debug_exit:
    movl 4(%esp), %eax
#else
debug_exit:
    movl %edi, %eax
#endif
    outl %eax, $0xf4        // isa-debug-exit
1:  cli
    hlt
    jmp 1b

    .data
    .balign 8
    .globl gdt, gdtr
#ifdef TEST32
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff // 08 code32
    .quad 0x00cf93000000ffff // 10 data
    .quad 0x00cffb000000ffff // 18 user code32
    .quad 0x00cff3000000ffff // 20 user data
    .quad 0                  // 28 TSS, set by env_init
    .fill 58, 8, 0           // 30 and up: the tests' own
gdtr:
    .word 64 * 8 - 1
    .long gdt
#else
gdt:
    .quad 0
    .quad 0x00af9b000000ffff // 08 code64
    .quad 0x00cf93000000ffff // 10 data
    .quad 0x00cf9b000000ffff // 18 code32 (compatibility)
    .quad 0x00cffb000000ffff // 20 user code32
    .quad 0x00cff3000000ffff // 28 user data
    .quad 0x00affb000000ffff // 30 user code64
    .quad 0
    .quad 0, 0               // 40 TSS, set by env_init
    .fill 54, 8, 0           // 50 and up: the tests' own
gdtr:
    .word 64 * 8 - 1
    .quad gdt

    // 0..1 GiB identity, supervisor; 1..2 GiB the same memory again for user mode; 3..4 GiB devices.
    .balign 4096
    .globl boot_pml4, boot_pdpt
boot_pml4:
    .quad boot_pdpt + 7
    .fill 511, 8, 0
boot_pdpt:
    .quad boot_pd + 7, boot_user_pd + 7, 0, boot_io_pd + 7
    .fill 508, 8, 0
boot_pd:
    .set i, 0
    .rept 512
    .quad (i << 21) + 0x83
    .set i, i + 1
    .endr
boot_user_pd:
    .set i, 0
    .rept 512
    .quad (i << 21) + 0x87
    .set i, i + 1
    .endr
boot_io_pd:
    .set i, 0
    .rept 512
    .quad 0xc0000000 + (i << 21) + 0x9b
    .set i, i + 1
    .endr
#endif

    .section .bss
    .balign 4096
    .fill 16384
    .globl boot_stack_top
boot_stack_top:
    .section .note.GNU-stack, "", @progbits
