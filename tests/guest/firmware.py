#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The firmware and its options: boot order, option ROMs, PXE, resets, A20, a kernel behind it. One test case per run.

usage: firmware.py --vmm PROGRAM [--accel NAME] [--a20 IMAGE] CASE...      firmware.py --list
Exit status 77: a package is missing here.
"""
import os
import sys

from harness import Bench, Skip, case, drive, expect, linux_args, main

ROMS = "/usr/lib/ipxe/qemu"
EXIT = ["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]


class FirmwareBench(Bench):
    def sector(self, name, status):
        """A disk whose boot sector ends the machine with status (odd)."""
        code = bytes([0xb0, status >> 1, 0xe6, 0xf4, 0xf4])
        return self.write(name, code.ljust(510, b"\0") + b"\x55\xaa" + bytes(1 << 20))

    def status(self, *more):
        return self.start("-nographic", *EXIT, *more).wait_exit()


@case
def nothing(b):
    """Without anything to boot SeaBIOS says so, on a serial line that it drives itself, and again after a reset."""
    m = b.start("-nographic", "-vga", "none")
    for _ in range(2):
        m.wait_for(r"SeaBIOS \(version")
        m.wait_for(r"^No bootable device\.")
        m.send("\x01csystem_reset\n")
        m.wait_for(r"system_reset")
        m.send("\x01c")
    m.wait_for(r"SeaBIOS \(version")
    m.send("\x01x")
    expect(m.wait_exit(10) == 0, "Ctrl-A X did not end it")


@case
def order(b):
    """-boot's letters, bootindex= and strict= choose between two disks and a CD."""
    disk, other = b.sector("disk", 3), b.sector("other", 5)
    ide, virtio = drive(disk, ",if=ide"), drive(other, ",if=none,id=v")
    expect(b.status(*ide) == 3, "the IDE disk was not booted")
    expect(b.status(*virtio, "-device", "virtio-blk-pci,drive=v") == 5, "the virtio disk was not booted")
    expect(b.status(*ide, *virtio, "-device", "virtio-blk-pci,drive=v,bootindex=1") == 5, "bootindex=1 on virtio")
    ide = drive(disk, ",if=none,id=i")
    both = [*ide, *virtio, "-device", "ide-hd,drive=i,bootindex=%d", "-device", "virtio-blk-pci,drive=v,bootindex=%d"]
    for i, v, want in ((0, 1, 3), (1, 0, 5)):
        got = b.status(*[s % n if "%d" in s else s for s, n in zip(both, [0] * 5 + [i, 0, v])])
        expect(got == want, f"bootindex {i} and {v}: {got}, want {want}")
    m = b.start("-nographic", *drive(disk, ",if=ide"), "-boot", "strict=on", "-vga", "none")
    m.wait_for(r"Booting from Hard Disk|No bootable device")
    expect("No bootable device" in m.text, "strict=on booted a disk without bootindex")


@case
def once(b):
    """-boot once= holds until the first reset: the floppy resets the machine, then the disk is booted."""
    reset = bytes([0xb0, 0x06, 0xba, 0xf9, 0x0c, 0xee, 0xf4]).ljust(510, b"\0") + b"\x55\xaa"  # OUT CF9h, 6
    floppy = b.write("floppy", reset.ljust(1440 << 10, b"\0"))
    status = b.status("-fda", floppy, *drive(b.sector("disk", 7), ",if=ide"), "-boot", "order=c,once=a")
    expect(status == 7, f"status {status}, want 7")


@case
def option_rom(b):
    """An option ROM of the user's runs before anything is booted."""
    rom = bytes([0x55, 0xaa, 1, 0xb0, 9 >> 1, 0xe6, 0xf4, 0xf4]).ljust(511, b"\0")
    path = b.write("rom", rom + bytes([-sum(rom) & 0xff]))
    expect(b.status("-option-rom", path) == 9, "it did not run")


@case
def pxe(b):
    """The packaged iPXE boots a script from the network's own TFTP server."""
    if not os.path.exists(os.path.join(ROMS, "pxe-virtio.rom")):
        raise Skip("the package ipxe-qemu is missing")
    b.write("hello.ipxe", b"#!ipxe\necho hello from TFTP\n")
    m = b.start("-nographic", "-boot", "n", "-vga", "none", "-nic", f"user,tftp={b.folder},bootfile=hello.ipxe")
    m.wait_for(r"iPXE \(PCI")
    m.wait_for(r"^hello from TFTP")


@case
def a20(b):
    """The A20 gate by port 92h, keyboard controller and BIOS."""
    if not b.args.a20:
        raise Skip("nasm is missing")
    got = b.status(*drive(b.args.a20, ",if=ide"))
    expect(got == 0x3f << 1 | 1, f"steps {got >> 1:#x}, want 0x3f")


@case
def kernel(b):
    """With a screen, -kernel runs behind the firmware: Linux asks the BIOS and finds the VGA in its text mode."""
    m = b.start("-m", "512M", "-display", "none", "-serial", "stdio", "-no-reboot",
                *linux_args("console=tty0 console=ttyS0 ring3.run=true"))
    m.wait_for(r"BIOS-e820: \[mem 0x00000000000f0000-0x00000000000fffff\] reserved")
    m.wait_for(r"Console: colour VGA\+ 80x25")
    m.wait_for(r"GUEST-STATUS 0")
    expect(m.wait_exit() == 0, "it did not power off")


def options(p):
    p.add_argument("--a20", help="the image of firmware/a20.asm")


if __name__ == "__main__":
    sys.exit(main(__doc__, FirmwareBench, options))
