// SPDX-License-Identifier: MIT
// The option ROM that the firmware boots when -kernel is to run behind it: it collects the BIOS's memory map and then
// writes to a port, at which ring3 loads the kernel and gives the CPU its entry state.
//
// Plug and Play BIOS Specification 1.0A, section 3.2 "Expansion Header for Plug and Play": a bootstrap entry vector.
// kernel_rom.c fills in the checksums.
#define MAP 0x8000      /* BOOT_BIOS_MAP */
#define MAP_MAX 32      /* BOOT_MAX_E820 */
#define PORT 0x51c      /* KERNEL_ROM_PORT */

    .section .rodata
    .code16
    .global kernel_rom, kernel_rom_end
kernel_rom:
    .byte 0x55, 0xaa, 1             // 512 bytes
    lretw                           // initialisation: nothing to do
    .org kernel_rom + 0x1a
    .word pnp - kernel_rom
pnp:
    .ascii "$PnP"
    .byte 1, 2                      // version, length / 16
    .word 0                         // no further header
    .byte 0, 0                      // reserved, checksum
    .long 0                         // device
    .word maker - kernel_rom, product - kernel_rom
    .byte 2, 0, 0, 0x14             // class; initial program load device, shadowable
    .word 0, 0                      // no BCV, no disconnect vector
    .word bootstrap - kernel_rom
    .word 0, 0
maker:
    .asciz "ring3"
product:
    .asciz "-kernel"

bootstrap:
    xorw %ax, %ax
    movw %ax, %es
    movw $(MAP + 4), %di
    xorl %ebx, %ebx
    xorl %esi, %esi
next:
    movl $0xe820, %eax              // ACPI Specification 6.4, section 15.1
    movl $0x534d4150, %edx          // "SMAP"
    movl $20, %ecx
    int $0x15
    jc done
    cmpl $0x534d4150, %eax
    jne done
    addw $20, %di
    incw %si
    cmpw $MAP_MAX, %si
    je done
    testl %ebx, %ebx
    jnz next
done:
    cli
    movl %esi, %es:MAP
    movw $PORT, %dx
    outb %al, %dx
forever:
    hlt
    jmp forever
    .org kernel_rom + 512
kernel_rom_end:
    .section .note.GNU-stack, "", @progbits
