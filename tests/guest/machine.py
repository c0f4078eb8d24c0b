# SPDX-License-Identifier: MIT
"""A virtual machine under test: starting it, talking to its console, reaching its sockets, measuring its process."""
import os
import pty
import re
import select
import signal
import socket
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Failure(Exception):
    """What a test says when the machine did not do what it should."""


def guest_image(flavour):
    """The folder with vmlinuz and initrd.gz; made from Debian's packages the first time."""
    p = subprocess.run([os.path.join(ROOT, "scripts", "guest-image"), flavour], stdout=subprocess.PIPE, check=False)
    if p.returncode:
        raise Failure(f"scripts/guest-image {flavour} failed")
    return p.stdout.decode().splitlines()[-1]


def cpio(files):
    """A newc archive of files: name -> (mode, bytes); Linux unpacks it on top of the archive before it."""
    out = bytearray()

    def entry(number, name, mode, data):
        raw = name.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(raw), 0)
        out.extend(b"070701" + b"".join(b"%08x" % f for f in fields) + raw)
        out.extend(b"\0" * (-len(out) % 4))
        out.extend(data)
        out.extend(b"\0" * (-len(out) % 4))

    for number, (name, (mode, data)) in enumerate(files.items(), 1):
        entry(number, name, 0o100000 | mode, data)
    entry(0, "TRAILER!!!", 0, b"")
    out.extend(b"\0" * (-len(out) % 512))
    return bytes(out)


def initrd_with(image, files, path):
    """Writes image's initrd with files on top to path."""
    with open(os.path.join(image, "initrd.gz"), "rb") as f:
        base = f.read()
    with open(path, "wb") as f:
        f.write(base + b"\0" * (-len(base) % 4) + cpio(files))
    return path


def try_connect(address):
    """A socket connected to a path, or to (host, port); None if nobody listens there."""
    s = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    try:
        s.connect(address)
        return s
    except OSError:
        s.close()
        return None


class Machine:
    """One run of ring3 (or QEMU) on a pseudo-terminal; patience multiplies the time limits."""

    def __init__(self, vmm, args, patience=1):
        self.patience = patience
        self.master, slave = pty.openpty()
        self.text = ""
        self.seen = 0
        self.process = subprocess.Popen(vmm + args, stdin=slave, stdout=slave, stderr=slave, close_fds=True,
                                        start_new_session=True)
        os.close(slave)

    def read(self, seconds):
        """Adds what comes within seconds to text; False at the end of the output."""
        if not select.select([self.master], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.master, 65536)
        except OSError:  # the other end is closed
            data = b""
        self.text += data.decode(errors="replace").replace("\r", "")
        return bool(data)

    def wait_for(self, pattern, seconds=60):
        """Waits for pattern in output not matched yet; returns the match."""
        seconds *= self.patience
        end = time.monotonic() + seconds
        while True:
            m = re.compile(pattern, re.M).search(self.text, self.seen)
            if m:
                self.seen = m.end()
                return m
            left = end - time.monotonic()
            if left <= 0 or not self.read(left):
                why = "within %d s" % seconds if left <= 0 else "before the machine ended"
                raise Failure(f"no {pattern!r} {why}; the console's end:\n{self.text[-1500:]}")

    def wait_until(self, condition, what, seconds=20):
        """Until condition() is true, which it returns; takes what the console says meanwhile."""
        end = time.monotonic() + seconds * self.patience
        while not (value := condition()):
            if self.process.poll() is not None or time.monotonic() > end:
                self.read(0.2)
                raise Failure(f"{what} (exit status {self.process.poll()}); the console says: {self.text[-1000:]}")
            self.read(0.02)
        return value

    def send(self, text):
        os.write(self.master, text.encode())

    def wait_exit(self, seconds=60):
        """Waits for the end and returns the exit status (negative: a signal)."""
        seconds *= self.patience
        end = time.monotonic() + seconds
        while self.read(max(0.0, end - time.monotonic())):
            if time.monotonic() >= end:
                raise Failure(f"still running after {seconds} s; the console's end:\n{self.text[-1500:]}")
        return self.process.wait(10)

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_beyond_ram(self, ram):
        """MiB resident in all mappings except the guest's RAM of so many MiB, which is the one of just that size."""
        resident, of_ram, is_ram = 0, [], False
        with open(f"/proc/{self.process.pid}/smaps", encoding="utf-8") as f:
            for line in f:
                if m := re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line):
                    is_ram = int(m[2], 16) - int(m[1], 16) == ram << 20
                elif re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                    is_ram = False
                elif line.startswith("Rss:"):
                    resident += int(line.split()[1])
                    of_ram += [int(line.split()[1])] if is_ram else []
        if len(of_ram) != 1:
            raise Failure(f"{len(of_ram)} mappings of {ram} MiB")
        return (resident - of_ram[0]) / 1024

    def kill(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        os.close(self.master)
