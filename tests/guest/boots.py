#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What people have, booted from power-on and judged from the screen or the serial line: one test case per run.

usage: boots.py --vmm PROGRAM [--tcg] [--time] CASE...      boots.py --list

--tcg runs QEMU's TCG instead of ring3; --time prints the CPU seconds that each stage took so far.
Exit status 77: a guest's package cannot be had here.
"""
import array
import random
import re
import subprocess
import sys
import wave

import boots_syslinux  # pylint: disable=unused-import
import installer_gui as gui
from harness import QEMU, Bench, Skip, case, drive, expect, main, made_by, package, refusal
from machine import Failure
from pc import Pc


class PcBench(Bench):
    """Starts PCs, ring3's or QEMU's, and has a stopwatch."""

    def pc(self, *args, ram="128M", nic=False):
        return self.start("-m", ram, *([] if nic else ["-nic", "none"]), *args, vmm=QEMU if self.args.tcg else None,
                          kind=Pc)

    def stage(self, m, name):
        seconds = m.cpu_seconds()
        self.note += f" [{name}: {seconds:.2f} s]"
        if self.args.time:
            print(f"TIME {name}: {seconds:.2f}", flush=True)


def end(m):
    expect(m.quit() == 0, "quit did not end it with status 0")


def grub_answers(b, m, platform="pc"):
    """At the prompt of grub-rescue: a command, and what only its execution prints."""
    m.wait_screen(r"press enter to boot|Press enter to boot")
    b.stage(m, "menu")
    m.key("c")
    m.wait_screen(r"^ *grub> *$")
    b.stage(m, "prompt")
    m.type_line("echo on ${grub_platform}-${grub_cpu}")
    m.wait_screen(rf"^ *on {platform}-i386$")
    end(m)


@case
def nothing(b):
    """SeaBIOS finds nothing to boot from and says so."""
    m = b.pc()
    m.wait_screen(r"^No bootable device\.")
    b.stage(m, "No bootable device")
    m.wait_screen(r"^Booting from Hard Disk", 5)
    end(m)


@case
def grub_cd(b):
    """The grub-rescue CD boots to its prompt and answers a command."""
    image = package("grub-rescue-pc", "usr/lib/grub-rescue/grub-rescue-cdrom.iso")
    grub_answers(b, b.pc("-cdrom", image, "-boot", "d"))


@case
def grub_floppy(b):
    """The grub-rescue floppy boots to its prompt and answers a command."""
    image = package("grub-rescue-pc", "usr/lib/grub-rescue/grub-rescue-floppy.img")
    grub_answers(b, b.pc(*drive(image, ",if=floppy,readonly=on"), "-boot", "a"))


@case
def grub_bios(b):
    """GRUB in place of the BIOS (grub-firmware-qemu): it finds the cards and sets the VGA's text mode by itself."""
    m = b.pc("-bios", package("grub-firmware-qemu", "usr/share/qemu/grub.bin"))
    m.wait_screen(r"Search & load /boot/multiboot\.img", 30)
    grub_answers(b, m, "qemu")


@case
def speaker(b):
    """GRUB plays a tone of 440 Hz on the PC speaker for half a second; a WAV file has it."""
    if b.args.tcg:
        raise Skip("QEMU's sound is not this test's")
    wav = b.path("speaker.wav")
    m = b.pc("-cdrom", package("grub-rescue-pc", "usr/lib/grub-rescue/grub-rescue-cdrom.iso"), "-boot", "d",
             "-audiodev", f"wav,id=sound,path={wav}", "-machine", "pcspk-audiodev=sound")
    m.wait_screen(r"[Pp]ress enter to boot")
    m.key("c")
    m.wait_screen(r"^ *grub> *$")
    m.type_line("play 120 440 1; echo played")
    m.wait_screen(r"^ *played$", 20)
    end(m)
    with wave.open(wav) as f:
        rate, samples = f.getframerate(), array.array("h", f.readframes(f.getnframes()))
    rises = [i for i in range(1, len(samples)) if samples[i - 1] <= 0 < samples[i]]
    seconds = (rises[-1] - rises[0]) / rate if len(rises) > 1 else 0
    expect(0.3 < seconds < 0.9, f"the tone is {seconds} s long")
    expect(abs(len(rises) / seconds - 440) < 5, f"{len(rises) / seconds:.0f} Hz")


@case
def bad_floppies(b):
    """What is no floppy disk: too large is refused; anything else gets the firmware's message, and stays as it was."""
    if b.args.tcg:
        raise Skip("QEMU has its own messages")
    for size, boots in ((0, False), (1, False), (511, False), (512, False), (1474560, True), (1474561, False)):
        data = bytes(random.Random(size).randbytes(size)) if not boots else b"\xf4" * 510 + b"\0\0" + bytes(size - 512)
        path = b.write(f"floppy-{size}", data)
        m = b.pc(*drive(path, ",if=floppy"), "-boot", "a")
        m.wait_screen(r"^Boot failed: (not a bootable|could not read the boot) disk", 30)
        end(m)
        with open(path, "rb") as f:
            expect(f.read() == data, f"the image of {size} bytes changed")
    path = b.path("large")
    with open(path, "wb") as f:
        f.truncate(5 << 20)
    refusal(b.args.vmm, ["-display", "none", "-fda", path], "floppy")


def memtest(b, name):
    m = b.pc("-cdrom", package("memtest86+", f"usr/lib/memtest86+/memtest86+{name}.iso"), "-boot", "d", ram="64M")
    m.wait_screen(r"Memtest86\+ *v6", 60)
    b.stage(m, "started")
    m.wait_screen(r"Test +#[2-9]", 900, 2)
    b.stage(m, "test 1 done")
    text = m.screen()
    errors = re.search(r"Errors: *(\d+)", text)
    expect(errors and errors.group(1) == "0", f"memtest86+ reports errors:\n{text[:2000]}")
    end(m)


@case
def memtest64(b):
    """memtest86+ in 64-bit mode, from its CD, gets through tests 0 and 1 without an error."""
    memtest(b, "x64")


@case
def memtest32(b):
    """memtest86+ in 32-bit mode, from its CD, gets through tests 0 and 1 without an error."""
    memtest(b, "ia32")


def installer(b, arch):
    files = f"usr/lib/debian-installer/images/12/{arch}/text/debian-installer/{arch}"
    name = f"debian-installer-12-netboot-{arch}"
    m = b.pc("-kernel", package(name, files + "/linux"), "-initrd", package(name, files + "/initrd.gz"), "-append",
             "vga=normal fb=false nomodeset", ram="1G")
    m.wait_screen(r"Choose the language to be used", 300, 1)
    b.stage(m, "language menu")
    m.wait_screen(r"^.*English +- +English")
    m.key("down")
    m.key("up")
    m.key("ret")
    m.wait_screen(r"Select your location", 60)
    m.wait_screen(r"United States")
    b.stage(m, "answered")
    end(m)


@case
def installer64(b):
    """The Debian installer for amd64 asks for the language, takes keys and asks for the location."""
    installer(b, "amd64")


@case
def installer32(b):
    """The Debian installer for i386 asks for the language, takes keys and asks for the location."""
    installer(b, "i386")


@case
def installer_gui(b):
    """The graphical installer shows its languages as in the README's picture; the list and the buttons take keys."""
    files = "usr/lib/debian-installer/images/12/amd64/gtk/debian-installer/amd64"
    name = "debian-installer-12-netboot-amd64"
    m = b.pc("-kernel", package(name, files + "/linux"), "-initrd", package(name, files + "/initrd.gz"), "-append",
             "vga=788 quiet", ram="1G")
    m.wait_picture(gui.languages, "the languages", 240, 1)
    b.stage(m, "language page")
    english, _ = m.wait_picture(gui.highlighted, "a highlighted line", 10)
    m.key("down")
    m.wait_picture(lambda p: (gui.highlighted(p) or (0, 0))[0] > english, "the next language highlighted", 30)
    m.key("up")
    m.wait_picture(gui.languages, "the first one again", 30)
    m.key("ret")
    m.wait_picture(gui.location, "the location page", 90)
    m.wait_picture(gui.highlighted, "a highlighted country", 30)
    b.stage(m, "location page")
    end(m)


def fsck(image):
    p = subprocess.run(["/sbin/e2fsck", "-fn", image + "?offset=1048576"], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, check=False)
    expect(p.returncode == 0, "the guest's filesystem is not clean:\n" + p.stdout.decode())


def debian(b, arch):
    image = b.path("disk.img")
    subprocess.run(["cp", "--sparse=always", made_by("guest-disk", arch), image], check=True)
    m = b.pc(*drive(image), ram="512M")
    m.wait_screen(r"GNU GRUB", 60)
    b.stage(m, "GRUB")
    m.wait_for(r"^ring3-guest login: ", 400)
    b.stage(m, "login")
    m.send("root\n")
    m.wait_for(r"Password: ")
    m.send("ring3\n")
    m.wait_for(r"root@ring3-guest:~# ", 120)
    m.send("dpkg -l | grep -c ^ii; systemctl is-system-running --wait\n")
    count = m.wait_for(r"(\d+)$", 60)  # after bash's escape sequences
    expect(int(count.group(1)) > 100, f"{count.group(1)} packages")
    m.wait_for(r"running$", 180)
    m.send("dpkg -l | tail -3\n")
    m.wait_for(r"^ii  zstd ")
    b.stage(m, "package list")
    # And the VGA console, by its keyboard. The kernel's messages may stand behind a prompt.
    m.wait_screen(r"^ring3-guest login:", 120)
    m.type("root\n")
    m.wait_screen(r"^Password:")
    m.type("ring3\n")
    m.wait_screen(r"^root@ring3-guest:~#", 120)
    m.type("uname -m; cat /etc/debian_version\n")
    m.wait_screen(r"^12\.\d+$")
    b.stage(m, "VGA console")
    m.send("poweroff\n")
    expect(m.wait_exit(300) == 0, f"exit status {m.process.returncode}")
    fsck(image)


@case
def debian64(b):
    """An installed Debian 12 (amd64): GRUB, systemd, both logins, a clean shutdown, a clean filesystem."""
    debian(b, "amd64")


@case
def debian32(b):
    """An installed Debian 12 (i386): GRUB, systemd, both logins, a clean shutdown, a clean filesystem."""
    debian(b, "i386")


def invaders_left(m):
    """The most of three looks: the game wipes and draws its rows while they are read."""
    counts = []
    for _ in range(3):
        counts.append(m.screen().count("-*-"))
        m.idle(0.07)
    return max(counts)


@case
def invaders(b):
    """grub-invaders, a multiboot kernel, is started and played: the ship moves, and a shot hits."""
    m = b.pc("-kernel", package("grub-invaders", "boot/invaders.exec"), ram="64M")
    begin = m.wait_screen(r"^( +)/ \\ *$", 30).group(1)
    b.stage(m, "started")
    invaders = invaders_left(m)
    expect(invaders >= 40, f"{invaders} invaders")
    m.monitor("sendkey left 500")
    for _ in range(50):
        if len(m.wait_screen(r"^( +)/ \\ *$", 10, 0.1).group(1)) < len(begin) - 2:
            break
        m.idle(0.1)
    else:
        raise Failure("the ship did not move to the left")
    for _ in range(100):
        m.key("spc")
        if 0 < invaders_left(m) < invaders:
            break
    else:
        raise Failure("no shot hit")
    b.stage(m, "one hit")
    end(m)


@case
def ipxe(b):
    """iPXE's ISO: its command line is reached with Ctrl-B, and gets an address by DHCP."""
    m = b.pc("-cdrom", package("ipxe", "usr/lib/ipxe/ipxe.iso"), "-boot", "d", "-nic", "user,model=virtio-net-pci",
             nic=True)
    m.wait_screen(r"Press Ctrl-B for the iPXE command line", 60, 0.2)
    m.key("ctrl-b")
    m.wait_screen(r"^iPXE> *$", 30)
    b.stage(m, "prompt")
    m.type_line("dhcp")
    m.wait_screen(r"^Configuring.*ok *$", 30)
    m.type_line("show net0/ip")
    m.wait_screen(r"^net0.*ip:ipv4 = 10\.0\.2\.15$", 10)
    end(m)


def options(p):
    p.add_argument("--tcg", action="store_true", help="run QEMU's TCG instead")
    p.add_argument("--time", action="store_true", help="print CPU seconds")


if __name__ == "__main__":
    sys.exit(main(__doc__, PcBench, options))
