# SPDX-License-Identifier: MIT
"""Cases of boots.py: the SYSLINUX family, from CD, hard disk, floppy and network, to the prompt and into Linux."""
import os
import shutil
import struct
import subprocess

from harness import Skip, case, drive, expect, package
from machine import guest_image

MODULES = "usr/lib/syslinux/modules/bios"
CONFIG = """DEFAULT linux
PROMPT 1
SAY ring3 says hello
LABEL linux
  KERNEL vmlinuz
  INITRD initrd.gz
  APPEND console=ttyS0 ring3.run=true
LABEL menu
  COM32 menu.c32
  APPEND menu.cfg
LABEL ls
  COM32 ls.c32
LABEL floppy
  KERNEL memdisk
  INITRD floppy.img
"""
MENU = """MENU TITLE What to boot
LABEL linux
  MENU LABEL Linux
  KERNEL vmlinuz
  INITRD initrd.gz
  APPEND console=ttyS0 ring3.run=true
LABEL local
  MENU LABEL The hard disk
  LOCALBOOT 0x80
"""


def tool(*command):
    """Runs a program of the host; a package may be missing."""
    command = [shutil.which(command[0], path=os.environ["PATH"] + ":/usr/sbin:/sbin") or command[0], *command[1:]]
    try:
        p = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           check=False, env={**os.environ, "MTOOLS_SKIP_CHECK": "1"})
    except FileNotFoundError as e:
        raise Skip(f"there is no {command[0]} here") from e
    expect(p.returncode == 0, f"{' '.join(command)}: {p.stdout.decode(errors='replace')}")


def tree(b, modules, *files, linux=True):
    """A folder with the configuration, these modules and files, and Linux; its path."""
    folder = b.path("tree")
    os.mkdir(folder)
    if linux:
        files += tuple(os.path.join(guest_image("cloud"), name) for name in ("vmlinuz", "initrd.gz"))
    for module in ("ldlinux", "libcom32", "libutil", *modules):
        shutil.copy(package("syslinux-common", f"{MODULES}/{module}.c32"), folder)
    for path in files:
        shutil.copy(path, folder)
    for name, text in (("syslinux.cfg", CONFIG), ("menu.cfg", MENU)):
        with open(os.path.join(folder, name), "w", encoding="ascii") as f:
            f.write(text)
    return folder


def fat(folder, image, offset, *options):
    """A FAT filesystem at offset in image, with SYSLINUX and folder's files."""
    tool("mkfs.fat", *options, image)
    tool("mcopy", "-i", f"{image}@@{offset}", *(os.path.join(folder, name) for name in sorted(os.listdir(folder))
                                                if name != "ldlinux.c32"), "::")
    tool(package("syslinux", "usr/bin/syslinux"), "--install", "--offset", str(offset), image)


def to_linux(b, m, label="linux"):
    m.wait_screen(r"^ring3 says hello$", 60)
    m.wait_screen(r"^boot: *$", 20)
    b.stage(m, "prompt")
    if label == "menu":
        m.type_line("menu")
        m.wait_screen(r"What to boot", 20)
        m.key("down")
        m.wait_screen(r"The hard disk")
        m.key("up")
        m.key("ret")
    else:
        m.type_line("linux quiet")
    m.wait_for(r"GUEST-STATUS 0", 120)
    b.stage(m, "Linux")
    expect(m.wait_exit(60) == 0, "it did not power off")


def iso(b):
    folder, image = tree(b, ["menu", "ls"]), b.path("cd.iso")
    shutil.copy(package("isolinux", "usr/lib/ISOLINUX/isolinux.bin"), folder)
    tool("xorriso", "-as", "mkisofs", "-quiet", "-o", image, "-b", "isolinux.bin", "-c", "boot.cat", "-no-emul-boot",
         "-boot-load-size", "4", "-boot-info-table", "-isohybrid-mbr",
         package("isolinux", "usr/lib/ISOLINUX/isohdpfx.bin"), folder)
    return image


@case
def isolinux(b):
    """ISOLINUX from a CD: its menu leads into Linux."""
    to_linux(b, b.pc("-cdrom", iso(b), "-boot", "d", ram="256M"), "menu")


@case
def isohybrid(b):
    """The same CD's image as a hard disk."""
    to_linux(b, b.pc(*drive(iso(b), ",readonly=off"), ram="256M"))


@case
def syslinux_disk(b):
    """SYSLINUX from a FAT partition behind its own MBR: Linux."""
    folder, image, start = tree(b, ["ls"]), b.path("disk.img"), 2048
    with open(package("syslinux", "usr/lib/SYSLINUX/mbr.bin"), "rb") as f:
        code = f.read().ljust(446, b"\0")
    sectors = (64 << 20) // 512
    entry = struct.pack("<8B2I", 0x80, 0, 0, 0, 0x0e, 0, 0, 0, start, sectors - start)  # active, FAT16 by LBA
    with open(image, "wb") as f:
        f.write(code + entry + bytes(48) + b"\x55\xaa")
        f.truncate(64 << 20)
    fat(folder, image, start * 512, "--offset", str(start), "-F", "16", "-h", str(start), "-g", "16/63")
    to_linux(b, b.pc(*drive(image), ram="256M"))


@case
def syslinux_floppy(b):
    """SYSLINUX from a floppy: its prompt, and a module that lists the files."""
    image = b.path("floppy.img")
    with open(image, "wb") as f:
        f.truncate(1440 << 10)
    fat(tree(b, ["ls"], linux=False), image, 0, "-F", "12")
    m = b.pc(*drive(image, ",if=floppy"), "-boot", "a")
    m.wait_screen(r"^boot: *$", 60)
    b.stage(m, "prompt")
    m.type_line("ls")
    m.wait_screen(r"ls\.c32.*$", 30)
    expect("menu.cfg" in m.screen(), m.screen())
    expect(m.quit() == 0, "quit did not end it with status 0")


@case
def memdisk(b):
    """ISOLINUX starts MEMDISK, which hooks the BIOS's disk calls: the floppy in memory boots GRUB to its prompt."""
    floppy = package("grub-rescue-pc", "usr/lib/grub-rescue/grub-rescue-floppy.img")
    folder, image = tree(b, [], package("syslinux-common", "usr/lib/syslinux/memdisk"), linux=False), b.path("cd.iso")
    shutil.copy(floppy, os.path.join(folder, "floppy.img"))
    shutil.copy(package("isolinux", "usr/lib/ISOLINUX/isolinux.bin"), folder)
    tool("xorriso", "-as", "mkisofs", "-quiet", "-o", image, "-b", "isolinux.bin", "-c", "boot.cat", "-no-emul-boot",
         "-boot-load-size", "4", "-boot-info-table", folder)
    m = b.pc("-cdrom", image, "-boot", "d")
    m.wait_screen(r"^boot: *$", 60)
    m.type_line("floppy")
    m.wait_screen(r"[Pp]ress enter to boot", 60)
    b.stage(m, "GRUB")
    m.key("c")
    m.wait_screen(r"^ *grub> *$")
    m.type_line("ls")
    m.wait_screen(r"^ *\(fd0\)", 20)
    expect(m.quit() == 0, "quit did not end it with status 0")


@case
def pxelinux(b):
    """iPXE loads PXELINUX from the network's own TFTP server, PXELINUX Linux."""
    if not os.path.exists("/usr/lib/ipxe/qemu/pxe-virtio.rom"):
        raise Skip("the package ipxe-qemu is missing")
    folder = tree(b, ["menu", "ls"])
    shutil.copy(package("pxelinux", "usr/lib/PXELINUX/pxelinux.0"), folder)
    os.mkdir(os.path.join(folder, "pxelinux.cfg"))
    os.rename(os.path.join(folder, "syslinux.cfg"), os.path.join(folder, "pxelinux.cfg", "default"))
    to_linux(b, b.pc("-boot", "n", "-nic", f"user,model=virtio-net-pci,tftp={folder},bootfile=pxelinux.0", nic=True,
                     ram="256M"), "menu")
