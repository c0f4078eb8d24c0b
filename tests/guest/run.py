#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Linux guests under ring3: one test case per run.

usage: run.py --vmm PROGRAM [--accel NAME] [--build DIR] CASE...      run.py --list
"""
import hashlib
import os
import signal
import subprocess
import sys
import time

import kernel_log
from harness import QEMU, Bench, case, drive, expect, expect_exit, free_port, linux_args, main, refusal, script
from machine import guest_image, initrd_with, try_connect


class LinuxBench(Bench):
    """Starts Linux; has disks for it."""

    def linux(self, append="", flavour="cloud", files=None, more=(), vmm=None, reboot=False):
        initrd = initrd_with(guest_image(flavour), files, self.path("initrd")) if files else None
        return self.start("-m", "512M", *linux_args(append, flavour, initrd), "-nographic",
                          *([] if reboot else ["-no-reboot"]), *more, vmm=vmm)

    def disk(self, name="disk.img"):
        path = self.path(name)
        with open(path, "wb") as f:
            f.truncate(32 << 20)
        subprocess.run(["/sbin/mke2fs", "-q", "-F", "-t", "ext4", path], check=True)
        return path


def virtio(path, more=""):
    return drive(path, ",if=virtio" + more)


@case
def shell(b):
    """The cloud kernel boots to a shell on a terminal; Ctrl-A X leaves."""
    m = b.linux("quiet", more=["-nic", "user", "-device", "virtio-rng-pci"] + virtio(b.disk()))
    m.wait_for(r"The disk is mounted on /mnt")
    m.send("echo sum $((40 + 2)) $(uname -m) $(ls /dev/vda)\n")
    m.wait_for(r"^sum 42 x86_64 /dev/vda$")
    m.send("head -c 64 /dev/hwrng | wc -c; cat /sys/class/misc/hw_random/rng_current\n")
    m.wait_for(r"^64$")
    m.wait_for(r"^virtio_rng")
    m.send("dd if=/dev/urandom of=/mnt/f bs=1M count=8 2>/dev/null; sha1sum </mnt/f >/tmp/a; sync; "
           "echo 3 >/proc/sys/vm/drop_caches; sha1sum </mnt/f | cmp - /tmp/a && echo same\n")
    m.wait_for(r"^same$")
    m.send("\x01x")
    expect_exit(m, 0, 10)


@case
def generic(b):
    """The generic Debian kernel boots to busybox, uses a disk, powers off."""
    m = b.linux("ring3.run=/run quiet", "generic", script("uname -v && echo hello >/mnt/f && grep hello /mnt/f"),
                virtio(b.disk()))
    m.wait_for(r"GUEST-STATUS 0")
    expect_exit(m)


def ide(b, append, mode):
    """A disk is read, a CD is copied to another disk; every byte is compared, in the guest and on the host."""
    images = {"disk": b.path("disk.img"), "copy": b.path("copy.img"), "cd": b.path("cd.img")}
    sums = {}
    for name, size in (("disk", 24 << 20), ("cd", 6 << 20)):
        data = os.urandom(size)
        sums[name] = hashlib.md5(data).hexdigest()
        with open(images[name], "wb") as f:
            f.write(data)
    with open(images["copy"], "wb") as f:
        f.truncate(8 << 20)
    # Odd pieces, too: 3 sectors at an odd place behind what was copied.
    m = b.linux(f"ring3.run=/run {append}", "generic", script("""
        place=/sys/bus/scsi/devices/0:0 # sd finds disks side by side: their letters say nothing
        for i in $(seq 50); do [ -d $place:0:0/block -a -d $place:1:0/block -a -b /dev/sr0 ] || usleep 200000; done
        disk=/dev/$(ls $place:0:0/block) copy=/dev/$(ls $place:1:0/block)
        dd if=/dev/sr0 of=$copy bs=64k conv=fsync 2>/dev/null
        dd if=$disk of=$copy bs=512 count=3 skip=1 seek=12293 conv=fsync 2>/dev/null
        echo 3 >/proc/sys/vm/drop_caches
        echo MODE $(cat /sys/class/ata_device/dev*/xfer_mode | grep -c %s)
        echo ERRORS $(dmesg | grep -cE 'ata[0-9].*(failed|error|exception|lost)')
        echo SUM disk $(md5sum <$disk)
        echo SUM cd $(md5sum </dev/sr0)
        echo SUM copy $(head -c 6291456 $copy | md5sum)
        """ % mode), ["-hda", images["disk"], "-hdb", images["copy"], "-cdrom", images["cd"]])
    expect(int(m.wait_for(r"\nMODE (\d+)", 120)[1]) == 3, f"not all drives are in mode {mode}")
    expect(m.wait_for(r"\nERRORS (\d+)")[1] == "0", "libata reports errors")
    for name, want in (("disk", "disk"), ("cd", "cd"), ("copy", "cd")):
        got = m.wait_for(rf"\nSUM {name} ([0-9a-f]{{32}})")[1]
        expect(got == sums[want], f"{name} differs in the guest")
    m.wait_for(r"GUEST-STATUS 0")
    expect_exit(m)
    with open(images["copy"], "rb") as f, open(images["disk"], "rb") as disk, open(images["cd"], "rb") as cd:
        copy, sectors = f.read(), disk.read(2048)[512:]
        expect(copy[:6 << 20] == cd.read(), "the copy differs on the host")
        expect(copy[12293 * 512:12296 * 512] == sectors, "the three sectors differ on the host")
        expect(not any(copy[12296 * 512:]) and not any(copy[6 << 20:12293 * 512]), "something else was written")


@case
def ide_dma(b):
    """IDE disks and a CD under Linux's ata_piix, with bus-master DMA."""
    ide(b, "", "MW_DMA_2")


@case
def ide_pio(b):
    """The same by PIO alone."""
    ide(b, "libata.dma=0", "PIO_4")


@case
def floppy(b):
    """Floppy disks of two sizes under Linux's driver: recognised, read, written, compared in guest and on host."""
    images, sums = {}, {}
    for name, sectors in (("fd0", 2880), ("fd1", 1440)):
        data = os.urandom(sectors * 512)
        images[name], sums[name] = b.path(name), hashlib.md5(data).hexdigest()
        with open(images[name], "wb") as f:
            f.write(data)
    m = b.linux("ring3.run=/run", "generic", script("""
        for i in $(seq 50); do [ -b /dev/fd0 -a -b /dev/fd1 ] || usleep 200000; done
        dmesg | sed -n 's/.*FDC 0 is a /CONTROLLER /p'
        echo SUM fd0 $(md5sum </dev/fd0)
        echo SUM fd1 $(md5sum </dev/fd1)
        # A track and a half, across both sides, from the middle of a track on.
        dd if=/dev/fd0 of=/dev/fd1 bs=512 count=27 skip=100 seek=5 conv=fsync 2>/dev/null
        dd if=/dev/fd1 of=/dev/fd0 bs=9k count=80 conv=fsync 2>/dev/null
        echo 3 >/proc/sys/vm/drop_caches
        echo ERRORS $(dmesg | grep -ciE 'fd[01].*(error|timeout)|floppy.*(error|timeout)|I/O error.*fd')
        cmp -n 737280 /dev/fd0 /dev/fd1 && echo SAME
        """), ["-fda", images["fd0"], "-fdb", images["fd1"]])
    m.wait_for(r"\nCONTROLLER post-1991 82077", 120)
    for name, want in sums.items():
        got = m.wait_for(rf"\nSUM {name} ([0-9a-f]{{32}})")[1]
        expect(got == want, f"{name} differs in the guest")
    expect(m.wait_for(r"\nERRORS (\d+)")[1] == "0", "the driver reports errors")
    m.wait_for(r"\nSAME")
    m.wait_for(r"GUEST-STATUS 0")
    expect_exit(m)
    with open(images["fd0"], "rb") as a, open(images["fd1"], "rb") as c:
        first, second = a.read(), c.read()
    expect(len(first) == 2880 * 512 and len(second) == 1440 * 512, "an image changed its size")
    expect(first[:737280] == second, "the disks differ on the host")
    expect(second[32 * 512:32 * 512 + 16] != bytes(16) and hashlib.md5(second).hexdigest() != sums["fd1"],
           "nothing was written")


@case
def i386(b):
    """A static 32-bit program gives the same output on the host and in the guest."""
    program = os.path.join(b.args.build, "tests", "guest", "guest_i386")
    native = subprocess.run([program], stdout=subprocess.PIPE, check=True).stdout.decode()
    with open(program, "rb") as f:
        files = {**script("/i386"), "i386": (0o755, f.read())}
    m = b.linux("ring3.run=/run quiet", files=files)
    m.wait_for(r"GUEST-READY\n")
    start = m.seen
    m.wait_for(r"GUEST-STATUS 0")
    got = m.text[start:m.text.index("GUEST-STATUS", start)]
    expect(got == native, f"the guest printed\n{got}\nand the host\n{native}")
    expect_exit(m)


@case
def poweroff(b):
    """A guest's power-off ends the process with status 0."""
    m = b.linux("quiet ring3.run=true")
    m.wait_for(r"GUEST-STATUS 0")
    expect_exit(m, 0)


@case
def reboot(b):
    """A reboot starts the guest again; with -no-reboot it ends the process with status 0."""
    for how in ("", "reboot=k ", "reboot=t "):
        m = b.linux(how + "ring3.run=reboot_-f")
        m.wait_for(r"reboot: Restarting system")
        expect_exit(m, 0)
    m = b.linux("ring3.run=reboot_-f", reboot=True)
    for _ in range(3):
        m.wait_for(r"^\[.*Linux version")
        m.wait_for(r"reboot: Restarting system")
    m.process.terminate()
    expect_exit(m, 0, 10)


@case
def panic(b):
    """A panic with panic=-1 restarts, which -no-reboot turns into an end."""
    m = b.linux("panic=-1 ring3.run=echo_c>/proc/sysrq-trigger")
    m.wait_for(r"Kernel panic - not syncing: sysrq triggered crash")
    expect_exit(m, 0)


@case
def sigterm(b):
    """SIGTERM and SIGINT end a busy machine cleanly; what the guest synced is on the disk."""
    for n in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        disk = b.disk()
        m = b.linux("ring3.run=/run quiet", files=script(
            "echo kept >/mnt/f; sync; n=0\n"
            "while :; do echo x >>/mnt/g; n=$((n + 1)); [ $n != 500 ] || echo GUEST-BUSY; done\n"), more=virtio(disk))
        m.wait_for(r"GUEST-BUSY")
        m.process.send_signal(n)
        expect_exit(m, 0, 10)
        subprocess.run(["/sbin/e2fsck", "-fy", disk], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        p = subprocess.run(["/sbin/debugfs", "-R", "cat /f", disk], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           check=False)
        expect(p.stdout == b"kept\n", f"after {n.name} the file holds {p.stdout!r} {p.stderr!r}")


@case
def snapshot(b):
    """-snapshot and snapshot=on leave the image as it was; the guest sees its own writes."""
    disk = b.disk()
    before = hashlib.sha256(open(disk, "rb").read()).digest()
    for more in (virtio(disk) + ["-snapshot"], virtio(disk, ",snapshot=on")):
        m = b.linux("ring3.run=/run quiet", files=script(
            "head -c 4000000 /dev/urandom >/mnt/f; sha1sum </mnt/f >/tmp/s; umount /mnt && mount /dev/vda /mnt && "
            "echo 3 >/proc/sys/vm/drop_caches && sha1sum </mnt/f | cmp - /tmp/s"), more=more)
        m.wait_for(r"GUEST-STATUS 0")
        expect_exit(m)
        expect(hashlib.sha256(open(disk, "rb").read()).digest() == before, "the image changed")


@case
def readonly(b):
    """readonly=on: the guest sees a read-only disk and cannot write."""
    disk = b.disk()
    m = b.linux("ring3.run=/run quiet", more=virtio(disk, ",readonly=on"),
                files=script("cat /sys/block/vda/ro; dd if=/dev/zero of=/dev/vda bs=512 count=1"))
    m.wait_for(r"^1$")
    m.wait_for(r"GUEST-STATUS [^0]")
    expect_exit(m)


@case
def hostfwd(b):
    """A connection to a forwarded port of the host reaches the guest, both ways."""
    port = free_port()
    m = b.linux("ring3.run=/run quiet", more=["-nic", f"user,hostfwd=tcp:127.0.0.1:{port}-:7"], files=script(
        "nc -l -p 7 -e /bin/cat & until grep -q ':0007 .* 0A ' /proc/net/tcp*; do usleep 10000; done\n"
        "echo GUEST-LISTENS; wait $!"))
    m.wait_for(r"GUEST-LISTENS")
    payload = os.urandom(1 << 20)
    with try_connect(("127.0.0.1", port)) as s:
        s.settimeout(20)
        got = b""
        for at in range(0, len(payload), 32768):
            s.sendall(payload[at:at + 32768])
            while len(got) < min(at + 32768, len(payload)):
                part = s.recv(65536)
                expect(part, "the guest closed the connection")
                got += part
    expect(got == payload, "the echo differs")
    m.wait_for(r"GUEST-STATUS 0")
    expect_exit(m)


@case
def idle(b):
    """A guest at its shell uses under 2 % of a core, and ring3 under 150 MiB beyond the guest's RAM."""
    m = b.linux("", more=["-nic", "user"] + virtio(b.disk()))
    m.wait_for(r"The disk is mounted on /mnt")
    m.wait_for(r"# ")
    resident = m.resident_beyond_ram(512)
    time.sleep(4)  # the kernel's deferred work
    before = m.cpu_seconds()
    time.sleep(10)
    used = m.cpu_seconds() - before
    print(f"idle: {used * 10:.1f} % of a core; {resident:.0f} MiB beyond guest RAM")
    expect(used < 0.2, f"idle, it used {used:.2f} s of CPU time in 10 s")
    expect(resident < 150, f"{resident:.0f} MiB beyond guest RAM")
    m.send("poweroff -f\n")
    expect_exit(m, 0)


@case
def refused(b):
    """A damaged kernel or initrd, more RAM than there is: one line, status 1, nothing started."""
    image = guest_image("cloud")
    kernel = os.path.join(image, "vmlinuz")
    data = open(kernel, "rb").read()
    cut = []
    for size in (600, 5000, len(data) // 2, len(data) - 4096):
        path = b.path(f"cut-{size}")
        with open(path, "wb") as f:
            f.write(data[:size])
        cut.append(["-kernel", path])
    for args in cut + [["-kernel", kernel, "-m", "100T"], ["-kernel", kernel, "-initrd", b.path("none")],
                       ["-kernel", kernel, "-m", "64M", "-initrd", kernel, "-m", "12M"],
                       ["-kernel", kernel, "-drive", f"file={b.path('none')},if=virtio"],
                       ["-kernel", kernel, "-serial", "file:/nonexistent/x"],
                       ["-kernel", kernel, "-nic", "user,hostfwd=tcp::99999-:22"],
                       ["-kernel", kernel, "-device", "virtio-blk-pci,drive=none"]]:
        refusal(b.args.vmm, ["-nographic", *args])


def dmesg(b, name, vmm):
    m = b.linux("ring3.run=/run quiet", files=script("echo LOG-BEGINS; dmesg -r; echo LOG-ENDS\n"),
                more=["-nic", "user,model=virtio-net-pci", "-device", "virtio-rng-pci"] + virtio(b.disk(name)), vmm=vmm)
    m.wait_for(r"^LOG-BEGINS$", 120)
    start = m.seen
    m.wait_for(r"^LOG-ENDS$")
    text = m.text[start:m.seen]
    expect_exit(m)
    return kernel_log.parse(text)


@case
def log(b):
    """Linux finds no more to complain about than under QEMU; log-differences.tsv says what is allowed.

    A host that is late at the wrong moment makes it complain of a clock: what counts is what three boots have in common.
    """
    theirs = dmesg(b, "qemu", QEMU)
    for n in range(3):
        found = kernel_log.compare(dmesg(b, f"ring3-{n}", b.vmm()), theirs)
        problems = [p for p in problems if p in found] if n else found
        if not problems:
            return
    expect(False, "the guest's log under ring3:\n" + "\n".join(problems))


def options(p):
    p.add_argument("--build", default=".", help="the build folder, for the guest programs")


if __name__ == "__main__":
    sys.exit(main(__doc__, LinuxBench, options))
